package shadow

import (
	_ "embed"
	"unicode/utf8"
)

//go:generate go run ./gen

// folds is written by the command in gen: three lengths, the block of every 64 characters, the blocks, the records.
//
//go:embed fold.bin
var folds string

// The sizes of fold.bin's parts.
const (
	tableLimit  = 0x1FC00
	tableHeader = 12
	tableBlocks = tableHeader + 2*tableLimit/64
)

// A class says what the folding does with a character; the command in gen has the same list.
type class byte

const (
	symbol    class = iota // stands for itself (emoji, punctuation), or for plain
	letter                 // a letter or mark of a script that is not mistaken for Latin
	latin                  // a Latin letter, plain is its ASCII
	styled                 // a Latin letter or digit in fancy dress: full width, circled, bold
	foreign                // a letter with a look-alike by confusables.txt
	loosely                // a letter or sign whose look-alike counts only inside a Latin word
	flipped                // a Latin letter upside down
	mark                   // an accent, dropped
	invisible              // dropped
	space
	newline
	digit
	bidi    // dropped
	shifter // a variation selector, dropped unless it carries data
	tag     // an invisible copy of an ASCII character, dropped unless it carries text
)

// lookup says how r is folded: what stands for it ("" for itself) and which Latin letters it looks like.
func lookup(r rune) (c class, plain, like string) {
	if r >= tableLimit {
		switch {
		case r >= 0xE0100 && r <= 0xE01EF:
			return shifter, "", ""
		case r >= 0xE0000 && r <= 0xE007F:
			return tag, "", ""
		case r >= 0xE0000, r&0xFFFE == 0xFFFE:
			return invisible, "", ""
		}
		return letter, "", ""
	}
	block := int(u16(tableHeader + 2*int(r>>6)))
	at := tablePool + 2*int(u16(tableBlocks+2*(64*block+int(r&63))))
	n := folds[at+1]
	mid := at + 2 + int(n>>4)
	return class(folds[at]), folds[at+2 : mid], folds[mid : mid+int(n&15)]
}

func u16(at int) uint16 { return uint16(folds[at]) | uint16(folds[at+1])<<8 }

// tablePool is where the records start.
var tablePool = tableBlocks + 2*64*int(u16(4))

// decode reads one character; invalid UTF-8 is invisible.
func decode(b []byte) (rune, int) {
	r, n := utf8.DecodeRune(b)
	if r == utf8.RuneError && n < 2 {
		return 0x200B, 1
	}
	return r, n
}
