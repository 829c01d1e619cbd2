package detect

// Bounds, in bytes, of words that are looked up with their letters out of order,
// of words of which one letter may be wrong, and of runs that are read as
// several words.
const (
	minFuzzy = 4
	minTypo  = 6
	maxFuzzy = 20
	minGlued = 10
)

// fuzzy finds words of the vocabulary whose inner letters are in another order
// ("instrcutions"), are repeated ("ignoooore"), or in which l and i were taken
// for each other, as 1 is for both. Of a few words, those attacks are made of,
// one inner letter may also be missing, added or another one. Both are hash
// tables over a sum of the inner letters, which sees no order, and from which
// one letter is easily taken away.
type fuzzy struct {
	scrambled, typos *table
	// ends tells which first and last letters the words in typos have.
	ends [1 << 10]bool
}

// newFuzzy holds words of at least minFuzzy letters, and those of them in typos
// with a letter less, too.
func newFuzzy(words map[string]int32, typos []literal) fuzzy {
	f := fuzzy{scrambled: newTable(len(words)), typos: newTable(maxFuzzy * len(typos))}
	for w, out := range words {
		if l, ok := lettersOf([]byte(w)); ok {
			f.scrambled.add(l.key(0), out)
		}
	}
	for _, t := range typos {
		out, l := words[t.text], letters{}
		ok := out != 0 && len(t.text) >= minTypo
		if ok {
			l, ok = lettersOf([]byte(t.text))
		}
		if !ok {
			continue
		}
		f.ends[l.ends()] = true
		f.typos.add(l.key(0), out)
		for i := 1; i < len(t.text)-1; i++ {
			f.typos.add(l.key(values[t.text[i]]), out)
		}
	}
	return f
}

// find returns the outs of the word that s may stand for, 0 for none.
func (f *fuzzy) find(s []byte) int32 {
	l, ok := lettersOf(s)
	if !ok {
		return 0
	}
	if out := f.scrambled.find(l.key(0)); out != 0 || len(s) < minTypo-1 || !f.ends[l.ends()] {
		return out
	}
	if out := f.typos.find(l.key(0)); out != 0 { // a letter is missing
		return out
	}
	for i := 1; i < len(s)-1; i++ { // one is too much, or another one
		if out := f.typos.find(l.key(values[s[i]])); out != 0 {
			return out
		}
	}
	return 0
}

// letters is a word without the order of its inner letters.
type letters struct {
	first, last byte
	sum         uint64
}

// lettersOf adds up a word; ok is false for what is no word of a to z.
func lettersOf(s []byte) (l letters, ok bool) {
	l.first, l.last = alike(s[0]), alike(s[len(s)-1])
	before := values[s[0]]
	if before == 0 || values[s[len(s)-1]] == 0 {
		return l, false
	}
	for _, b := range s[1 : len(s)-1] {
		v := values[b]
		if v == 0 {
			return l, false
		}
		if v != before {
			l.sum += v
		}
		before = v
	}
	return l, true
}

// ends is a number below 1 << 10 for the first and the last letter.
func (l letters) ends() int { return int(l.first-'a')<<5 | int(l.last-'a') }

// key is the signature of the word without a letter of the given value. It is
// never 0.
func (l letters) key(without uint64) uint64 {
	key := l.sum - without ^ uint64(l.first)<<56 ^ uint64(l.last)<<48
	key ^= key >> 31
	key *= 0x94d049bb133111eb
	return key ^ key>>29 | 1
}

// values spreads each letter over 64 bits; what is no letter has 0.
var values = func() (v [256]uint64) {
	for b := byte('a'); b <= 'z'; b++ {
		x := uint64(alike(b)) * 0x9e3779b97f4a7c15
		x ^= x >> 29
		v[b] = x * 0xbf58476d1ce4e5b9
	}
	return v
}()

func alike(b byte) byte {
	if b == 'l' {
		return 'i'
	}
	return b
}

// table is an open hash table from keys that are not 0.
type table struct {
	keys   []uint64
	outs   []int32
	mask   uint64
	filter [1 << 10]uint64 // a bit for each key: most others have none
}

func newTable(n int) *table {
	size := uint64(64)
	for size < uint64(n)*4 { //nolint:gosec // a few thousand
		size *= 2
	}
	return &table{keys: make([]uint64, size), outs: make([]int32, size), mask: size - 1}
}

// add keeps the larger of two outs for one key, whichever came first.
func (t *table) add(key uint64, out int32) {
	at := key & t.mask
	for t.keys[at] != 0 && t.keys[at] != key {
		at = (at + 1) & t.mask
	}
	t.keys[at], t.outs[at] = key, max(t.outs[at], out)
	t.filter[key>>54] |= 1 << (key >> 48 & 63)
}

func (t *table) find(key uint64) int32 {
	if t.filter[key>>54]>>(key>>48&63)&1 == 0 {
		return 0
	}
	return t.search(key)
}

func (t *table) search(key uint64) int32 {
	for at := key & t.mask; t.keys[at] != 0; at = (at + 1) & t.mask {
		if t.keys[at] == key {
			return t.outs[at]
		}
	}
	return 0
}
