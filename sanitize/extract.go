package sanitize

import (
	"mime"
	"net/http"
	"slices"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// framing is how text is wrapped in a response.
type framing uint8

const (
	plainText framing = iota // every byte is text
	jsonText                 // all strings are, each of its own
	eventText                // server-sent events, whose data goes on from event to event
)

// framingOf returns the framing by the header of a response, and whether there
// is text in it at all.
func framingOf(h http.Header) (framing, bool) {
	if c := h.Get("Content-Encoding"); c != "" && !strings.EqualFold(c, "identity") {
		return 0, false
	}
	m, _, err := mime.ParseMediaType(h.Get("Content-Type"))
	switch {
	case err != nil && m == "":
		return plainText, h.Get("Content-Type") == ""
	case m == "text/event-stream":
		return eventText, true
	case m == "application/json", strings.HasSuffix(m, "+json"), m == "application/x-ndjson", m == "application/jsonl":
		return jsonText, true
	case strings.HasPrefix(m, "text/"), m == "application/xml", strings.HasSuffix(m, "+xml"):
		return plainText, true
	}
	return 0, false
}

// textMembersOut are the members that carry the text of a model in the events of
// the APIs of Anthropic and OpenAI, and of many that resemble them.
var textMembersOut = [...]string{
	"text", "content", "delta", "arguments", "partial_json", "thinking", "reasoning", "reasoning_content",
	"refusal", "output", "output_text", "completion", "response", "token", "message",
}

// extractor finds the text in a response, byte by byte.
type extractor struct {
	framing framing
	members []string
	emit    func(b byte, at span)
	pending int  // where an escape began that is not complete; -1 if none
	mark    int  // how many bytes of a byte order mark the stream began with; -1 behind that
	cr      bool // the last byte was a return
	data    bool // the stream had data
	plain   bool // its first data was no JSON, so none is
	line    eventLine
	str     jsonString
}

// eventLine is where the extractor is in a line of a stream of events (HTML
// standard, section 9.2.6).
type eventLine struct {
	column int  // how much of "data:" was read; -1 in the rest of another line
	data   bool // in the value of a data line
	begun  bool // the value has begun behind its optional space
	json   bool // it is JSON
	more   bool // the event has a data line already
}

// maxMember is how long the name of a member with text may be.
const maxMember = 32

// jsonString is where the extractor is in JSON.
type jsonString struct {
	in     bool
	text   bool // what is in it is text
	colon  bool // a name and its colon came before
	inside bool // of an object or array
	name   [20]byte
	n      int
	esc    int // how much of an escape was read
	start  int // where it began
	unit   rune
	high   rune // the first half of a surrogate pair
}

func (x *extractor) byte(b byte, i int) {
	switch x.framing {
	case jsonText:
		x.json(b, i)
	case eventText:
		x.event(b, i)
	default:
		x.emit(b, span{i, i + 1})
	}
}

// end ends what is not complete.
func (x *extractor) end() {
	if x.str.high != 0 {
		x.emitRune(utf8.RuneError, x.str.start, x.str.start)
		x.str.high = 0
	}
}

// shift tells that n bytes in front were let go.
func (x *extractor) shift(n int) { x.str.start -= n }

func (x *extractor) event(b byte, i int) {
	const field = "data:"
	l := &x.line
	if x.mark >= 0 {
		if b == utf8BOM[x.mark] {
			if x.mark++; x.mark == len(utf8BOM) {
				x.mark = -1
			}
			return
		}
		if x.mark > 0 {
			l.column = -1 // something else
		}
		x.mark = -1
	}
	crlf := x.cr && b == '\n'
	x.cr = b == '\r'
	switch {
	case crlf: // the line has ended already
	case b == '\n' || b == '\r':
		if l.column == 0 {
			l.more = false // an empty line ends the event
		}
		*l = eventLine{more: l.more}
		x.str = jsonString{}
		x.pending = -1
	case l.data:
		x.eventData(b, i)
	case l.column >= 0 && b == field[l.column]:
		if l.column++; l.column == len(field) {
			l.data = true
			if l.more {
				x.emit('\n', span{i, i})
			}
			l.more = true
		}
	default:
		l.column = -1
	}
}

func (x *extractor) eventData(b byte, i int) {
	l := &x.line
	if !l.begun {
		l.begun = true
		if b == ' ' {
			return
		}
	}
	if l.column >= 0 { // the first byte of the value
		l.column = -1
		l.json = !x.plain && (b == '{' || b == '"')
		x.plain = x.plain || !x.data && !l.json
		x.data = true
	}
	if l.json {
		x.json(b, i)
		return
	}
	x.emit(b, span{i, i + 1})
}

func (x *extractor) json(b byte, i int) {
	s := &x.str
	switch {
	case !s.in:
		x.structure(b)
	case s.esc > 0:
		x.escape(b, i)
	case b == '\\':
		if s.high == 0 {
			s.start = i
			x.pending = i
		}
		s.esc = 1
	case b == '"':
		x.lone(i)
		s.in, s.colon = false, false
		if x.framing == jsonText {
			x.emit('\n', span{i, i}) // the next string is another text
		}
	default:
		x.lone(i)
		x.character(b, span{i, i + 1})
	}
}

// structure reads a byte between strings.
func (x *extractor) structure(b byte) {
	s := &x.str
	switch b {
	case '"':
		s.in = true
		s.text = x.framing == jsonText || !s.inside || s.colon && x.textMember()
		if !s.colon {
			s.n = 0
		}
	case ':':
		s.colon = true
	case ',', '{', '}', '[', ']':
		s.colon, s.inside = false, true
	}
}

func (x *extractor) textMember() bool {
	name := string(x.str.name[:x.str.n])
	for _, m := range textMembersOut {
		if m == name {
			return true
		}
	}
	return slices.Contains(x.members, name)
}

// character takes one byte of the content of a string.
func (x *extractor) character(b byte, at span) {
	s := &x.str
	if s.text {
		x.emit(b, at)
	}
	if !s.colon && s.n < len(s.name) {
		s.name[s.n] = b
		s.n++
	}
}

// lone emits the half of a surrogate pair that no other half follows.
func (x *extractor) lone(i int) {
	if x.str.high != 0 {
		x.str.high = 0
		x.emitRune(utf8.RuneError, x.str.start, i)
	}
}

func (x *extractor) escape(b byte, i int) {
	s := &x.str
	switch {
	case s.esc == 1 && b == 'u':
		s.esc, s.unit = 2, 0
		return
	case s.esc == 1:
		if s.high != 0 {
			x.lone(i - 1)
			s.start = i - 1
		}
		s.esc = 0
		x.pending = -1
		x.character(unescaped(b), span{s.start, i + 1})
		return
	}
	digit, _ := hex4([]byte{'0', '0', '0', b})
	s.unit = s.unit<<4 | digit
	if s.esc++; s.esc < 6 {
		return
	}
	s.esc = 0
	x.codeUnit(i + 1)
}

// codeUnit takes the \u escape that ends at end.
func (x *extractor) codeUnit(end int) {
	s := &x.str
	switch {
	case s.high != 0 && utf16.DecodeRune(s.high, s.unit) != utf8.RuneError:
		x.emitRune(utf16.DecodeRune(s.high, s.unit), s.start, end)
		s.high = 0
	case s.high != 0:
		const size = len(`\u0000`)
		x.lone(end - size)
		s.start = end - size
		x.codeUnit(end)
	case utf16.IsSurrogate(s.unit):
		s.high = s.unit
	default:
		x.emitRune(s.unit, s.start, end)
	}
}

func (x *extractor) emitRune(r rune, start, end int) {
	var buf [utf8.UTFMax]byte
	for _, b := range buf[:utf8.EncodeRune(buf[:], r)] {
		x.character(b, span{start, end})
	}
	x.pending = -1
}
