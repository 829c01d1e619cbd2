package shadow

import "slices"

// A span of bytes that is taken out.
type span struct{ from, to int }

// repair puts words of v together that were taken apart, and undoes leetspeak.
func (t *Text) repair(v *view) {
	s := &t.words
	if s.lex == nil {
		s.lex = words()
	}
	s.t, s.v = t, v
	s.veiled = t.signals.Invisible+t.signals.Styled+t.signals.Mixed+t.signals.Marks > 0
	s.glue = 0
	for range 2 {
		s.read()
		s.settle()
		if s.leet >= 2 && s.leetLike > s.leet {
			s.unleetAll()
		}
		if len(s.cuts) == 0 {
			break
		}
		t.take(v, s.cuts)
	}
	v.found = s.f
}

// settle looks whether one sign split many words, and forgets the count.
func (s *scanner) settle() {
	if s.split == 0 {
		return
	}
	for sign, n := range s.splits {
		if n >= 3 && sign > ' ' {
			s.glue = byte(sign)
		}
	}
	clear(s.splits[:])
	s.split = 0
}

// take removes the spans from the view.
func (t *Text) take(v *view, cuts []span) {
	slices.SortFunc(cuts, func(a, b span) int { return a.from - b.from })
	w := &t.tmp
	w.buf, w.runs = w.buf[:0], w.runs[:0]
	at, k := 0, 0
	keep := func(to int) {
		for at < to {
			for k+1 < len(v.runs) && int(v.runs[k+1].at) <= at {
				k++
			}
			src, end := at, to
			if k < len(v.runs) && int(v.runs[k].at) <= at {
				src = int(v.runs[k].src) + at - int(v.runs[k].at)
				if k+1 < len(v.runs) {
					end = min(end, int(v.runs[k+1].at))
				}
			} else if k < len(v.runs) {
				end = min(end, int(v.runs[k].at))
			}
			w.jump(src)
			w.buf = append(w.buf, v.buf[at:end]...)
			at = end
		}
	}
	for _, c := range cuts {
		if c.from > at {
			keep(c.from)
		}
		at = max(at, c.to)
	}
	keep(len(v.buf))
	v.buf, w.buf = w.buf, v.buf
	v.runs, w.runs = w.runs, v.runs
}
