package sanitize

import "slices"

// window is the part of a response that is not let go yet: its bytes as they
// will be sent, and the text in them. It is bounded by the longest beginning of
// a leak that can't be decided, maxHeld.
type window struct {
	o      *Output
	action Action
	report func(Leak)
	x      extractor
	raw    []byte
	gone   int64 // bytes of the body let go before raw
	text   []byte
	at     []span // where each byte of text is in raw
	next   int    // the first byte of text that is not examined
	hold   int    // the first byte of text that may belong to a leak
	ctx    uint32 // the last four bytes of text before next
	open   *secret
	links  linkReader
	run    promptRun
}

// maxHeld is how many bytes of text may be the beginning of a leak.
const maxHeld = 4096

func newWindow(o *Output, f framing, action Action, report func(Leak)) *window {
	w := &window{o: o, action: action, report: report, links: linkReader{closed: noLink, url: noLink}}
	w.x = extractor{framing: f, members: o.cfg.Members, emit: w.emit, pending: -1}
	return w
}

func (w *window) emit(b byte, at span) {
	w.text = append(w.text, b)
	w.at = append(w.at, at)
}

// feed takes the next bytes of the response.
func (w *window) feed(p []byte) {
	from := len(w.raw)
	w.raw = append(w.raw, p...)
	w.text = slices.Grow(w.text, len(p))
	w.at = slices.Grow(w.at, len(p))
	for i := from; i < len(w.raw); i++ {
		w.x.byte(w.raw[i], i)
	}
	w.examine(false)
}

// finish takes the end of the response.
func (w *window) finish() {
	w.x.end()
	w.examine(true)
	w.hold = len(w.text)
	w.x.pending = -1
}

// safe returns the bytes that can be let go.
func (w *window) safe() []byte {
	end := len(w.raw)
	if w.hold < len(w.text) {
		end = w.at[w.hold].start
	}
	if w.x.pending >= 0 {
		end = min(end, w.x.pending)
	}
	return w.raw[:end]
}

// release forgets the first n bytes, which safe returned.
func (w *window) release(n int) {
	w.gone += int64(n)
	w.raw = w.raw[:copy(w.raw, w.raw[n:])]
	if w.x.pending >= 0 {
		w.x.pending -= n
	}
	keep := w.hold
	w.text = w.text[:copy(w.text, w.text[keep:])]
	w.at = w.at[:copy(w.at, w.at[keep:])]
	for i := range w.at {
		w.at[i].start -= n
		w.at[i].end -= n
	}
	w.next -= keep
	w.hold = 0
	w.run.start = max(w.run.start-keep, 0)
	w.x.shift(n)
}

// match is what there is to say about a place in the text.
type match struct {
	rule  string
	n     int     // bytes that belong to the leak; 0 if it is none
	maybe bool    // more text decides
	open  *secret // what follows belongs to it, too, as far as it looks alike
}

// examine looks at the text that was not looked at yet.
func (w *window) examine(final bool) {
	w.hold = len(w.text)
	for w.next < len(w.text) {
		i := w.next
		if w.open != nil {
			n, more, ends := w.open.goesOn(w.text[i:], final)
			if ends {
				w.open = nil
			}
			if more {
				w.hold = i
				break
			}
			w.mask(i, i+n)
			w.pass(i + n)
			if n > 0 {
				continue
			}
		}
		m := w.match(i, final)
		if m.n > 0 {
			w.leak(m.rule, i, i+m.n)
			w.open = m.open
			w.pass(i + m.n)
			continue
		}
		if m.maybe && len(w.text)-i < maxHeld {
			w.hold = i
			break
		}
		w.pass(i + 1)
	}
	if w.run.holds() {
		w.hold = min(w.hold, max(w.run.start, 0))
		if len(w.text)-w.hold > maxHeld {
			w.hold = len(w.text) - maxHeld
		}
	}
}

// match looks for a leak that begins at i.
func (w *window) match(i int, final bool) match {
	if w.links.url != noLink {
		if m, done := w.url(w.text[i:], final); !done {
			return m
		}
	}
	b, prev := w.text[i], byte(w.ctx&0xFF)
	inWord := alnum(prev) || prev == '_'
	if w.o.begins[b]&anywhere == 0 && (inWord || w.o.begins[b] == 0) {
		return match{}
	}
	return w.secret(w.text[i:], inWord, final)
}

// pass goes on to the byte at end, and tells those that follow the text.
func (w *window) pass(end int) {
	for ; w.next < end; w.next++ {
		b := w.text[w.next]
		w.links.follow(b, w.ctx)
		w.ctx = w.ctx<<8 | uint32(b)
		if w.o.grams != nil {
			w.prompt(w.next, b)
		}
	}
}

// leak reports text[from:to] and masks it.
func (w *window) leak(rule string, from, to int) {
	first, last := w.at[from], w.at[to-1]
	l := Leak{Rule: rule, Offset: w.gone + int64(first.start), Length: last.end - first.start, Action: w.action}
	w.mask(from, to)
	w.report(l)
}

// mask overwrites text[from:to] where it will be sent.
func (w *window) mask(from, to int) {
	if w.action != Redact {
		return
	}
	for _, s := range w.at[from:to] {
		for i := s.start; i < s.end; i++ {
			w.raw[i] = '*'
		}
	}
}
