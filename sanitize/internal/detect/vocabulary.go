package detect

import "github.com/sparkhttp/spark/sanitize/internal/word"

// vocabulary knows the first words of all literals, so that the automaton only
// has to read what stands behind them. Most words of a text are in it or begin
// no literal at all, and both is found out without a look at each letter.
type vocabulary struct {
	entries  []vocable // an open hash table
	mask     uint64
	filter   [1 << 10]uint64 // a bit for each hash in entries: most others have none
	prefixes letters3        // how literals like instruct* begin
	starts   letters3        // how literals begin
	alone    [256]int32      // the uses of literals of one byte that may go on
	pairs    [256]uint32     // after each first byte of a literal, bits for the second one
}

// vocable is the first word of one literal or of several.
type vocable struct {
	hash  uint64    // 0 if there is none here
	state int32     // of the automaton, behind the word
	whole int32     // the use of the literal that is this word, 0 for none
	next  [2]uint32 // bits for what may follow in a literal: directly, and after a space
	slow  bool      // a literal like instruct* is the word, or begins it
}

// goesOn reports whether a literal may go on with what stands at view[i].
func (v *vocable) goesOn(view []byte, i int) bool {
	next := v.next[0]
	if i < len(view) && view[i] == ' ' {
		next = v.next[1]
		i++
	}
	return i < len(view) && next>>(view[i]&31)&1 != 0
}

// newVocabulary takes the first words of the entries that a was made of.
func newVocabulary(a *automaton, entries []entry) *vocabulary {
	first := map[word.Key]bool{}
	for _, e := range entries {
		k, _ := word.Alnum([]byte(e.text), 0)
		first[k] = true
	}
	size := 64
	for size < 2*len(first) {
		size *= 2
	}
	v := &vocabulary{entries: make([]vocable, size), mask: uint64(size - 1)} //nolint:gosec // positive
	for _, e := range entries {
		if e.text == "" {
			continue
		}
		if len(e.text) == 1 {
			v.alone[e.text[0]] = a.cells[a.cells[0].base+int32(e.text[0])].part
		} else {
			v.pairs[e.text[0]] |= 1 << (e.text[1] & 31)
		}
		if len(e.text) >= 3 {
			v.starts.add(word.KeyOf(e.text[:3]))
		}
		if kinds[e.text[0]] != kindWord {
			continue
		}
		k, n := word.Alnum([]byte(e.text), 0)
		if n > 0 && n <= word.Max {
			v.add(k, a, e.text, n)
		}
		if e.open && n >= min(len(e.text), word.Max) {
			v.addPrefix(k, n)
		}
	}
	return v
}

// add takes note of a literal that begins with the word k of n letters.
func (v *vocabulary) add(k word.Key, a *automaton, text string, n int) {
	h := k.Hash()
	v.filter[h>>54] |= 1 << (h >> 48 & 63)
	e := &v.entries[h&v.mask]
	for at := h; e.hash != 0 && e.hash != h; e = &v.entries[at&v.mask] {
		at++
	}
	e.hash = h
	if n < len(text)-1 && text[n] == ' ' {
		e.next[1] |= 1 << (text[n+1] & 31)
	} else if n < len(text) {
		e.next[0] |= 1 << (text[n] & 31)
	}
	e.state = 0
	for i := range n {
		e.state = a.cells[e.state].base + int32(text[i])
		e.slow = e.slow || a.cells[e.state].part != 0
	}
	e.whole = a.cells[e.state].whole
}

// find returns what begins with the word k, nil if nothing does.
func (v *vocabulary) find(k word.Key) *vocable {
	h := k.Hash()
	if v.filter[h>>54]>>(h>>48&63)&1 == 0 {
		return nil
	}
	for at := h; ; at++ {
		switch e := &v.entries[at&v.mask]; e.hash {
		case h:
			return e
		case 0:
			return nil
		}
	}
}

// addPrefix takes note of a prefix of n letters, of which it looks at three.
func (v *vocabulary) addPrefix(k word.Key, n int) {
	v.prefixes.add(k) // if it has fewer, the word may end here
	if n >= 3 {
		return
	}
	for b := range byte(0x80) {
		if kinds[b] == kindWord {
			v.addPrefix(k.Join(n, word.Key{Lo: uint64(b)}), n+1)
		}
	}
}

// letters3 has a bit for each way that some words begin, by their first three
// bytes. A few others share it.
type letters3 [1 << 8]uint64

func (l *letters3) add(k word.Key) {
	at := l.bit(k)
	l[at>>6] |= 1 << (at & 63)
}

func (l *letters3) has(k word.Key) bool {
	at := l.bit(k)
	return l[at>>6]>>(at&63)&1 != 0
}

func (*letters3) bit(k word.Key) uint32 {
	return uint32(k.Lo&0xFFFFFF) * 0x9E3779B1 >> (32 - 14) //nolint:gosec // three bytes
}
