package ratelimit

import "context"

// EventKind is what an [Event] is about.
type EventKind string

// The kinds of events.
const (
	// Refused is a request or a reservation that was refused.
	Refused EventKind = "refused"
	// WouldRefuse is one that policies which are a [Shadow] would have refused.
	WouldRefuse EventKind = "would_refuse"
	// LimiterFailed is a limiter that gave no decision. What became of the
	// request is up to [Policy.OnFailure].
	LimiterFailed EventKind = "limiter_failed"
	// SettleFailed is a limiter that could not settle. The estimate stands, and a
	// permit is held until its lease runs out.
	SettleFailed EventKind = "settle_failed"
)

// An Event is what [Config.OnEvent] is told.
type Event struct {
	Kind EventKind
	// Key is who was charged. It can be personal data: take care where it goes.
	Key string
	// Policies are the names of those that the event is about.
	Policies []string
	// Err is why a limiter failed.
	Err error
}

func (m *Middleware) event(ctx context.Context, e Event) {
	if m.cfg.OnEvent != nil {
		m.cfg.OnEvent(ctx, e)
	}
}

// report tells of the policies that refused.
func (m *Middleware) report(ctx context.Context, r *Reservation) {
	if m.cfg.OnEvent == nil {
		return
	}
	if names := r.refused(false); names != nil {
		m.event(ctx, Event{Kind: Refused, Key: r.hold.Key, Policies: names})
	}
	if names := r.refused(true); names != nil {
		m.event(ctx, Event{Kind: WouldRefuse, Key: r.hold.Key, Policies: names})
	}
}

// refused returns the names of the policies that refused, those that are shadows
// or those that are not.
func (r *Reservation) refused(shadow bool) (names []string) {
	for i := range r.hold.Charges {
		if c := &r.hold.Charges[i]; c.Refused && (c.Policy.Mode == Shadow) == shadow {
			names = append(names, c.Policy.Name)
		}
	}
	return names
}
