package sanitize

import (
	"bytes"
	"encoding/binary"
	"net/http"
	"slices"
	"strconv"
	"unicode/utf8"

	"github.com/sparkhttp/spark/problem"
)

// document reads one JSON text (RFC 8259) from its first byte to its last. It
// checks what a decoder may overlook or read in another way than the next one:
// data behind the value, names that occur twice in an object. On the way it
// collects the strings that its pattern is about.
type document struct {
	data      []byte
	pos       int
	depth     int
	values    int
	runes     int
	maxDepth  int
	maxValues int
	maxRunes  int
	names     []span // of the objects that are open
	finder    *finder
}

type span struct{ start, end int }

// Sentences for documents that are not what they should be. None of them says
// what was read.
var (
	errSyntax    = &problem.Document{Status: http.StatusBadRequest, Detail: "The request body is not valid JSON."}
	errTrailing  = &problem.Document{Status: http.StatusBadRequest, Detail: "The request body goes on behind the end of its JSON value."}
	errDuplicate = &problem.Document{Status: http.StatusUnprocessableEntity, Detail: "A name occurs twice in an object of the JSON."}
)

// utf8BOM is what RFC 8259, section 8.1, lets a parser ignore.
const utf8BOM = "\uFEFF"

// read reads the whole document.
func (d *document) read() error {
	if err := d.value(d.finder.root()); err != nil {
		return err
	}
	d.space()
	if d.pos < len(d.data) {
		return errTrailing
	}
	return nil
}

func (d *document) space() {
	for d.pos < len(d.data) {
		switch d.data[d.pos] {
		case ' ', '\t', '\n', '\r':
			d.pos++
		default:
			return
		}
	}
}

// next skips space and returns the byte behind it without reading it, 0 at the end.
func (d *document) next() byte {
	d.space()
	if d.pos == len(d.data) {
		return 0
	}
	return d.data[d.pos]
}

// value reads one value. p says what the finder wants of it.
func (d *document) value(p path) error {
	d.values++
	if d.maxValues > 0 && d.values > d.maxValues {
		return &LimitError{Limit: LimitValues, Max: d.maxValues}
	}
	switch b := d.next(); b {
	case '{':
		return d.nested(p, d.object)
	case '[':
		return d.nested(p, d.array)
	case '"':
		s, err := d.str()
		if err != nil {
			return err
		}
		if d.maxRunes > 0 {
			if d.runes += d.length(s); d.runes > d.maxRunes {
				return &LimitError{Limit: LimitTotal, Max: d.maxRunes}
			}
		}
		if p.wanted && s.start < s.end {
			d.finder.found(s, p)
		}
		return nil
	case 't':
		return d.word("true")
	case 'f':
		return d.word("false")
	case 'n':
		return d.word("null")
	default:
		return d.number()
	}
}

func (d *document) nested(p path, read func(path) error) error {
	if d.depth++; d.depth > d.maxDepth {
		return &LimitError{Limit: LimitDepth, Max: d.maxDepth}
	}
	d.pos++
	err := read(p)
	d.depth--
	return err
}

func (d *document) array(p path) error {
	if d.next() == ']' {
		d.pos++
		return nil
	}
	for i := 0; ; i++ {
		if err := d.value(d.finder.element(p, i)); err != nil {
			return err
		}
		switch d.next() {
		case ',':
			d.pos++
		case ']':
			d.pos++
			return nil
		default:
			return errSyntax
		}
	}
}

func (d *document) object(p path) error {
	first := len(d.names)
	inside := d.finder.open(p)
	if d.next() == '}' {
		d.pos++
		return nil
	}
	for {
		if err := d.member(p, &inside); err != nil {
			return err
		}
		switch d.next() {
		case ',':
			d.pos++
			d.space()
		case '}':
			d.pos++
			d.finder.close(inside)
			err := d.unique(d.names[first:])
			d.names = d.names[:first]
			return err
		default:
			return errSyntax
		}
	}
}

func (d *document) member(p path, inside *scope) error {
	if d.next() != '"' {
		return errSyntax
	}
	name, err := d.str()
	if err != nil {
		return err
	}
	d.names = append(d.names, name)
	if d.next() != ':' {
		return errSyntax
	}
	d.pos++
	if !p.active() {
		return d.value(path{})
	}
	key := unescape(d.data[name.start:name.end])
	d.space()
	start := d.pos
	if err := d.value(d.finder.member(p, key)); err != nil {
		return err
	}
	inside.note(key, d.data[start:d.pos])
	return nil
}

// unique reports names that are there twice, escapes undone.
func (d *document) unique(names []span) error {
	const few = 12
	if len(names) <= few && !slices.ContainsFunc(names, d.odd) {
		for i, n := range names {
			for _, m := range names[:i] {
				if bytes.Equal(d.data[n.start:n.end], d.data[m.start:m.end]) {
					return errDuplicate
				}
			}
		}
		return nil
	}
	seen := make(map[string]struct{}, len(names))
	for _, n := range names {
		seen[string(name(d.data[n.start:n.end]))] = struct{}{}
	}
	if len(seen) < len(names) {
		return errDuplicate
	}
	return nil
}

// odd reports whether a name may be written in more than one way.
func (d *document) odd(n span) bool {
	return slices.ContainsFunc(d.data[n.start:n.end], func(b byte) bool { return b == '\\' || b >= utf8.RuneSelf })
}

// name returns the name that decoders read: without escapes, and with
// replacements for what is not UTF-8. Since decoders differ in how many they
// write, any number of them counts as one.
func name(raw []byte) []byte {
	const replacement = "\uFFFD"
	if raw = unescape(raw); !utf8.Valid(raw) {
		raw = bytes.ToValidUTF8(raw, []byte(replacement))
	}
	for bytes.Contains(raw, []byte(replacement+replacement)) {
		raw = bytes.ReplaceAll(raw, []byte(replacement+replacement), []byte(replacement))
	}
	return raw
}

// str reads a string and returns where it is, without its quotes.
func (d *document) str() (span, error) {
	start := d.pos + 1
	for i := start; i < len(d.data); {
		if i+8 <= len(d.data) && ordinary(binary.LittleEndian.Uint64(d.data[i:])) {
			i += 8
			continue
		}
		switch b := d.data[i]; {
		case b == '"':
			d.pos = i + 1
			return span{start, i}, nil
		case b < 0x20:
			return span{}, errSyntax
		case b == '\\':
			n := escapeLen(d.data[i:])
			if n == 0 {
				return span{}, errSyntax
			}
			i += n
		default:
			i++
		}
	}
	return span{}, errSyntax
}

// ordinary reports whether none of the eight bytes of x is a quote, a backslash
// or a control. It may say no where it could say yes.
func ordinary(x uint64) bool {
	const (
		ones = 0x0101010101010101
		high = 0x8080808080808080
	)
	quote, slash := x^'"'*ones, x^'\\'*ones
	return ((x-0x20*ones)&^x|(quote-ones)&^quote|(slash-ones)&^slash)&high == 0
}

// length returns how many characters the string at s has.
func (d *document) length(s span) int {
	return utf8.RuneCount(unescape(d.data[s.start:s.end]))
}

func (d *document) word(w string) error {
	if !bytes.HasPrefix(d.data[d.pos:], []byte(w)) {
		return errSyntax
	}
	d.pos += len(w)
	return nil
}

// number reads a number by the grammar of RFC 8259, section 6.
func (d *document) number() error {
	p := d.data[d.pos:]
	i := 0
	if i < len(p) && p[i] == '-' {
		i++
	}
	whole := digits(p[i:])
	if whole == 0 || whole > 1 && p[i] == '0' {
		return errSyntax
	}
	i += whole
	if i < len(p) && p[i] == '.' {
		n := digits(p[i+1:])
		if n == 0 {
			return errSyntax
		}
		i += 1 + n
	}
	if i < len(p) && p[i]|0x20 == 'e' {
		i++
		if i < len(p) && (p[i] == '+' || p[i] == '-') {
			i++
		}
		n := digits(p[i:])
		if n == 0 {
			return errSyntax
		}
		i += n
	}
	d.pos += i
	return nil
}

func digits(p []byte) int {
	n := slices.IndexFunc(p, func(b byte) bool { return b < '0' || b > '9' })
	if n < 0 {
		return len(p)
	}
	return n
}

// appendIndex appends an array index to a JSON pointer.
func appendIndex(p []byte, i int) []byte { return strconv.AppendInt(append(p, '/'), int64(i), 10) }
