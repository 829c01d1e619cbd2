package errtrack

import (
	"cmp"
	"slices"
	"time"
)

// Order is how groups are sorted, the most of it first.
type Order string

// The orders of a [Query].
const (
	ByLastSeen  Order = "last_seen"
	ByFirstSeen Order = "first_seen"
	ByCount     Order = "count"
	ByRate      Order = "rate" // events in the last hour
	BySeverity  Order = "severity"
	ByUsers     Order = "users"
)

// Query chooses groups. Its zero value chooses all, the last seen first.
type Query struct {
	Order       Order
	MinSeverity Severity
	Provider    string // of the latest event
	Limit       int    // how many; 0 means all
}

// Stats are totals since the Collector was made.
type Stats struct {
	Groups     int                 `json:"groups"`
	Evicted    uint64              `json:"evicted_groups"`
	BySeverity map[Severity]uint64 `json:"by_severity"`
	// LastMinute counts the events of the groups that are still kept.
	LastMinute int `json:"last_minute"`
	// Queued, Dropped and Failed count reports: waiting, dropped because the
	// queue was full, given up because they could not be delivered.
	Queued  int    `json:"queued_reports"`
	Dropped uint64 `json:"dropped_reports"`
	Failed  uint64 `json:"failed_reports"`
}

// Groups returns the groups that q chooses. What they point to is shared: it must
// not be changed.
func (c *Collector) Groups(q Query) []Group {
	now := time.Now()
	c.mu.Lock()
	all := make([]Group, 0, len(c.groups))
	for g := c.newest; g != nil; g = g.older {
		v := c.viewLocked(g, now)
		if v.Severity >= q.MinSeverity && (q.Provider == "" || len(v.Samples) > 0 && v.Samples[0].Provider == q.Provider) {
			all = append(all, v)
		}
	}
	c.mu.Unlock()
	slices.SortStableFunc(all, func(a, b Group) int { return q.Order.compare(&b, &a) })
	if q.Limit > 0 && len(all) > q.Limit {
		all = all[:q.Limit]
	}
	return all
}

func (o Order) compare(a, b *Group) int {
	switch o {
	case ByFirstSeen:
		return a.FirstSeen.Compare(b.FirstSeen)
	case ByCount:
		return cmp.Compare(a.Count, b.Count)
	case ByRate:
		return cmp.Compare(a.LastHour, b.LastHour)
	case BySeverity:
		return cmp.Compare(a.Severity, b.Severity)
	case ByUsers:
		return cmp.Compare(a.Users, b.Users)
	default:
		return a.LastSeen.Compare(b.LastSeen)
	}
}

// Stats returns the totals.
func (c *Collector) Stats() Stats {
	now := time.Now()
	s := Stats{BySeverity: make(map[Severity]uint64, int(Critical))}
	c.mu.Lock()
	s.Groups, s.Evicted = len(c.groups), c.evicted
	for severity := Low; severity <= Critical; severity++ {
		s.BySeverity[severity] = c.totals[severity]
	}
	for g := c.newest; g != nil; g = g.older {
		s.LastMinute += g.minute.sum(now)
	}
	c.mu.Unlock()
	for _, courier := range c.couriers {
		queued, dropped, failed := courier.state()
		s.Queued += queued
		s.Dropped += dropped
		s.Failed += failed
	}
	return s
}
