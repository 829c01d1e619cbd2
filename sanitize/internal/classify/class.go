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
	salt      = 0x51ED270B // tells entries that end with * from whole words
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
			h := uint32(seed)
			for i := range len(entry) {
				h = (h ^ uint32(entry[i])) * prime
			}
			if n := []rune(entry); entry[0] >= 0xE3 && len(n) == 2 {
				h = pairOf(hashOf(string(n[0])), hashOf(string(n[1])))
			}
			if stem {
				h ^= salt
			}
			i := slot(h)
			for table[i] != 0 {
				i = (i + 1) % slots
			}
			table[i] = h&^(1<<classBits-1) | c
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

func hashOf(s string) uint32 {
	h := uint32(seed)
	for i := range len(s) {
		h = (h ^ uint32(s[i])) * prime
	}
	return h
}

func pairOf(a, b uint32) uint32 { return (a*31 ^ b) * prime }

func slot(h uint32) uint32 { return h * 0x9E3779B1 >> (32 - slotBits) }

// classOf returns the class of a hash.
func classOf(h uint32) class {
	for i := slot(h); ; i = (i + 1) % slots {
		e := classes[i]
		if e == 0 {
			return 0
		}
		if (e^h)>>classBits == 0 {
			return e & (1<<classBits - 1)
		}
	}
}
