package cache

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"math/bits"
	"time"
)

// An entry is an answer as it is stored:
//
//	version    1 byte
//	key        the last 43 characters of its key
//	checksum   4 bytes, CRC-32C of all that follows
//	stored     8 bytes, unix time in nanoseconds
//	ttl        8 bytes, nanoseconds that it is fresh
//	grace      8 bytes, nanoseconds that it may be used after that
//	tokens     8 bytes
//	meta       length as uvarint, bytes
//	chunks     each length as uvarint, bytes
//
// The key is repeated because a store that mixes up its answers, like a
// connection that a cancelled request left half read, would hand the answer of
// one tenant to another.
const (
	entryVersion = 1
	headerBytes  = 1 + sumChars + 4
	fixedBytes   = headerBytes + 4*8
)

var (
	errPoisoned = errors.New("cache: stored entry is damaged or another's")
	castagnoli  = crc32.MakeTable(crc32.Castagnoli)
)

// entry is a decoded answer. Its slices are those of the store.
type entry struct {
	stored     time.Time
	ttl, grace time.Duration
	tokens     int64
	meta       []byte
	chunks     []byte    // as they are encoded
	size       int       // of all chunks together
	at         time.Time // when it was looked up
}

func (e *entry) age(now time.Time) time.Duration { return max(0, now.Sub(e.stored)) }

// left returns how much longer the entry is fresh; negative if it is stale.
func (e *entry) left(now time.Time) time.Duration { return e.ttl - e.age(now) }

// encodeEntry returns the bytes of an answer to the call with this key.
func encodeEntry(key string, e entry, chunks [][]byte) []byte {
	size := fixedBytes + chunkSize(e.meta)
	for _, c := range chunks {
		size += chunkSize(c)
	}
	b := append(make([]byte, 0, size), entryVersion)
	b = append(b, key[keyChars-sumChars:]...)
	b = append(b, 0, 0, 0, 0)
	for _, v := range [...]int64{e.stored.UnixNano(), int64(e.ttl), int64(e.grace), e.tokens} {
		b = binary.BigEndian.AppendUint64(b, uint64(v)) // #nosec G115 -- only the bits count
	}
	b = append(binary.AppendUvarint(b, uint64(len(e.meta))), e.meta...)
	for _, c := range chunks {
		b = append(binary.AppendUvarint(b, uint64(len(c))), c...)
	}
	binary.BigEndian.PutUint32(b[headerBytes-4:], crc32.Checksum(b[headerBytes:], castagnoli))
	return b
}

// decodeEntry reads what was stored for key.
func decodeEntry(key string, b []byte) (entry, error) {
	if len(b) < fixedBytes || b[0] != entryVersion ||
		string(b[1:1+sumChars]) != key[keyChars-sumChars:] ||
		binary.BigEndian.Uint32(b[headerBytes-4:]) != crc32.Checksum(b[headerBytes:], castagnoli) {
		return entry{}, errPoisoned
	}
	number := func(i int) int64 {
		return int64(binary.BigEndian.Uint64(b[headerBytes+8*i:])) // #nosec G115 -- only the bits count
	}
	e := entry{stored: time.Unix(0, number(0)), ttl: time.Duration(number(1)), grace: time.Duration(number(2)), tokens: number(3)}
	meta, rest, ok := cutChunk(b[fixedBytes:])
	if !ok {
		return entry{}, errPoisoned
	}
	e.meta, e.chunks = meta, rest
	for len(rest) > 0 {
		var chunk []byte
		if chunk, rest, ok = cutChunk(rest); !ok {
			return entry{}, errPoisoned
		}
		e.size += len(chunk)
	}
	return e, nil
}

// chunkSize returns how many bytes a chunk takes with its length.
func chunkSize(c []byte) int {
	return (bits.Len(uint(len(c))|1)+6)/7 + len(c)
}

// cutChunk divides the first chunk from the rest. The chunk can't be appended
// to: what follows is the next one.
func cutChunk(b []byte) (chunk, rest []byte, ok bool) {
	n, width := binary.Uvarint(b)
	if width <= 0 || n > uint64(len(b)-width) { // #nosec G115 -- width is at most len(b)
		return nil, nil, false
	}
	end := width + int(n) // #nosec G115 -- checked above
	return b[width:end:end], b[end:], true
}
