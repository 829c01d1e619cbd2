package auth

import (
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// maxBlocked bounds how many addresses a budget remembers, at some 100 bytes
// each.
const maxBlocked = 16384

// budget counts failed attempts per address: so many at once, and as many again
// spread over the window.
type budget struct {
	window time.Duration
	each   time.Duration // by what one attempt moves the time of an address
	start  time.Time
	count  atomic.Int64 // len(until): nobody to look for costs no lock

	mu sync.Mutex
	// until holds when, after start, the attempts of an address are forgiven:
	// one number per address is all that a token bucket needs.
	until map[netip.Addr]time.Duration
	sweep time.Duration // when to look for those that are forgiven
}

func newBudget(attempts int, window time.Duration) *budget {
	return &budget{
		window: window,
		each:   max(1, window/time.Duration(attempts)),
		start:  time.Now(),
		until:  make(map[netip.Addr]time.Duration),
	}
}

// wait returns how long an address has to wait before its next attempt; 0 means
// that it need not.
func (b *budget) wait(addr netip.Addr, now time.Time) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	at := now.Sub(b.start)
	b.sweepLocked(at)
	return max(0, b.until[addr]+b.each-b.window-at)
}

// spend counts a failed attempt and reports whether it was the last for now.
func (b *budget) spend(addr netip.Addr, now time.Time) (exhausted bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	at := now.Sub(b.start)
	b.sweepLocked(at)
	until, known := b.until[addr]
	if !known && len(b.until) >= maxBlocked {
		b.evictLocked()
	}
	until = max(until, at) + b.each
	// More can come at once than the budget allows, if they were let in at
	// once; that doesn't keep the address out for longer.
	exhausted = until+b.each-b.window > at && until-b.window <= at
	b.until[addr] = min(until, at+b.window)
	b.count.Store(int64(len(b.until)))
	return exhausted
}

// sweepLocked forgets, once per window, the addresses that are forgiven.
func (b *budget) sweepLocked(at time.Duration) {
	if at < b.sweep {
		return
	}
	b.sweep = at + b.window
	for addr, until := range b.until {
		if until <= at {
			delete(b.until, addr)
		}
	}
	b.count.Store(int64(len(b.until)))
}

// evictLocked makes room: of a few addresses that come at random, it forgets
// the one that is forgiven first. So those that fail most stay.
func (b *budget) evictLocked() {
	var victim netip.Addr
	tried := 0
	for addr, until := range b.until {
		if tried == 0 || until < b.until[victim] {
			victim = addr
		}
		if tried++; tried == 8 {
			break
		}
	}
	delete(b.until, victim)
}

// network returns what a budget goes by: the address, of IPv6 its first 64
// bits, since a single customer has all the rest.
func network(addr netip.Addr) netip.Addr {
	addr = addr.Unmap().WithZone("")
	if addr.Is6() {
		if p, err := addr.Prefix(64); err == nil {
			return p.Addr()
		}
	}
	return addr
}
