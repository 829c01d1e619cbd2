package ratelimit

import (
	"strings"
	"sync/atomic"
)

// A memo keeps header values that were made from two numbers: most responses have
// one that an earlier one had. It keeps 256, each in the only place where it can
// be, and so needs no lock and is never full.
//
// The values are shared by responses, like all that an http.Header holds they may
// be replaced but not written to.
type memo [256]atomic.Pointer[memoized]

type memoized struct {
	a, b  int64
	value [1]string
}

func (m *memo) at(a, b int64) *atomic.Pointer[memoized] {
	return &m[(uint64(a)*0x9e3779b97f4a7c15+uint64(b)*0xbf58476d1ce4e5b9)>>56]
}

// get returns nil if there is no value for a and b.
func (m *memo) get(a, b int64) []string {
	if e := m.at(a, b).Load(); e != nil && e.a == a && e.b == b {
		return e.value[:]
	}
	return nil
}

func (m *memo) put(v *memoized) { m.at(v.a, v.b).Store(v) }

// A stock makes values out of blocks, so that most need no allocation. They are
// small, since each lives as long as one of its values. A nil stock has none.
type stock struct {
	blank []memoized
	text  strings.Builder
}

const (
	stockValues = 8
	stockText   = 256
)

// value returns a value with the given text and nothing to find it by.
func (s *stock) value(text []byte) *memoized {
	if s == nil {
		return &memoized{value: [1]string{string(text)}}
	}
	if len(s.blank) == 0 {
		s.blank = make([]memoized, stockValues)
	}
	if s.text.Cap()-s.text.Len() < len(text) {
		s.text.Reset()
		s.text.Grow(max(stockText, len(text)))
	}
	start := s.text.Len()
	s.text.Write(text)
	v := &s.blank[0]
	s.blank = s.blank[1:]
	v.value[0] = s.text.String()[start:]
	return v
}
