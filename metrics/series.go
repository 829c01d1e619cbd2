package metrics

import (
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"unicode/utf8"

	"github.com/prometheus/client_golang/prometheus"
)

// other stands for label values that are not known, and for those that came
// after the last that there was room for.
const other = "other"

// maxLabels is how many labels a metric may have.
const maxLabels = 6

// maxValue is the longest label value, in bytes. A longer one is no name.
const maxValue = 128

// Dimension is a label of a metric, made by [By].
type Dimension struct {
	name   string
	values []string
}

// By returns the label name. If values are given, they are the only ones that
// it can have, and any other is counted as "other". Without values it can have
// any, up to the cap of series ([Config].MaxSeries); so values that a client
// makes up belong to a label that lists those it may have.
//
// A counter or gauge whose labels all list their values shows each of their
// combinations from the start, as 0, so that the first event makes a
// difference that an alert can see.
func By(name string, values ...string) Dimension {
	return Dimension{name: name, values: slices.Clone(values)}
}

func names(by []Dimension) []string {
	out := make([]string, len(by))
	for i, d := range by {
		out[i] = d.name
	}
	return out
}

// value returns what v is counted as.
func (d Dimension) value(v string) string {
	if d.values == nil {
		return clean(v)
	}
	if slices.Contains(d.values, v) {
		return v
	}
	return other
}

// clean returns v, or "other" if it is not fit for a label value.
func clean(v string) string {
	if len(v) > maxValue || !utf8.ValidString(v) {
		return other
	}
	return v
}

// labels is a combination of label values: comparable, so that it is found
// without an allocation.
type labels [maxLabels]string

// table holds what is counted for each combination of label values, at most
// limit of them. One is kept free for all combinations that come too late: its
// labels are all "other".
type table[T any] struct {
	by      []Dimension
	limit   int
	dropped prometheus.Counter
	create  func(values []string) T

	mu   sync.Mutex
	all  atomic.Pointer[map[labels]T] // replaced, never changed: read without the lock
	late atomic.Pointer[T]            // set when the table is full
}

func newTable[T any](by []Dimension, limit int, dropped prometheus.Counter, create func([]string) T) *table[T] {
	t := &table[T]{by: by, limit: limit, dropped: dropped, create: create}
	t.all.Store(&map[labels]T{})
	return t
}

// get returns what values are counted as. Values that are missing are "", and
// those too many are left out: a wrong call must not take a server down.
func (t *table[T]) get(values []string) T {
	var key labels
	for i, d := range t.by {
		v := ""
		if i < len(values) {
			v = values[i]
		}
		key[i] = d.value(v)
	}
	if found, ok := (*t.all.Load())[key]; ok {
		return found
	}
	if late := t.late.Load(); late != nil {
		t.dropped.Inc()
		return *late
	}
	return t.add(key)
}

func (t *table[T]) add(key labels) T {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := *t.all.Load()
	if found, ok := all[key]; ok {
		return found
	}
	var overflow labels
	for i := range t.by {
		// Not the caller's string: that may be part of a much larger one.
		overflow[i], key[i] = other, strings.Clone(key[i])
	}
	room := t.limit - 1 - len(all)
	if _, ok := all[overflow]; ok {
		room++
	}
	if room > 0 || key == overflow {
		return t.insertLocked(key)
	}
	late, ok := all[overflow]
	if !ok {
		late = t.insertLocked(overflow)
	}
	t.late.Store(&late)
	t.dropped.Inc()
	return late
}

func (t *table[T]) insertLocked(key labels) T {
	all := maps.Clone(*t.all.Load())
	made := t.create(key[:len(t.by)])
	all[key] = made
	t.all.Store(&all)
	return made
}

// fill adds the combinations of values that are known from the start.
func (t *table[T]) fill() {
	n := 1
	for _, d := range t.by {
		n *= len(d.values)
		if n == 0 || n >= t.limit {
			return
		}
	}
	for i := range n {
		var key labels
		for j, d := range t.by {
			key[j] = d.values[i%len(d.values)]
			i /= len(d.values) // the digits of a number whose base differs by place
		}
		t.add(key)
	}
}

// each calls f for everything in the table.
func (t *table[T]) each(f func(values []string, item T)) {
	for key, item := range *t.all.Load() {
		f(key[:len(t.by)], item)
	}
}
