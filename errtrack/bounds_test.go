package errtrack_test

import (
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sparkhttp/spark/errtrack"
)

func TestSampleIsBounded(t *testing.T) {
	long := strings.Repeat("é", 10_000)
	tags := map[string]string{}
	for i := range 100 {
		tags[fmt.Sprintf("%02d%s", i, long)] = long
	}
	c := newCollector(t, errtrack.Config{MaxMessage: 101})
	c.Track(t.Context(), errtrack.Event{
		Message: long, Provider: long, Model: long, Method: long, Route: long, RequestID: long, TraceID: long, SpanID: long, SessionURL: long, Tags: tags,
	})
	s := only(t, c).Samples[0]
	require.Len(t, s.Message, 100, "whole characters")
	for _, field := range []string{s.Provider, s.Model, s.Method, s.Route, s.RequestID, s.TraceID, s.SpanID} {
		require.LessOrEqual(t, len(field), 128)
	}
	require.Len(t, s.Tags, 16)
	for name, value := range s.Tags {
		require.LessOrEqual(t, len(name), 128)
		require.LessOrEqual(t, len(value), 128)
		require.Less(t, name[:2], "16", "the first ones by name")
	}
	require.LessOrEqual(t, len(only(t, c).Title), 101)
}

func TestUsersAreCapped(t *testing.T) {
	c := newCollector(t, errtrack.Config{MaxUsers: 10})
	for i := range 100 {
		c.Track(t.Context(), errtrack.Event{Message: "x", User: strconv.Itoa(i)})
	}
	require.Equal(t, 10, only(t, c).Users)
}

// The group that was seen longest ago goes first, and says what it had counted.
func TestEviction(t *testing.T) {
	r := &recorder{}
	c := newCollector(t, errtrack.Config{MaxGroups: 2, FirstN: 1, Reporters: []errtrack.Reporter{r}})
	for _, message := range []string{"first", "first", "first", "second", "first", "third", "fourth"} {
		c.Track(t.Context(), errtrack.Event{Message: message})
	}
	groups := c.Groups(errtrack.Query{})
	require.Len(t, groups, 2)
	require.Equal(t, []string{"fourth", "third"}, []string{groups[0].Title, groups[1].Title})
	require.EqualValues(t, 2, c.Stats().Evicted)
	require.NoError(t, c.Flush(t.Context()))
	require.Contains(t, r.summary(), "first +3", "what was counted before it was evicted")
}

// Errors of 50,000 kinds, twice each: memory stays what 1,000 groups take.
func TestMemoryIsBounded(t *testing.T) {
	c := newCollector(t, errtrack.Config{Reporters: []errtrack.Reporter{&recorder{}}})
	kinds := make([]string, 50_000)
	for i := range kinds {
		kinds[i] = "kind " + word(i) + " of what can go wrong with a request"
	}
	before := heap()
	for range 2 {
		for i, kind := range kinds {
			c.Track(t.Context(), errtrack.Event{Message: kind, Route: "POST /v1/x", RequestID: kind, User: kinds[i/2]})
		}
	}
	grown := heap() - before
	s := c.Stats()
	require.Equal(t, 1000, s.Groups)
	require.Equal(t, 100_000, events(c))
	require.EqualValues(t, 99_000, s.Evicted)
	require.Equal(t, 1000, s.Queued)
	require.EqualValues(t, 99_000, s.Dropped)
	t.Logf("%d KiB for %d groups and %d reports", grown>>10, s.Groups, s.Queued)
	require.Less(t, grown, int64(6<<20))
	runtime.KeepAlive(kinds)
}

// word returns a word of letters that is different for each i.
func word(i int) string {
	var b strings.Builder
	for range 5 {
		b.WriteByte("aeiouwyx"[i%8])
		b.WriteByte("bdfklmnpr"[i/8%9])
		i /= 8
	}
	return b.String()
}

func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc) //nolint:gosec // far from the limit
}

// What a group may keep at most, as the package says.
func TestMemoryOfTheLargestGroups(t *testing.T) {
	const groups = 10
	c := newCollector(t, errtrack.Config{MaxGroups: groups})
	long := strings.Repeat("long words ", 100)
	pcs := make([]uintptr, 64)
	n := deepStack(60, pcs)
	before := heap()
	for g := range groups {
		for i := range 300 {
			if i < 297 {
				c.Track(t.Context(), errtrack.Event{Message: "x", Fingerprint: []string{word(g)}, User: strconv.Itoa(i)})
				continue
			}
			tags := map[string]string{}
			for tag := range 16 {
				tags[word(tag)+long] = long
			}
			c.Track(t.Context(), errtrack.Event{
				Message: word(g) + long, Stack: pcs[:n], Fingerprint: []string{word(g)}, User: strconv.Itoa(i), Provider: long, Model: long, Method: long,
				Route: long, RequestID: long, TraceID: long, SpanID: long, SessionURL: long, Tags: tags,
			})
		}
	}
	each := (heap() - before) / groups
	require.Equal(t, groups, c.Stats().Groups)
	t.Logf("%d bytes for each group", each)
	require.Less(t, each, int64(40<<10))
}

func deepStack(depth int, pcs []uintptr) int {
	if depth == 0 {
		return runtime.Callers(1, pcs)
	}
	return deepStack(depth-1, pcs)
}
