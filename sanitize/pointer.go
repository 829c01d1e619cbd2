package sanitize

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
)

// maxPatterns is how many patterns a path can keep apart.
const maxPatterns = 64

// pattern is a JSON pointer (RFC 6901) whose tokens may be "*" for any member
// or element.
type pattern []token

type token struct {
	name  string
	fold  []byte
	index int // of an array element; -1 if it is none
	any   bool
}

func parsePattern(s string) (pattern, error) {
	if s == "" || s[0] != '/' {
		return nil, fmt.Errorf("sanitize: Fields holds %q, want a JSON pointer that begins with /", s)
	}
	var p pattern
	for part := range strings.SplitSeq(s[1:], "/") {
		name := strings.ReplaceAll(strings.ReplaceAll(part, "~1", "/"), "~0", "~")
		if strings.Contains(strings.NewReplacer("~0", "", "~1", "").Replace(part), "~") {
			return nil, fmt.Errorf("sanitize: Fields holds %q, where ~ is followed by neither 0 nor 1", s)
		}
		t := token{name: part, fold: []byte(name), index: -1, any: part == "*"}
		if name == "0" || name != "" && name[0] != '0' && digits([]byte(name)) == len(name) && len(name) < 10 {
			t.index = 0
			for _, d := range name {
				t.index = t.index*10 + int(d-'0')
			}
		}
		p = append(p, t)
	}
	return p, nil
}

// path says, of a value in the document, which patterns may lead to or through
// it, and whether its strings are wanted.
type path struct {
	mask   uint64
	depth  int
	wanted bool // strings here are text
	source bool // a "source": its data is text if its type says so
	maybe  bool // such data
}

// active reports whether anything inside the value may be wanted.
func (p path) active() bool { return p.mask != 0 || p.wanted || p.source }

// finder collects the strings that patterns lead to. A nil finder finds nothing.
type finder struct {
	patterns []pattern
	roles    *roles
	steps    []step // the way from the root to where the document is read
	places   []step // of the texts, and of what they are in
	texts    []passage
}

// step leads from an array or object to a value in it.
type step struct {
	name  string
	index int // -1 if it is a member
	place int // in steps: its number in places; in places: that of the array or object; from 1 on
}

// passage is a string of the document that is to be sanitized.
type passage struct {
	at     span
	place  int // its own in places, plus one
	role   string
	roles  int  // how many roles were named around it
	exempt bool // all of them are exempt, as far as they were read
	strict bool // one of them is strict
	data   bool // "data" of a source, not known yet to be text
}

// root returns the path of the whole document.
func (f *finder) root() path {
	if f == nil {
		return path{}
	}
	return path{mask: 1<<len(f.patterns) - 1}
}

// element returns the path of the i-th element of an array at p.
func (f *finder) element(p path, i int) path {
	if !p.active() {
		return path{}
	}
	c := f.child(p, nil, i)
	c.wanted = c.wanted || p.wanted
	return c
}

// member returns the path of the member key of an object at p. Names are
// compared as package encoding/json does it, without regard to case, so that
// what the handler reads as the field is what is looked at.
func (f *finder) member(p path, key []byte) path {
	c := f.child(p, key, -1)
	if name := textMember(key); p.wanted && name != "" {
		c.wanted = true
		f.steps[c.depth-1].name = name
	}
	if p.wanted && bytes.EqualFold(key, []byte("source")) {
		c.source = true
		f.steps[c.depth-1].name = "source"
	}
	switch {
	case p.source && bytes.EqualFold(key, []byte("data")):
		c.maybe = !c.wanted
		c.wanted = true
		f.steps[c.depth-1].name = "data"
	case p.source && bytes.EqualFold(key, []byte("content")):
		c.wanted = true
		f.steps[c.depth-1].name = "content"
	}
	return c
}

// child returns the path of the member key, or of the element index if that is
// not -1, and makes it the last step.
func (f *finder) child(p path, key []byte, index int) path {
	c := path{depth: p.depth + 1}
	s := step{name: "*", index: index}
	for i := range f.patterns {
		bit := uint64(1) << i
		if p.mask&bit == 0 || len(f.patterns[i]) <= p.depth {
			continue
		}
		t := &f.patterns[i][p.depth]
		named := index < 0 && bytes.EqualFold(t.fold, key)
		if !named && !t.any && (index < 0 || t.index != index) {
			continue
		}
		if named {
			s.name = t.name
		}
		c.mask |= bit
		c.wanted = c.wanted || len(f.patterns[i]) == c.depth
	}
	f.steps = append(f.steps[:p.depth], s)
	return c
}

// textMembers are the members of a part of a message that hold text, in the
// Messages API of Anthropic and the Chat Completions and Responses APIs of
// OpenAI.
var textMembers = [...]string{"text", "content", "output", "title", "context"}

func textMember(key []byte) string {
	for _, name := range textMembers {
		if strings.EqualFold(name, string(key)) {
			return name
		}
	}
	return ""
}

// found notes the text at s. Where it is becomes a pointer only for the few
// texts that there is something to say about: a body may have many, deep down.
func (f *finder) found(s span, p path) {
	known := p.depth
	for known > 0 && f.steps[known-1].place == 0 {
		known--
	}
	place := 0
	if known > 0 {
		place = f.steps[known-1].place
	}
	for i := known; i < p.depth; i++ {
		f.places = append(f.places, step{name: f.steps[i].name, index: f.steps[i].index, place: place})
		place = len(f.places)
		f.steps[i].place = place
	}
	f.texts = append(f.texts, passage{at: s, place: place, exempt: true, data: p.maybe})
}

// pointer returns the JSON pointer to a text.
func (f *finder) pointer(t *passage) string {
	var way []*step
	for at := t.place; at > 0; at = way[len(way)-1].place {
		way = append(way, &f.places[at-1])
	}
	var pointer []byte
	for _, s := range slices.Backward(way) {
		if s.index >= 0 {
			pointer = appendIndex(pointer, s.index)
		} else {
			pointer = append(append(pointer, '/'), s.name...)
		}
	}
	return string(pointer)
}

// scope is an object that is being read: what its members say of the texts
// inside it.
type scope struct {
	open   bool
	source bool
	first  int // of the texts in it
	role   []byte
	typ    []byte
	roles  int
	types  int
}

// open begins an object at p.
func (f *finder) open(p path) scope {
	if f == nil || !p.active() {
		return scope{}
	}
	return scope{open: true, source: p.source, first: len(f.texts)}
}

// note remembers a member that says whose text is in the object.
func (s *scope) note(key, value []byte) {
	if len(value) < 2 || value[0] != '"' {
		return
	}
	switch {
	case bytes.EqualFold(key, []byte("role")):
		s.role = unescape(value[1 : len(value)-1])
		s.roles++
	case bytes.EqualFold(key, []byte("type")):
		s.typ = unescape(value[1 : len(value)-1])
		s.types++
	}
}

// close ends the object and tells its texts whose they are.
func (f *finder) close(s scope) {
	if !s.open {
		return
	}
	if s.source && s.types == 1 && string(s.typ) != "text" { // of two types, who reads them next may take the other one
		f.texts = append(f.texts[:s.first], slices.DeleteFunc(f.texts[s.first:], func(t passage) bool { return t.data })...)
	}
	for i := s.first; i < len(f.texts); i++ {
		f.roles.tell(&f.texts[i], s)
	}
}
