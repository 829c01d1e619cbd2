package classify

import "github.com/sparkhttp/spark/sanitize/internal/word"

// Buckets is the number of weights: features are hashed into so many.
const (
	bucketBits = 18
	Buckets    = 1 << bucketBits
)

// Feature is what one word adds to a text, as numbers of buckets: itself, its stem, and its stem together with that of the word
// before it; then its class, and its class together with those of the one and of the two words before it that have one. Bucket 0
// stands for nothing.
type Feature [6]uint32

// stem is how many bytes of a word stand for it in pairs: ignore, ignored and ignoring are one.
const stem = 6

// what a byte is to the reader.
const (
	isGap = iota
	isWord
	isDigit
	isHigh
	isSign
	isLine
)

var kinds = func() (t [256]byte) {
	for c := '!'; c < 0x7F; c++ {
		t[c] = isSign
	}
	for c := 'a'; c <= 'z'; c++ {
		t[c] = isWord
	}
	for c := '0'; c <= '9'; c++ {
		t[c] = isDigit
	}
	for c := 0x80; c < 0x100; c++ {
		t[c] = isHigh
	}
	t['\n'] = isLine
	return t
}()

// A reader goes through the words of a folded text.
type reader struct {
	view []byte
	at   int
	last uint64 // hash of the stem of the word before
	// The classes of the last two words that have one, and how many words without a class came since.
	before [2]class
	gap    int
}

// maxGap is how many words without a class may stand between two that are taken together.
const maxGap = 5

// Odd numbers without a pattern, to tell hashes of different things apart.
const (
	seed   = 0x9E3779B97F4A7C15
	spread = 0xD6E8FEB86659FD93
	salt   = 0x94D049BB133111EB
)

// next returns the features of the next word, or false at the end.
func (r *reader) next(f *Feature) bool {
	view, i := r.view, r.at
	for i < len(view) && kinds[view[i]] == isGap {
		i++
	}
	if i >= len(view) {
		return false
	}
	var (
		h, root uint64
		c       class
	)
	start := i
	switch kinds[view[i]] {
	case isWord:
		h, root, i = letters(view, i)
		if c = classOf(h); c == 0 && i-start >= stem {
			c = classOf(root ^ salt)
		}
	case isHigh:
		h, root, i = high(view, i)
		if view[start] >= 0xE3 {
			c = classOf(pairOf(r.last, h))
		}
		if c == 0 {
			c = classOf(h)
		}
		if c == 0 && i-start >= 2*stem {
			c = classOf(root ^ salt)
		}
	default:
		h, i = sign(view, i)
		root = h
		c = signClass[view[start]]
	}
	r.at = i
	f[0] = bucket(h)
	f[1] = bucket(root ^ seed)
	f[2] = bucket(root*31 + r.last)
	r.last = root
	r.classes(f, c)
	return true
}

// classes adds the features of a word's class.
func (r *reader) classes(f *Feature, c class) {
	f[3], f[4], f[5] = 0, 0, 0
	if c == 0 {
		if r.gap++; r.gap > maxGap {
			r.before = [2]class{}
		}
		return
	}
	r.gap = 0
	if c == r.before[1] { // once is enough
		return
	}
	key := uint64(c) + 1<<classBits
	f[3] = bucket(key)
	key = key<<classBits | uint64(r.before[1])
	f[4] = bucket(key)
	key = key<<classBits | uint64(r.before[0])
	f[5] = bucket(key)
	r.before[0], r.before[1] = r.before[1], c
}

// letters hashes the word at view[i], and its stem.
func letters(view []byte, i int) (h, root uint64, end int) {
	k, n := word.Letters(view, i)
	root = word.Key{Lo: k.Lo & (1<<(8*stem) - 1)}.Hash()
	h = k.Hash()
	end = i + n
	if n <= word.Max && (end+1 >= len(view) || view[end] != '\'' || kinds[view[end+1]] != isWord) {
		return h, root, end
	}
	for end < len(view) && (kinds[view[end]] == isWord || view[end] == '\'' && end+1 < len(view) && kinds[view[end+1]] == isWord) {
		h = (h ^ uint64(view[end])) * spread
		end++
	}
	return h, root, end
}

// high hashes the word of another script at view[i], and its stem. Of scripts without spaces it takes one character.
func high(view []byte, i int) (h, root uint64, end int) {
	h = seed
	start := i
	if lead := view[i]; lead >= 0xE3 {
		n := 3
		if lead >= 0xF0 {
			n = 4
		}
		for ; i < len(view) && i < start+n; i++ {
			h = (h ^ uint64(view[i])) * spread
		}
		return h, h, i
	}
	for ; i < len(view) && kinds[view[i]] == isHigh && view[i] < 0xE3; i++ {
		h = (h ^ uint64(view[i])) * spread
		if i < start+2*stem {
			root = h
		}
	}
	return h, root, i
}

// sign hashes the number at view[i] by how many digits it has, or the row of one sign by how often it stands there.
func sign(view []byte, i int) (h uint64, end int) {
	s, most := view[i], 3
	end = i + 1
	if kinds[s] == isDigit {
		for end < len(view) && kinds[view[end]] == isDigit {
			end++
		}
		s, most = '0', 4
	} else {
		for end < len(view) && view[end] == s {
			end++
		}
	}
	return (seed ^ uint64(s)<<8 ^ uint64(min(end-i, most))) * spread, end //nolint:gosec // positive
}

// pairOf is the hash of two characters by their hashes.
func pairOf(a, b uint64) uint64 { return (a*31 ^ b) * spread }

// bucket spreads a hash over the buckets.
func bucket(h uint64) uint32 { return uint32(h * seed >> (64 - bucketBits)) }

// Features returns the features of every word of a folded text.
func Features(view []byte) []Feature {
	r := reader{view: view}
	var all []Feature
	var f Feature
	for r.next(&f) {
		all = append(all, f)
	}
	return all
}
