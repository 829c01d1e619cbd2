package cache

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
)

// ErrParams is what the error of [NewKey] wraps when the parameters are not
// JSON that means one thing to everybody: when they are malformed, name a member
// of an object twice, hold text that is not UTF-8 or half a surrogate pair, or
// are nested more than 200 deep.
var ErrParams = errors.New("parameters have no canonical form")

// maxDepth bounds the recursion. The deepest JSON schemas that people send as
// tools have a few dozen levels.
const maxDepth = 200

// canonical rewrites JSON so that two texts with the same meaning become the
// same bytes: members sorted, no white space, one way of writing each string
// and number. Numbers keep all their digits; they are never rounded to what a
// float64 holds, since a seed or an id of 20 digits is told from its neighbour.
//
// What encoding/json repairs silently is refused here: it would make two
// different texts one.
type canonical struct {
	in      []byte
	pos     int
	out     []byte
	members []member
	scratch []byte

	model   []byte // the canonical text of the member "model"
	sampled bool   // there is a temperature above zero
}

// member is where in the output a member of an object is.
type member struct{ start, colon, end int }

// parse leaves the canonical form of in in c.out. Nothing at all is fine too.
func (c *canonical) parse(in []byte) error {
	*c = canonical{in: in, out: c.out[:0], members: c.members[:0], scratch: c.scratch, model: c.model[:0]}
	if len(in) == 0 {
		return nil
	}
	err := c.value(1)
	c.space()
	if err == nil && c.pos < len(c.in) {
		err = c.fail("text after the value")
	}
	c.in = nil
	return err
}

func (c *canonical) fail(what string) error {
	return fmt.Errorf("cache: %w: %s at byte %d", ErrParams, what, c.pos)
}

// peek returns the next byte that is no white space; 0 at the end.
func (c *canonical) peek() byte {
	if c.pos < len(c.in) && c.in[c.pos] > ' ' {
		return c.in[c.pos] // usually there is none, and this is inlined
	}
	return c.skip()
}

func (c *canonical) skip() byte {
	c.space()
	if c.pos == len(c.in) {
		return 0
	}
	return c.in[c.pos]
}

func (c *canonical) space() {
	for c.pos < len(c.in) {
		switch c.in[c.pos] {
		case ' ', '\t', '\r', '\n':
			c.pos++
		default:
			return
		}
	}
}

func (c *canonical) value(depth int) error {
	if depth > maxDepth {
		return c.fail("nested too deep")
	}
	switch b := c.peek(); {
	case b == '{':
		return c.object(depth)
	case b == '[':
		return c.array(depth)
	case b == '"':
		return c.string()
	case b == '-' || b >= '0' && b <= '9':
		return c.number()
	case b == 't':
		return c.literal("true")
	case b == 'f':
		return c.literal("false")
	default:
		return c.literal("null")
	}
}

func (c *canonical) literal(word string) error {
	if !bytes.HasPrefix(c.in[c.pos:], []byte(word)) {
		return c.fail("no value")
	}
	c.pos += len(word)
	c.out = append(c.out, word...)
	return nil
}

func (c *canonical) array(depth int) error {
	c.pos++
	c.out = append(c.out, '[')
	for c.peek() != ']' {
		if err := c.value(depth + 1); err != nil {
			return err
		}
		if more, err := c.comma(']'); err != nil {
			return err
		} else if !more {
			break
		}
		c.out = append(c.out, ',')
	}
	c.pos++
	c.out = append(c.out, ']')
	return nil
}

// comma passes the comma between two values, and reports whether there was one
// rather than the end.
func (c *canonical) comma(end byte) (bool, error) {
	switch c.peek() {
	case end:
		return false, nil
	case ',':
		c.pos++
		if c.peek() == end {
			return false, c.fail("a comma before the end")
		}
		return true, nil
	default:
		return false, c.fail("no comma")
	}
}

func (c *canonical) object(depth int) error {
	c.pos++
	c.out = append(c.out, '{')
	start, first := len(c.out), len(c.members)
	sorted := true
	for last := (member{}); c.peek() != '}'; {
		m, err := c.member(depth)
		if err != nil {
			return err
		}
		sorted = sorted && (last.end == 0 || bytes.Compare(c.name(last), c.name(m)) < 0)
		c.members, last = append(c.members, m), m
		if more, err := c.comma('}'); err != nil {
			return err
		} else if !more {
			break
		}
		c.out = append(c.out, ',')
	}
	c.pos++
	if !sorted {
		if err := c.sort(start, c.members[first:]); err != nil {
			return err
		}
	}
	c.members = c.members[:first]
	c.out = append(c.out, '}')
	return nil
}

func (c *canonical) member(depth int) (member, error) {
	m := member{start: len(c.out)}
	if c.peek() != '"' {
		return m, c.fail("no name of a member")
	}
	if err := c.string(); err != nil {
		return m, err
	}
	m.colon = len(c.out)
	if c.peek() != ':' {
		return m, c.fail("no colon")
	}
	c.pos++
	c.out = append(c.out, ':')
	if err := c.value(depth + 1); err != nil {
		return m, err
	}
	m.end = len(c.out)
	switch m.colon - m.start {
	case len(`"model"`), len(`"temperature"`):
		c.note(depth, c.name(m), c.out[m.colon+1:m.end])
	}
	return m, nil
}

// note keeps what the cache itself has to know. Some providers keep the
// temperature one level down, as in "generationConfig" or "options".
func (c *canonical) note(depth int, name, value []byte) {
	switch string(name) {
	case `"model"`:
		if depth == 1 && value[0] == '"' {
			c.model = append(c.model, value...) // out may still move
		}
	case `"temperature"`:
		if depth <= 2 && value[0] >= '1' && value[0] <= '9' {
			c.sampled = true
		}
	}
}

// name returns the canonical text of the name of a member.
func (c *canonical) name(m member) []byte { return c.out[m.start:m.colon] }

// modelName returns the member "model", or "". It saves a copy if that is usual.
func (c *canonical) modelName(usual string) string {
	if len(c.model) == 0 {
		return ""
	}
	if bytes.IndexByte(c.model, '\\') < 0 {
		if raw := c.model[1 : len(c.model)-1]; string(raw) != usual {
			return string(raw)
		}
		return usual
	}
	var name string
	_ = json.Unmarshal(c.model, &name) // canonical text is valid
	return name
}

// sort brings the members of an object, all of what follows start, in order.
func (c *canonical) sort(start int, members []member) error {
	slices.SortFunc(members, func(a, b member) int { return bytes.Compare(c.name(a), c.name(b)) })
	for i := 1; i < len(members); i++ {
		if bytes.Equal(c.name(members[i-1]), c.name(members[i])) {
			return c.fail("a member named twice in the object that ends")
		}
	}
	c.scratch = append(c.scratch[:0], c.out[start:]...)
	c.out = c.out[:start]
	for i, m := range members {
		if i > 0 {
			c.out = append(c.out, ',')
		}
		c.out = append(c.out, c.scratch[m.start-start:m.end-start]...)
	}
	return nil
}

// number writes a number as digits that neither begin nor end with a zero and
// an exponent, which is left out if it is zero: 1.50 is 15e-1, 100 is 1e2.
func (c *canonical) number() error {
	first := c.pos
	negative := c.in[c.pos] == '-'
	if negative {
		c.pos++
	}
	whole := c.digits()
	if len(whole) == 0 || len(whole) > 1 && whole[0] == '0' {
		return c.fail("no number")
	}
	if whole[len(whole)-1] != '0' && (c.pos == len(c.in) || c.in[c.pos] != '.' && c.in[c.pos]|0x20 != 'e') {
		c.out = append(c.out, c.in[first:c.pos]...) // as most are
		return nil
	}
	var fraction []byte
	if c.pos < len(c.in) && c.in[c.pos] == '.' {
		c.pos++
		if fraction = c.digits(); len(fraction) == 0 {
			return c.fail("no number")
		}
	}
	exponent, err := c.exponent()
	if err != nil {
		return err
	}
	start := len(c.out)
	c.out = append(append(c.out, whole...), fraction...)
	exponent -= int64(len(fraction))
	digits := bytes.TrimLeft(c.out[start:], "0")
	significant := bytes.TrimRight(digits, "0")
	exponent += int64(len(digits) - len(significant))
	c.out = c.out[:start]
	if len(significant) == 0 {
		c.out = append(c.out, '0') // -0 too: no parameter tells them apart
		return nil
	}
	if negative {
		c.scratch = append(c.scratch[:0], significant...)
		c.out = append(append(c.out, '-'), c.scratch...)
	} else {
		c.out = append(c.out, significant...) // moves towards the front
	}
	if exponent != 0 {
		c.out = strconv.AppendInt(append(c.out, 'e'), exponent, 10)
	}
	return nil
}

func (c *canonical) digits() []byte {
	start := c.pos
	for c.pos < len(c.in) && c.in[c.pos] >= '0' && c.in[c.pos] <= '9' {
		c.pos++
	}
	return c.in[start:c.pos]
}

func (c *canonical) exponent() (int64, error) {
	if c.pos == len(c.in) || c.in[c.pos]|0x20 != 'e' {
		return 0, nil
	}
	c.pos++
	start := c.pos
	if c.pos < len(c.in) && (c.in[c.pos] == '+' || c.in[c.pos] == '-') {
		c.pos++
	}
	if len(c.digits()) == 0 {
		return 0, c.fail("no number")
	}
	const bits = 40 // no sum with a length in bytes overflows
	v, err := strconv.ParseInt(string(c.in[start:c.pos]), 10, bits)
	if err != nil {
		return 0, c.fail("an exponent out of range")
	}
	return v, nil
}
