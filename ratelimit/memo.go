package ratelimit

import "sync/atomic"

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

// put stores a value and returns it.
func (m *memo) put(a, b int64, value string) []string {
	e := &memoized{a, b, [1]string{value}}
	m.at(a, b).Store(e)
	return e.value[:]
}
