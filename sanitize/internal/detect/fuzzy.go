package detect

// Bounds, in bytes, of words that are looked up with their letters out of order,
// and of runs that are read as several words.
const (
	minFuzzy = 4
	maxFuzzy = 20
	minGlued = 10
)

// fuzzy finds words of the vocabulary whose inner letters are in another order
// ("instrcutions"), are repeated ("ignoooore"), or in which l and i were taken
// for each other, as 1 is for both. It is a hash table over a signature that
// does not see any of that.
type fuzzy struct {
	keys []uint64
	outs []int32
	mask uint64
}

// newFuzzy holds the literals that are one word of at least minFuzzy letters.
func newFuzzy(words map[string]int32) fuzzy {
	size := uint64(64)
	for size < uint64(len(words))*4 {
		size *= 2
	}
	f := fuzzy{keys: make([]uint64, size), outs: make([]int32, size), mask: size - 1}
	for w, out := range words {
		key := signature([]byte(w))
		if key == 0 {
			continue
		}
		at := key & f.mask
		for f.keys[at] != 0 && f.keys[at] != key {
			at = (at + 1) & f.mask
		}
		if f.keys[at] == key && f.outs[at] > out {
			continue // two words with one signature: the same one whatever the map's order
		}
		f.keys[at], f.outs[at] = key, out
	}
	return f
}

// find returns the outs of the word that s may stand for, 0 for none.
func (f *fuzzy) find(s []byte) int32 {
	key := signature(s)
	if key == 0 {
		return 0
	}
	for at := key & f.mask; f.keys[at] != 0; at = (at + 1) & f.mask {
		if f.keys[at] == key {
			return f.outs[at]
		}
	}
	return 0
}

// signature is the same for words that differ in the order of their inner
// letters, or in letters doubled. It is 0 for what is no word of a to z.
func signature(s []byte) uint64 {
	first, last := alike(s[0]), alike(s[len(s)-1])
	var sum uint64
	for i := range s {
		if s[i] < 'a' || s[i] > 'z' {
			return 0
		}
		b := alike(s[i])
		if i == 0 || i == len(s)-1 || b == alike(s[i-1]) {
			continue
		}
		x := uint64(b) * 0x9e3779b97f4a7c15
		x ^= x >> 29
		sum += x * 0xbf58476d1ce4e5b9
	}
	key := sum ^ uint64(first)<<56 ^ uint64(last)<<48
	key ^= key >> 31
	key *= 0x94d049bb133111eb
	return key ^ key>>29 | 1
}

func alike(b byte) byte {
	if b == 'l' {
		return 'i'
	}
	return b
}
