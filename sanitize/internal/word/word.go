// Package word reads words of ASCII eight bytes at a time. A word of up to Max
// bytes is a pair of numbers, which is compared, hashed and put together with
// others without a loop over its letters.
//
//	k, n := word.Alnum(text, i)
//	if n > 0 && known[k.Hash()] { … }
package word

import (
	"encoding/binary"
	"math/bits"
)

// Max is how many bytes of a word a Key has room for.
const Max = 16

const (
	ones = 0x0101010101010101
	high = 0x8080808080808080
)

// A Key is a word: its bytes as little-endian numbers, zero behind its end.
type Key struct{ Lo, Hi uint64 }

// KeyOf returns the key of w, which has at most Max bytes.
func KeyOf(w string) (k Key) {
	for i := range len(w) {
		k = k.Join(i, Key{Lo: uint64(w[i])})
	}
	return k
}

// Hash spreads a key over 64 bits. Words of up to eight letters have hashes of
// their own; two others share one with a probability of 2^-64.
func (k Key) Hash() uint64 {
	h := (k.Lo ^ bits.RotateLeft64(k.Hi*0x9E3779B97F4A7C15, 32)) * 0xD6E8FEB86659FD93
	return h ^ h>>32
}

// Join returns k, which has n bytes, with next behind it. What is behind Max
// bytes is lost.
func (k Key) Join(n int, next Key) Key {
	s := uint(8 * n) //nolint:gosec // small
	if s < 64 {
		return Key{k.Lo | next.Lo<<s, k.Hi | next.Hi<<s | next.Lo>>(64-s)}
	}
	return Key{k.Lo, k.Hi | next.Lo<<(s-64)}
}

// Alnum returns the run of small letters and digits at b[i:], and its length: 0
// if there is none, Max+1 if it has more than Max.
func Alnum(b []byte, i int) (Key, int) {
	lo := load(b, i)
	m := notAlnum(lo)
	if m != 0 {
		n := bits.TrailingZeros64(m)
		return Key{Lo: lo & (1<<(n&^7) - 1)}, n >> 3
	}
	hi := load(b, i+8)
	if m = notAlnum(hi); m != 0 {
		n := bits.TrailingZeros64(m)
		return Key{lo, hi & (1<<(n&^7) - 1)}, 8 + n>>3
	}
	if i+Max < len(b) && (b[i+Max]-'a' < 26 || b[i+Max]-'0' < 10) {
		return Key{lo, hi}, Max + 1
	}
	return Key{lo, hi}, Max
}

// Letters is Alnum for small letters alone.
func Letters(b []byte, i int) (Key, int) {
	if i+8 <= len(b) {
		lo := binary.LittleEndian.Uint64(b[i:])
		if m := notLetter(lo); m != 0 {
			n := bits.TrailingZeros64(m)
			return Key{Lo: lo & (1<<(n&^7) - 1)}, n >> 3
		}
	}
	return letters(b, i)
}

// letters is Letters for long words, and for those at the end of b.
func letters(b []byte, i int) (Key, int) {
	lo := load(b, i)
	if m := notLetter(lo); m != 0 {
		n := bits.TrailingZeros64(m)
		return Key{Lo: lo & (1<<(n&^7) - 1)}, n >> 3
	}
	hi := load(b, i+8)
	if m := notLetter(hi); m != 0 {
		n := bits.TrailingZeros64(m)
		return Key{lo, hi & (1<<(n&^7) - 1)}, 8 + n>>3
	}
	if i+Max < len(b) && b[i+Max]-'a' < 26 {
		return Key{lo, hi}, Max + 1
	}
	return Key{lo, hi}, Max
}

// load returns the eight bytes at b[i:], with zeros behind the end.
func load(b []byte, i int) (x uint64) {
	if i+8 <= len(b) {
		return binary.LittleEndian.Uint64(b[i:])
	}
	return tail(b, i)
}

func tail(b []byte, i int) (x uint64) {
	for s := 0; i < len(b); i, s = i+1, s+8 {
		x |= uint64(b[i]) << s
	}
	return x
}

// notLetter sets the high bit of each byte that is no small letter.
func notLetter(x uint64) uint64 {
	low := x &^ high // adding to seven bits never carries into the next byte
	return ^((low + (0x80-'a')*ones) &^ (low + (0x80-'z'-1)*ones) &^ x) & high
}

// notAlnum sets the high bit of each byte that is no small letter and no digit.
func notAlnum(x uint64) uint64 {
	low := x &^ high // adding to seven bits never carries into the next byte
	letter := (low + (0x80-'a')*ones) &^ (low + (0x80-'z'-1)*ones)
	digit := (low + (0x80-'0')*ones) &^ (low + (0x80-'9'-1)*ones)
	return ^((letter | digit) &^ x) & high
}
