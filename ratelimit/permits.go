package ratelimit

import (
	"slices"

	"github.com/sparkhttp/spark/ratelimit/internal/gcra"
)

// permits are what is running now. Unlike buckets they are few, as each belongs
// to a request that is being served.
type permits struct {
	held map[uint64][]permit // by bucket
	max  int                 // of held
}

type permit struct {
	hold uint64
	ends int64 // when its lease runs out
}

// live drops the permits of a bucket whose lease has run out and returns the rest.
func (p *permits) live(id uint64, now int64) []permit {
	list, ok := p.held[id]
	if !ok {
		return nil
	}
	rest := slices.DeleteFunc(list, func(x permit) bool { return x.ends <= now })
	if len(rest) != len(list) {
		p.set(id, rest)
	}
	return rest
}

func (p *permits) set(id uint64, list []permit) {
	if len(list) == 0 {
		delete(p.held, id)
		return
	}
	if p.held == nil {
		p.held = make(map[uint64][]permit)
	}
	p.held[id] = list
}

// check decides whether c can have its permits.
func (p *permits) check(id uint64, c *Charge, now int64) {
	live := p.live(id, now)
	c.Wait, c.Next = 0, 0
	if c.Cost > c.Policy.Limit {
		c.Wait = Never
	}
	c.Refused = c.Cost > 0 && c.Cost > c.Policy.Limit-int64(len(live))
	if !c.Refused && len(live) == 0 && c.Cost > 0 && len(p.held) >= p.max {
		p.sweep(now, len(p.held))
		c.Refused = len(p.held) >= p.max
	}
}

// take notes the permits, if they are granted, and what remains.
func (p *permits) take(id uint64, h *Hold, c *Charge, now int64, granted bool) {
	live := p.held[id]
	if granted {
		ends := now + gcra.Ticks(min(h.Lease, gcra.MaxFill))
		for range c.Cost {
			live = append(live, permit{h.ID, ends})
		}
		p.set(id, live)
		p.sweep(now, 2)
	}
	c.Remaining = max(0, c.Policy.Limit-int64(len(live)))
}

// release gives back what a hold has.
func (p *permits) release(id, hold uint64) {
	if list, ok := p.held[id]; ok {
		p.set(id, slices.DeleteFunc(list, func(x permit) bool { return x.hold == hold }))
	}
}

// sweep looks at n buckets, whichever come, for permits that nobody gave back and
// nobody asks for any more. Called for each permit, it finds them all in time.
func (p *permits) sweep(now int64, n int) {
	for id := range p.held {
		if n--; n < 0 {
			return
		}
		p.live(id, now)
	}
}
