package shadow

import "github.com/sparkhttp/spark/sanitize/internal/word"

// findings are what reading a view's words told about things hidden in it. They decide which decoders run at all.
type findings struct {
	gate   [gates]uint8 // points for each word disguise
	gated  bool         // some were met
	long   bool         // a token long enough to be encoded
	dense  bool         // a run without spaces that is as long
	digits streak       // decimal digits
	swords streak       // signs that ROT47 makes of letters
	escape int          // signs that start an escape
	dots   int          // dots that end no word
	turned int          // keywords in an order that only reversing makes sense of
	quotes int          // quotes: perhaps a text in parts
	quote  int          // where the last one stands
	added  bool         // a sign that adds texts up stands between two quotes
}

// A streak counts what stands close together.
type streak struct {
	last  int // where it was met last
	count int // since the last wide gap
	most  int // the largest count
}

// add counts what stands at i, no more than gap bytes behind the last one.
func (s *streak) add(i, gap int) {
	if i-s.last > gap {
		s.count = 0
	}
	s.count++
	s.last, s.most = i, max(s.most, s.count)
}

// The widest gaps, in bytes: between digits of codes of characters, and between signs in a text in ROT47.
const (
	codeGap  = 24
	swordGap = 40
)

// A scanner reads the words of a view.
type scanner struct {
	lex    *lexicon
	cuts   []span     // in the order met
	splits [256]uint8 // words put together, by the last sign between their parts, 0 for white space
	split  int        // all of them
	glue   byte       // a sign that was found to split words
	buf    []byte
	v      *view
	t      *Text

	close       int      // where the next > stands, if that is known
	veiled      bool     // the text has characters that veil words
	leet        int      // words with leetspeak undone
	leetLike    int      // words that may be leetspeak
	leetDone    int      // up to here no token is leetspeak
	recent      [4]piece // the last words, in turn
	turn        int      // of the word at hand
	chain       chain
	solo        span // a stretch of single letters, from the first to the last
	solos       int
	soloLetters int
	f           findings
}

// A piece is a word as the scanner remembers it.
type piece struct {
	code     code
	from, to int
	size     int
	worth    byte
}

// What a byte of a folded text is to the scanner.
const (
	isOther byte = iota
	isLetter
	isDigit
	isSign // stands for a letter in leetspeak
	isMarkup
	isDash
	isEscape
	isQuote
	isSword
	isHigh
)

var kinds = func() (t [256]byte) {
	set := func(s string, k byte) {
		for i := range len(s) {
			t[s[i]] = k
		}
	}
	set("0123456789", isDigit)
	set("@$!|+(", isSign)
	set("*`~<", isMarkup)
	set(".-", isDash)
	set(`%&\=`, isEscape)
	set(`"'`, isQuote)
	set(":;>?", isSword)
	for c := 'a'; c <= 'z'; c++ {
		t[c] = isLetter
	}
	for c := 0x80; c < 0x100; c++ {
		t[c] = isHigh
	}
	return t
}()

// read goes through the words of the view once.
func (s *scanner) read() {
	s.buf, s.cuts, s.leet, s.leetLike = s.v.buf, s.cuts[:0], 0, 0
	s.leetDone, s.close = 0, -1
	s.recent, s.turn, s.chain, s.solos, s.soloLetters, s.f = [4]piece{}, 0, chain{}, 0, 0, findings{}
	const (
		long  = 12 // the shortest code of letters and digits worth a look
		dense = 20 // the shortest of all characters
	)
	token, word := 0, 0 // starts of the runs at hand
	for i := 0; i < len(s.buf); {
		switch k := kinds[s.buf[i]]; k {
		case isLetter:
			i = s.word(i)
			if i < len(s.buf) && s.buf[i] == ' ' {
				s.f.dense = s.f.dense || i-word >= dense
				s.f.long = s.f.long || i-token >= long
				i++
				word, token = i, i
			}
		case isHigh:
			i = s.high(i)
			token = i
		default:
			next, ends := i+1, true
			if k != isOther {
				next, ends = s.sign(i, k)
			} else if s.buf[i] <= ' ' {
				s.f.dense = s.f.dense || i-word >= dense
				word = next
			}
			if ends {
				s.f.long = s.f.long || i-token >= long
				token = next
			}
			i = next
		}
	}
	s.f.long = s.f.long || len(s.buf)-token >= long
	s.f.dense = s.f.dense || len(s.buf)-word >= dense
	s.endSolo()
	s.unchain()
}

// sign reads a digit, sign or space at i. It returns what comes next, and whether no code has such a character.
func (s *scanner) sign(i int, kind byte) (next int, ends bool) {
	buf := s.buf
	switch kind {
	case isDigit, isSign:
		if end := s.leetWord(i); end > i {
			return end, false
		}
		if kind == isDigit {
			s.f.digits.add(i, codeGap)
			if s.alone(i) {
				s.single(i, i+1, false)
			}
			return i + 1, false
		}
		if buf[i] == '+' && i > 0 && buf[i-1] == 'u' {
			s.f.escape++ // U+0041
		}
	case isDash:
		if buf[i] == '.' && (i == 0 || buf[i-1] == ' ' || kinds[buf[i-1]] == isDash || buf[i-1] == '/') {
			s.f.dots++
		}
		return i + 1, buf[i] == '.'
	case isEscape:
		if i+1 < len(buf) && (alphabets[buf[i+1]]&inHex != 0 || buf[i] != '=' && buf[i+1] > ' ') {
			s.f.escape++
		}
		return i + 1, buf[i] != '='
	case isQuote:
		if s.f.quotes++; s.f.quotes > 1 && adds(buf[s.f.quote+1:i]) {
			s.f.added = true
		}
		s.f.quote = i
	case isSword:
		if i > 0 && i+1 < len(buf) && buf[i-1] > ' ' && buf[i+1] > ' ' {
			s.f.swords.add(i, swordGap)
		}
	}
	return i + 1, true
}

// word reads the word that starts at i and returns its end.
func (s *scanner) word(i int) int {
	buf, from := s.buf, i
	k, size := word.Letters(buf, i)
	i += size
	for i < len(buf) {
		switch c := kinds[buf[i]]; c {
		case isLetter: // it is long
			size++
			i++
			continue
		case isMarkup:
			if n := s.inWord(i); n > 0 {
				s.cuts = append(s.cuts, span{i, i + n})
				s.t.signals.Marks++
				i += n
				next, n := word.Letters(buf, i)
				k = k.Join(size, next)
				size, i = size+n, i+n
				continue
			}
		case isDigit, isSign:
			if i+1 < len(buf) {
				if end := s.leetWord(from); end > i {
					return end
				}
			}
		}
		break
	}
	p := s.word0()
	p.code, p.from, p.to, p.size, p.worth = encode(k), from, i, size, 0
	s.piece(p, size < i-from)
	return i
}

// piece takes note of a word: disguised wholly, or part of a word that was split.
func (s *scanner) piece(p *piece, marked bool) {
	h := p.code.hash()
	if p.size >= fewest {
		s.weigh(p, h, marked)
	}
	if p.size == 1 && s.alone(p.from) {
		s.single(p.from, p.to, true)
	} else if s.solos > 0 {
		s.endSolo()
	}
	if p.worth != 2 && (s.glue != 0 || s.lex.endsWord(h)) {
		s.join(p)
	}
	if s.chain.words > 0 || p.from > 0 && s.buf[p.from-1] > ' ' {
		s.link(p)
	}
	s.turn++
}

// weigh looks a word up: as it is, after the word before it, and as what ciphers make of words.
func (s *scanner) weigh(p *piece, h uint32, marked bool) {
	e := s.lex.find(h)
	p.worth = e.worth
	if p.worth == 2 && (marked || s.veiled && s.v.origin(p.to)-s.v.origin(p.from) != p.to-p.from) {
		s.t.signals.Disguised++
	}
	if p.worth == 0 {
		if e.gate != 0 && p.size >= 4 {
			s.f.gated = true
			s.f.gate[e.gate>>2] = min(200, s.f.gate[e.gate>>2]+e.gate&3)
		}
		return
	}
	if a := s.word1(); p.worth+a.worth > 2 && a.worth > 0 && s.lex.turned[pairOf(a.code, p.code)] {
		s.f.turned++
	}
}

// word0 is where the word at hand is kept, word1 and word2 are the two before it. They take turns, since copying shows.
func (s *scanner) word0() *piece { return &s.recent[s.turn&3] }
func (s *scanner) word1() *piece { return &s.recent[(s.turn-1)&3] }
func (s *scanner) word2() *piece { return &s.recent[(s.turn-2)&3] }

// high reads a word of another script, or a sign that is no letter, and returns its end.
func (s *scanner) high(i int) int {
	buf := s.buf
	from, size := i, 0
	for i < len(buf) && buf[i] >= 0x80 {
		if n := signLen(buf, i); n > 0 {
			if size == 0 {
				return i + n
			}
			break
		}
		for i++; i < len(buf) && buf[i]&0xC0 == 0x80; {
			i++
		}
		size++
	}
	if size == 1 {
		s.single(from, i, true)
	} else {
		s.endSolo()
	}
	s.word1().size, s.word2().size = 0, 0 // nothing is joined across it
	return i
}

// alone reports whether the character at i has no letter or digit next to it.
func (s *scanner) alone(i int) bool {
	b := s.buf
	return (i == 0 || !isAlnum(b[i-1])) && (i+1 == len(b) || !isAlnum(b[i+1]))
}
