package classify

// Buckets is the number of weights: features are hashed into so many.
const (
	bucketBits = 17
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
	last uint32 // stem of the word before
	// The classes of the last two words that have one, and how many words without a class came since.
	before [2]class
	gap    int
}

// maxGap is how many words without a class may stand between two that are taken together.
const maxGap = 5

const (
	seed  = 0x811C9DC5
	prime = 0x01000193
)

// next returns the features of the next word, or false at the end.
func (r *reader) next(f *Feature) bool {
	view, i := r.view, r.at
	for i < len(view) && kinds[view[i]] == isGap {
		i++
	}
	if i == len(view) {
		return false
	}
	var (
		h, root uint32
		c       class
	)
	switch kinds[view[i]] {
	case isWord:
		start := i
		h, root, i = word(view, i)
		if c = classOf(h); c == 0 && i-start >= stem {
			c = classOf(root ^ salt)
		}
	case isHigh:
		start := i
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
	default: // a number or a row of one sign, by its length
		start, k := i, kinds[view[i]]
		sign := view[i]
		if k == isDigit {
			sign = '0'
		}
		for i < len(view) && (view[i] == sign || k == isDigit && kinds[view[i]] == isDigit) {
			i++
		}
		most := 3
		if k == isDigit {
			most = 4
		}
		h = (seed ^ uint32(sign)) * prime
		h = (h ^ uint32(min(i-start, most))) * prime //nolint:gosec // at most 4
		root = h
		c = signClass[view[start]]
	}
	r.at = i
	f[0] = bucket(h)
	f[1] = bucket(root + 0x9E3779B9)
	f[2] = bucket(root*31 + r.last*0x85EBCA6B + 1)
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
	key := c + 1<<classBits
	f[3] = bucket(key * prime)
	key = key<<classBits | r.before[1]
	f[4] = bucket(key * prime)
	key = key<<classBits | r.before[0]
	f[5] = bucket(key * prime)
	r.before[0], r.before[1] = r.before[1], c
}

// word hashes the word at view[i], and its stem.
func word(view []byte, i int) (h, root uint32, end int) {
	h = seed
	stemEnd := i + stem
	for ; i < len(view) && kinds[view[i]] == isWord && i < stemEnd; i++ {
		h = (h ^ uint32(view[i])) * prime
	}
	root = h
	for ; i < len(view) && (kinds[view[i]] == isWord || view[i] == '\'' && i+1 < len(view) && kinds[view[i+1]] == isWord); i++ {
		h = (h ^ uint32(view[i])) * prime
	}
	return h, root, i
}

// high hashes the word of another script at view[i], and its stem. Of scripts without spaces it takes one character.
func high(view []byte, i int) (h, root uint32, end int) {
	h = seed
	start := i
	if lead := view[i]; lead >= 0xE3 {
		n := 3
		if lead >= 0xF0 {
			n = 4
		}
		for ; i < len(view) && i < start+n; i++ {
			h = (h ^ uint32(view[i])) * prime
		}
		return h, h, i
	}
	for ; i < len(view) && kinds[view[i]] == isHigh && view[i] < 0xE3; i++ {
		h = (h ^ uint32(view[i])) * prime
		if i < start+2*stem {
			root = h
		}
	}
	return h, root, i
}

// bucket spreads a hash over the buckets.
func bucket(h uint32) uint32 {
	h ^= h >> 15
	h *= 0x2C1B3C6D
	h ^= h >> 12
	return max(1, h*0x297A2D39>>(32-bucketBits))
}

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
