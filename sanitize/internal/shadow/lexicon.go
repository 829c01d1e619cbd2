package shadow

import (
	"strings"
	"sync"
)

// keywords are words that attacks on instructions can't do without. They tell whether undoing a disguise made sense.
const keywords = "ignore ignoring disregard forget override overrule bypass neglect dismiss discard " +
	"previous previously prior earlier preceding above instruction instructions directive directives guideline guidelines " +
	"restriction restrictions limitation limitations policy policies command commands constraint constraints " +
	"system systems prompt prompts prompting message messages reveal reveals print output repeat disclose display expose leak " +
	"secret secrets password passwords credential credentials confidential hidden token developer administrator admin " +
	"assistant chatgpt openai model pretend character persona jailbreak jailbroken unrestricted unfiltered uncensored " +
	"uncensor restrict filter filters safety ethical ethics moral morals illegal harmful malicious exploit hacker hacked pwned " +
	"execute respond response simulate simulator override sudo root mode enabled disabled disable enable activate " +
	"initialize initial original content comply obey follow context conversation everything anything immediately " +
	"ignoriere anweisungen ignora instrucciones instruccions anteriores oublie oubliez precedentes istruzioni instrucoes vergiss negeer instructies vorherigen"

// commons are words that most English texts have; they count less.
const commons = "all the you your and are with that this have from will not what about now only without rules rule must never always " +
	"just first next then else tell give show write say text word words into instead question answer please can could would should " +
	"data task tasks user users being been were when where which there their they them begin start stop free able make " +
	"need want know like help time people language human world story code information access mode create provide find work " +
	"every other some most more many such after before because right think thing things good great even also very really " +
	"long back down look come came going said says take took made making read send call using used does doing done again " +
	"still here same each between under through during while until against within above below following follow these those " +
	"than both between anyone someone something nothing think your yours mine itself himself developer version response " +
	"answers questions request requests result results input code text words sentence sentences translate summarize letter " +
	"number list email document article page website information account data file files open close stay keep kept " +
	"possible never always maybe sure okay hello thank thanks sorry important different another first second third last " +
	"any for get over pass ride form act dan new our out how who why but was has had"

// radio is the spelling alphabet of NATO, with the usual other spellings.
const radio = "alpha alfa bravo charlie delta echo foxtrot golf hotel india juliet juliett kilo lima mike november oscar " +
	"papa quebec romeo sierra tango uniform victor whiskey whisky xray yankee zulu"

// opposite are pairs of words that stand in this order only where the order of words was reversed.
var opposite = strings.Split("instructions previous,instructions prior,instructions all,previous all,prior all,all ignore,all disregard,"+
	"all forget,prompt system,rules your,instructions your,guidelines your,restrictions your,prompt your,system your,message system,"+
	"instructions above,rules previous,rules all,your ignore,your reveal,prompts system,instruction previous,instructions system", ",")

// fewest letters of a word that is looked up.
const fewest = 3

// longest is the length of the longest keyword.
const longest = 14

// A mark of the gate says which disguise of a word was met.
const (
	gateRot    = 0  // + the shift that undoes it, 1 to 25
	gateAtbash = 26 //
	gateBack   = 27 // reversed
	gatePig    = 28
	gateNato   = 29
	gates      = 32
)

// A lexicon knows words by their hash: keywords, commons, and what ciphers make of them.
type lexicon struct {
	turned table // pairs in reversed order
	plain  table // worth 2 for a keyword, 1 for a common word
	gate   table // disguise<<2 | worth
	// tails has a bit for each end of a word that is worth something, so that most words need not be put together with others.
	tails [1 << 9]uint64
}

// endsWord reports whether a word that is worth something may end in the letters with hash h.
func (l *lexicon) endsWord(h uint32) bool {
	b := mixed(h) >> (32 - 15)
	return l.tails[b>>6]>>(b&63)&1 != 0
}

// words is built when the first text is folded.
var words = sync.OnceValue(func() *lexicon {
	l := &lexicon{}
	l.gate.grow(15)
	l.plain.grow(11)
	add := func(list string, worth byte) {
		for w := range strings.FieldsSeq(list) {
			l.plain.add(hashOf(w), worth)
			for i := 1; i < len(w); i++ {
				b := mixed(hashOf(w[i:])) >> (32 - 15)
				l.tails[b>>6] |= 1 << (b & 63)
			}
			if len(w) < 4 {
				continue
			}
			for k := 1; k < 26; k++ {
				l.gate.add(hashOf(rotate(w, k)), byte(gateRot+26-k)<<2|worth)
			}
			l.gate.add(hashOf(strings.Map(atbash, w)), gateAtbash<<2|worth)
			if back := reverse(w); back != w {
				l.gate.add(hashOf(back), gateBack<<2|worth)
			}
			if v := strings.IndexAny(w, "aeiouy"); v == 0 {
				l.gate.add(hashOf(w+"way"), gatePig<<2|worth)
				l.gate.add(hashOf(w+"yay"), gatePig<<2|worth)
			} else if v > 0 {
				l.gate.add(hashOf(w[v:]+w[:v]+"ay"), gatePig<<2|worth)
			}
		}
	}
	l.turned.grow(6)
	for _, pair := range opposite {
		first, second, _ := strings.Cut(pair, " ")
		l.turned.add(hashOf(first)*powers[1]+hashOf(second), 1)
	}
	for w := range strings.FieldsSeq(radio) {
		l.gate.add(hashOf(w), gateNato<<2|1)
	}
	add(keywords, 2)
	add(commons, 1)
	return l
})

// A table maps hashes to a byte other than zero: a filter of one bit for most words that are not in it, then open addressing.
type table struct {
	bits  []uint64
	keys  []uint32
	vals  []byte
	shift uint
}

func (t *table) grow(log uint) {
	t.shift = 32 - log
	t.keys = make([]uint32, 1<<log)
	t.vals = make([]byte, 1<<log)
	t.bits = make([]uint64, 1<<(log+3)/64)
}

// mixed spreads a hash over all of its bits.
func mixed(h uint32) uint32 { return (h ^ h>>15) * 0x9E3779B1 }

func (t *table) add(h uint32, val byte) {
	m := mixed(h)
	at := m >> t.shift
	for t.vals[at] != 0 {
		if t.keys[at] == h {
			return // the first meaning stays
		}
		at = (at + 1) & uint32(len(t.keys)-1) //nolint:gosec // a power of two
	}
	t.keys[at], t.vals[at] = h, val
	b := m >> (t.shift - 3)
	t.bits[b>>6] |= 1 << (b & 63)
}

func (t *table) get(h uint32) byte {
	m := mixed(h)
	b := m >> (t.shift - 3)
	if t.bits[b>>6]>>(b&63)&1 == 0 {
		return 0
	}
	for at := m >> t.shift; t.vals[at] != 0; at = (at + 1) & uint32(len(t.keys)-1) { //nolint:gosec // a power of two
		if t.keys[at] == h {
			return t.vals[at]
		}
	}
	return 0
}

// The hash of a word is a polynomial over its bytes, so that the hash of two parts gives that of the whole. An l counts as
// an i: the digit 1 stands for both.
const prime = 0x01000193

var letterValue = func() (t [256]uint32) {
	for i := range t {
		t[i] = uint32(i) //nolint:gosec // below 256
	}
	t['l'] = 'i'
	return t
}()

// powers of prime, by the length of the second part.
var powers = func() (t [longest + 1]uint32) {
	t[0] = 1
	for i := 1; i < len(t); i++ {
		t[i] = t[i-1] * prime
	}
	return t
}()

func hashOf(s string) (h uint32) {
	for i := range len(s) {
		h = h*prime + letterValue[s[i]]
	}
	return h
}

// rotate moves the letters of a lower-case word k places on in the alphabet.
func rotate(w string, k int) string {
	return strings.Map(func(r rune) rune {
		if r < 'a' || r > 'z' {
			return r
		}
		return 'a' + (r-'a'+rune(k))%26 //nolint:gosec // below 26
	}, w)
}

func atbash(r rune) rune {
	if r < 'a' || r > 'z' {
		return r
	}
	return 'a' + 'z' - r
}

func reverse(w string) string {
	b := []byte(w)
	for i, j := 0, len(b)-1; i < j; i, j = i+1, j-1 {
		b[i], b[j] = b[j], b[i]
	}
	return string(b)
}
