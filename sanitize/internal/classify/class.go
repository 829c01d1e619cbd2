package classify

import (
	_ "embed"
	"strings"
)

// lexicon lists words that mean much the same to an attack, in many languages.
//
//go:embed lexicon.txt
var lexicon string

// A class is what a word means, in the coarse way of the lexicon. 0 is none.
type class = uint32

// slots is the size of the table of words, a power of two.
const (
	slotBits  = 13
	slots     = 1 << slotBits
	classBits = 6
)

// classes finds the class of a word by its hash: linear probing, 26 bits of the hash and 6 of the class in a slot.
var classes, signClass = parse(lexicon)

func parse(lexicon string) (table [slots]uint32, signs [256]class) {
	var c class
	for line := range strings.Lines(lexicon) {
		words := strings.Fields(line)
		if len(words) == 0 || words[0] == "#" {
			continue
		}
		c++
		for _, w := range words[1:] {
			entry, stem := strings.CutSuffix(w, "*")
			h := hashOf(entry)
			if stem {
				h ^= salt
			}
			i := slot(h)
			for table[i] != 0 {
				i = (i + 1) % slots
			}
			table[i] = tag(h) | c
		}
	}
	for _, s := range ".!?;\n" {
		signs[s] = c + 1
	}
	signs[':'] = c + 2
	signs['"'] = c + 3
	for _, s := range "`#=|<>/\\*_" {
		signs[s] = c + 4
	}
	return table, signs
}

// hashOf returns the hash of an entry: a word, or one or two characters of a script without spaces.
func hashOf(entry string) uint64 {
	view := []byte(entry)
	if kinds[view[0]] == isWord {
		h, _, _ := letters(view, 0)
		return h
	}
	h, _, end := high(view, 0)
	if end < len(view) {
		next, _, _ := high(view, end)
		return pairOf(h, next)
	}
	return h
}

// slot is where the search for a hash begins.
func slot(h uint64) uint32 { return uint32(h * seed >> (64 - slotBits)) }

// tag is what is kept of a hash.
func tag(h uint64) uint32 { return uint32(h>>16) &^ (1<<classBits - 1) } //nolint:gosec // the middle is meant

// classOf returns the class of a hash.
func classOf(h uint64) class {
	t := tag(h)
	for i := slot(h); ; i = (i + 1) % slots {
		switch e := classes[i]; {
		case e == 0:
			return 0
		case e&^(1<<classBits-1) == t:
			return e & (1<<classBits - 1)
		}
	}
}
