package sanitize

import (
	"fmt"
	"slices"
)

const (
	rulePrompt = "prompt.text"
	// leakSize is how many letters and digits of a prompt in a row are a leak,
	// gramSize after how many of them the text is held back.
	leakSize = 40
	gramSize = 12
)

// prompt is a confidential text: its letters and digits, in lower case.
type prompt []byte

// gramAt is where a sequence of gramSize bytes ends in a prompt.
type gramAt struct{ prompt, end int }

// maxPlaces bounds the places that are followed at once in prompts that repeat
// themselves.
const maxPlaces = 16

func (o *Output) addPrompt(text string) error {
	p := make(prompt, 0, len(text))
	for i := range len(text) {
		if b, ok := letter(text[i]); ok {
			p = append(p, b)
		}
	}
	if len(p) < leakSize {
		return fmt.Errorf("sanitize: Prompts holds one of %d letters and digits, want at least %d", len(p), leakSize)
	}
	if slices.Contains(o.cfg.Disabled, rulePrompt) {
		return nil
	}
	if o.grams == nil {
		o.grams = map[uint64][]gramAt{}
		o.filter = new([1024]uint64)
	}
	o.prompts = append(o.prompts, p)
	var g gram
	for i, b := range p {
		if g.add(b); g.n == gramSize && len(o.grams[g.hash]) < maxPlaces {
			o.grams[g.hash] = append(o.grams[g.hash], gramAt{len(o.prompts) - 1, i + 1})
			bit := g.bit()
			o.filter[bit>>6] |= 1 << (bit & 63)
		}
	}
	return nil
}

// letter returns b as prompts are compared: letters in lower case and digits,
// and all of what is not ASCII.
func letter(b byte) (byte, bool) {
	switch {
	case b >= 'A' && b <= 'Z':
		return b | 0x20, true
	case b >= 'a' && b <= 'z', b >= '0' && b <= '9', b >= 0x80:
		return b, true
	}
	return 0, false
}

// gram is a rolling hash of the last gramSize bytes.
type gram struct {
	last [gramSize]byte
	n    int
	pos  int
	hash uint64
}

const gramPrime = 0x100000001b3

// gramDrop is gramPrime to the power of gramSize, modulo 2^64.
var gramDrop = func() uint64 {
	p := uint64(1)
	for range gramSize {
		p *= gramPrime
	}
	return p
}()

func (g *gram) add(b byte) {
	old := uint64(0)
	if g.n == gramSize {
		old = uint64(g.last[g.pos]) + 1
	} else {
		g.n++
	}
	g.last[g.pos] = b
	if g.pos++; g.pos == gramSize {
		g.pos = 0
	}
	g.hash = g.hash*gramPrime + uint64(b) + 1 - old*gramDrop
}

// bit returns the bit of a filter of 65,536 for the hash.
func (g *gram) bit() uint64 { return g.hash * 0x9E3779B97F4A7C15 >> 48 }

// promptRun follows how text repeats a prompt.
type promptRun struct {
	gram    gram
	places  [maxPlaces]gramAt // where in prompts the text may be
	n       int
	length  int // letters that agree so far
	start   int // the first byte of text of them that is not let go
	leaking bool
}

// holds reports whether the text may be the beginning of a leak.
func (r *promptRun) holds() bool { return r.n > 0 && !r.leaking }

// prompt takes the byte b of the text, at i.
func (w *window) prompt(i int, b byte) {
	b, ok := letter(b)
	if !ok {
		return
	}
	r := &w.run
	r.gram.add(b)
	if r.n > 0 {
		w.follow(b)
	}
	if r.n == 0 {
		r.leaking = false
		bit := r.gram.bit()
		if r.gram.n == gramSize && w.o.filter[bit>>6]&(1<<(bit&63)) != 0 {
			r.n = copy(r.places[:], w.o.grams[r.gram.hash])
			r.length, r.start = gramSize, i
		}
		return
	}
	switch {
	case r.leaking:
		w.mask(i, i+1)
	case r.length >= leakSize:
		r.leaking = true
		w.leak(rulePrompt, min(r.start, i), i+1)
	}
}

// follow keeps the places where b comes next.
func (w *window) follow(b byte) {
	r := &w.run
	kept := 0
	for _, p := range r.places[:r.n] {
		if text := w.o.prompts[p.prompt]; p.end < len(text) && text[p.end] == b {
			r.places[kept] = gramAt{p.prompt, p.end + 1}
			kept++
		}
	}
	r.n = kept
	r.length++
}
