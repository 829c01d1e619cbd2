package errtrack

import (
	"hash/maphash"
	"maps"
	"slices"
	"strings"
	"time"
)

// Sample is what is kept of an event. What it points to is shared: it must not be
// changed.
type Sample struct {
	Time       time.Time         `json:"time"`
	Severity   Severity          `json:"severity"`
	Type       string            `json:"type,omitempty"` // of the outermost error that has one
	Message    string            `json:"message"`
	Stack      []Frame           `json:"stack,omitempty"`
	Provider   string            `json:"provider,omitempty"`
	Class      string            `json:"class,omitempty"`
	Model      string            `json:"model,omitempty"`
	Method     string            `json:"method,omitempty"`
	Route      string            `json:"route,omitempty"`
	Status     int               `json:"status,omitempty"`
	RequestID  string            `json:"request_id,omitempty"`
	TraceID    string            `json:"trace_id,omitempty"`
	SpanID     string            `json:"span_id,omitempty"`
	SessionURL string            `json:"session_url,omitempty"`
	Tags       map[string]string `json:"tags,omitempty"`
}

// Group is the state of a group of events.
type Group struct {
	ID    string `json:"id"`
	Title string `json:"title"`
	// Severity is that of its latest event by itself, or the step above while the
	// group is escalated.
	Severity  Severity  `json:"severity"`
	Escalated bool      `json:"escalated"`
	Count     uint64    `json:"count"`
	FirstSeen time.Time `json:"first_seen"`
	LastSeen  time.Time `json:"last_seen"`
	// LastMinute and LastHour are how many events there were in that time,
	// right to a twelfth and a sixtieth of it.
	LastMinute int `json:"last_minute"`
	LastHour   int `json:"last_hour"`
	// Users is how many users are affected, at most Config.MaxUsers.
	Users int `json:"users"`
	// Samples are the latest events, the last one first.
	Samples []Sample `json:"samples,omitempty"`
}

// group is a Group with what it takes to count. Its fields belong to the
// Collector's lock.
type group struct {
	id, title    string
	severity     Severity
	escalated    bool
	count        uint64
	first, last  time.Time
	minute       window[[12]uint32]
	hour         window[[60]uint32]
	users        map[uint64]struct{}
	samples      []Sample // a ring; next is where the next one goes
	next         int
	reported     int       // events reported one by one since since
	since        time.Time // when the current summary period began
	unreported   uint64    // events that were only counted in it
	newer, older *group
}

// count counts an event, and returns what is to be reported: the event, if it is
// not one of too many, and what was only counted of a group that makes room.
func (c *Collector) count(id, title, user string, s *Sample) []Report {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now() // in the lock, so that times don't go back
	s.Time = now
	g, reports := c.groupLocked(id, title, now)
	due, escalated := c.countLocked(g, user, s, now)
	c.totals[s.Severity]++
	if due {
		reports = append(reports, Report{Release: c.cfg.Release, Group: c.viewLocked(g, now), Sample: *s, Escalated: escalated})
	}
	return reports
}

// groupLocked returns the group of an id, made anew if need be, as the newest.
func (c *Collector) groupLocked(id, title string, now time.Time) (g *group, reports []Report) {
	if g = c.groups[id]; g != nil {
		c.unlinkLocked(g)
	} else {
		if len(c.groups) >= c.cfg.MaxGroups {
			if c.oldest.unreported > 0 {
				reports = append(reports, c.summaryLocked(c.oldest, now))
			}
			delete(c.groups, c.oldest.id)
			c.unlinkLocked(c.oldest)
			c.evicted++
		}
		g = &group{id: id, title: truncate(title, c.cfg.MaxMessage), first: now, since: now}
		g.minute.step, g.hour.step = 5*time.Second, time.Minute
		c.groups[id] = g
	}
	g.older = c.newest
	if c.newest != nil {
		c.newest.newer = g
	}
	c.newest = g
	if c.oldest == nil {
		c.oldest = g
	}
	return g, reports
}

func (c *Collector) unlinkLocked(g *group) {
	if g.newer != nil {
		g.newer.older = g.older
	} else {
		c.newest = g.older
	}
	if g.older != nil {
		g.older.newer = g.newer
	} else {
		c.oldest = g.newer
	}
	g.newer, g.older = nil, nil
}

// countLocked counts an event. It reports whether the event is to be reported by
// itself, and whether it is the one by which its group became more severe.
func (c *Collector) countLocked(g *group, user string, s *Sample, now time.Time) (due, escalated bool) {
	g.count++
	g.last = now
	g.minute.add(now)
	g.hour.add(now)
	if user != "" && len(g.users) < c.cfg.MaxUsers {
		if g.users == nil {
			g.users = map[uint64]struct{}{}
		}
		g.users[maphash.String(c.seed, user)] = struct{}{}
	}
	before := g.escalated
	g.severity = s.Severity
	if c.escalatedLocked(g, now) {
		s.Severity = min(s.Severity+1, Critical)
	}
	escalated = g.escalated && !before
	c.keepLocked(g, s)
	if len(c.couriers) == 0 {
		return false, escalated
	}
	if now.Sub(g.since) >= c.cfg.SummaryEvery && g.unreported == 0 {
		g.since, g.reported = now, 0
	}
	if g.reported < c.cfg.FirstN || escalated {
		g.reported++
		return true, escalated
	}
	g.unreported++
	return false, false
}

// escalatedLocked reports whether a group is escalated. It stays so until its
// rate is half of what it took: a rate near the threshold is one escalation, not
// many.
func (c *Collector) escalatedLocked(g *group, now time.Time) bool {
	rate := g.minute.sum(now)
	g.escalated = c.cfg.EscalateAt > 0 && (rate >= c.cfg.EscalateAt || g.escalated && 2*rate >= c.cfg.EscalateAt)
	return g.escalated
}

func (c *Collector) keepLocked(g *group, s *Sample) {
	if len(g.samples) < c.cfg.MaxSamples {
		g.samples = append(g.samples, *s)
	} else {
		g.samples[g.next] = *s
	}
	g.next = (g.next + 1) % c.cfg.MaxSamples
}

// viewLocked returns the state of g, with the latest sample first.
func (c *Collector) viewLocked(g *group, now time.Time) Group {
	v := Group{
		ID: g.id, Title: g.title, Severity: g.severity, Escalated: c.escalatedLocked(g, now), Count: g.count,
		FirstSeen: g.first, LastSeen: g.last, LastMinute: g.minute.sum(now), LastHour: g.hour.sum(now), Users: len(g.users),
		Samples: make([]Sample, 0, len(g.samples)),
	}
	if v.Escalated {
		v.Severity = min(v.Severity+1, Critical)
	}
	for i := range g.samples {
		v.Samples = append(v.Samples, g.samples[(g.next-1-i+2*len(g.samples))%len(g.samples)])
	}
	return v
}

// summaryLocked reports what was only counted, and begins a new period.
func (c *Collector) summaryLocked(g *group, now time.Time) Report {
	v := c.viewLocked(g, now)
	r := Report{Release: c.cfg.Release, Group: v, Sample: v.Samples[0], Unreported: g.unreported}
	g.unreported, g.reported, g.since = 0, 0, now
	return r
}

// rate returns how many events of a group there were in the last minute.
func (c *Collector) rate(id string) int {
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	if g := c.groups[id]; g != nil {
		return g.minute.sum(now)
	}
	return 0
}

// sample keeps of e what may be kept.
func (c *Collector) sample(e *Event, severity Severity) Sample {
	text := message(e)
	if !c.cfg.InsecureMessages {
		text = parameterize(text)
	}
	s := Sample{
		Severity: severity, Message: truncate(text, c.cfg.MaxMessage), Stack: c.app.frames(e.Stack),
		Provider: bound(e.Provider), Class: bound(e.Class), Model: bound(e.Model), Method: bound(e.Method), Route: bound(e.Route),
		Status: e.Status, RequestID: bound(e.RequestID), TraceID: bound(e.TraceID), SpanID: bound(e.SpanID),
		SessionURL: truncate(e.SessionURL, maxSessionURL),
	}
	if e.Err != nil {
		s.Type = bound(outerType(e.Err))
	}
	if len(e.Tags) > 0 {
		s.Tags = make(map[string]string, min(len(e.Tags), maxTags))
		for _, name := range slices.Sorted(maps.Keys(e.Tags)) {
			if len(s.Tags) == maxTags {
				break
			}
			s.Tags[bound(name)] = bound(e.Tags[name])
		}
	}
	return s
}

// Bounds on what a sample holds, so that a sample is no larger than a few KiB.
const (
	maxField = 128
	maxTags  = 16
)

func bound(s string) string { return truncate(s, maxField) }

// truncate returns at most n bytes of s, in whole characters, without holding on
// to the memory that s is a part of.
func truncate(s string, n int) string {
	if len(s) > n {
		s = strings.ToValidUTF8(s[:n], "")
	}
	return strings.Clone(s)
}

// window counts events in the time that its counters span, one for each step.
type window[C [12]uint32 | [60]uint32] struct {
	counts C
	step   time.Duration
	last   int64 // the step of the latest event
}

func (w *window[C]) add(now time.Time) {
	w.forward(now)
	w.counts[w.last%int64(len(w.counts))]++
}

func (w *window[C]) sum(now time.Time) int {
	w.forward(now)
	n := 0
	for i := range len(w.counts) {
		n += int(w.counts[i])
	}
	return n
}

// forward clears the counters of the steps that have passed since the last call.
func (w *window[C]) forward(now time.Time) {
	step := now.UnixNano() / int64(w.step)
	passed := min(step-w.last, int64(len(w.counts)))
	if passed <= 0 {
		return // also if the clock was set back
	}
	for i := range passed {
		w.counts[(step-i)%int64(len(w.counts))] = 0
	}
	w.last = step
}
