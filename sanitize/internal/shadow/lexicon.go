package shadow

import (
	"cmp"
	"strings"
	"sync"

	"github.com/sparkhttp/spark/sanitize/internal/word"
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

// A lexicon knows words by their codes: keywords, commons, and what ciphers make of them.
type lexicon struct {
	// A filter of one bit for most words that are not in it, then open addressing.
	filter [1 << filterBits / 64]uint64
	words  [1 << lexiconBits]struct {
		hash uint32
		entry
	}
	turned map[uint32]bool // pairs in reversed order
	// tails has a bit for each end of a word that is worth something, so that most words need not be put together with others.
	tails [1 << tailBits / 64]uint64
}

const (
	lexiconBits = 15
	filterBits  = lexiconBits + 2
	tailBits    = 15
)

// An entry says what a word means: worth 2 for a keyword, 1 for a common word; gate is disguise<<2 | worth for a disguised one.
type entry struct{ worth, gate byte }

// find returns what the word with hash h means.
func (l *lexicon) find(h uint32) entry {
	if b := h >> (32 - filterBits); l.filter[b>>6]>>(b&63)&1 == 0 {
		return entry{}
	}
	return l.words[l.place(h)].entry
}

// place returns where h stands, or could stand.
func (l *lexicon) place(h uint32) uint32 {
	at := h >> (32 - lexiconBits)
	for l.words[at].hash != h && l.words[at].entry != (entry{}) {
		at = (at + 1) % (1 << lexiconBits)
	}
	return at
}

// add takes note of a word; the first meaning of a kind stays.
func (l *lexicon) add(w string, e entry) {
	h := codeOf(w).hash()
	v := &l.words[l.place(h)]
	v.hash = h
	if e.worth != 0 {
		v.worth = cmp.Or(v.worth, e.worth)
	} else {
		v.gate = cmp.Or(v.gate, e.gate)
	}
	b := h >> (32 - filterBits)
	l.filter[b>>6] |= 1 << (b & 63)
}

// endsWord reports whether a word that is worth something may end in the letters with hash h.
func (l *lexicon) endsWord(h uint32) bool {
	b := h >> (32 - tailBits)
	return l.tails[b>>6]>>(b&63)&1 != 0
}

// words is built when the first text is folded.
var words = sync.OnceValue(func() *lexicon {
	l := &lexicon{turned: map[uint32]bool{}}
	add := func(list string, worth byte) {
		for w := range strings.FieldsSeq(list) {
			l.add(w, entry{worth: worth})
			for i := 1; i < len(w); i++ {
				b := codeOf(w[i:]).hash() >> (32 - tailBits)
				l.tails[b>>6] |= 1 << (b & 63)
			}
			if len(w) < 4 {
				continue
			}
			for k := 1; k < 26; k++ {
				l.add(rotate(w, k), entry{gate: byte(gateRot+26-k)<<2 | worth})
			}
			l.add(strings.Map(atbash, w), entry{gate: gateAtbash<<2 | worth})
			if back := reverse(w); back != w {
				l.add(back, entry{gate: gateBack<<2 | worth})
			}
			if v := strings.IndexAny(w, "aeiouy"); v == 0 {
				l.add(w+"way", entry{gate: gatePig<<2 | worth})
				l.add(w+"yay", entry{gate: gatePig<<2 | worth})
			} else if v > 0 {
				l.add(w[v:]+w[:v]+"ay", entry{gate: gatePig<<2 | worth})
			}
		}
	}
	for _, pair := range opposite {
		first, second, _ := strings.Cut(pair, " ")
		l.turned[pairOf(codeOf(first), codeOf(second))] = true
	}
	for w := range strings.FieldsSeq(radio) {
		l.add(w, entry{gate: gateNato<<2 | 1})
	}
	add(keywords, 2)
	add(commons, 1)
	return l
})

// A code is a word of small letters in which an l counts as an i: the digit 1 stands for both.
type code word.Key

// encode returns the code of a word.
func encode(k word.Key) code { return code{noL(k.Lo), noL(k.Hi)} }

// noL turns each l of eight letters into an i.
func noL(x uint64) uint64 {
	const ones, high = 0x0101010101010101, 0x8080808080808080
	isL := ^(x ^ 'l'*ones + 0x7F*ones) & high
	return x - isL>>7*('l'-'i')
}

func codeOf(w string) code { return encode(word.KeyOf(w[:min(len(w), word.Max)])) }

// hash spreads a code over 32 bits.
func (c code) hash() uint32 { return uint32(word.Key(c).Hash()) } //nolint:gosec // the low half is meant

// join returns the code of two words as one, of which the first has n letters.
func (c code) join(n int, next code) code { return code(word.Key(c).Join(n, word.Key(next))) }

// pairOf is a hash of two words one after the other.
func pairOf(a, b code) uint32 { return a.hash()*31 + b.hash() }

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
