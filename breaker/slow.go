package breaker

import (
	"cmp"
	"time"
)

// steps is how many steps the window moves in.
const steps = 10

// The kinds of slowness.
const (
	slowCall = iota
	slowFirst
	slowGap
	slowKinds
)

var slowReasons = [slowKinds]string{"slow calls", "slow first tokens", "slow gaps"}

// slowWindow counts slow calls beside the counts of gobreaker, which knows only
// successes and failures.
type slowWindow struct {
	step   time.Duration
	newest int64 // number of the step that is being filled
	calls  [steps]int
	slow   [steps][slowKinds]int
}

// roll moves the window to the step that now is in.
func (w *slowWindow) roll(now time.Duration) (at int64) {
	current := int64(now / w.step)
	for n := max(w.newest, current-steps) + 1; n <= current; n++ {
		w.calls[n%steps], w.slow[n%steps] = 0, [slowKinds]int{}
	}
	w.newest = max(w.newest, current)
	return w.newest % steps
}

func (w *slowWindow) add(now time.Duration, slow [slowKinds]bool) {
	at := w.roll(now)
	w.calls[at]++
	for kind, is := range slow {
		if is {
			w.slow[at][kind]++
		}
	}
}

func (w *slowWindow) sum() (calls int, slow [slowKinds]int) {
	for i := range steps {
		calls += w.calls[i]
		for kind := range slow {
			slow[kind] += w.slow[i][kind]
		}
	}
	return calls, slow
}

func (w *slowWindow) clear() {
	w.calls, w.slow = [steps]int{}, [steps][slowKinds]int{}
}

// slownessLocked counts the call and returns why the breaker has to open for
// slowness, if it has to. One slow probe is enough.
func (b *Breaker) slownessLocked(e *Event) string {
	slow := [slowKinds]bool{
		slowCall:  b.cfg.SlowCall > 0 && e.Duration > b.cfg.SlowCall,
		slowFirst: b.cfg.SlowFirstToken > 0 && cmp.Or(e.FirstToken, e.Duration) > b.cfg.SlowFirstToken,
		slowGap:   b.cfg.SlowGap > 0 && e.LongestGap > b.cfg.SlowGap,
	}
	b.window.add(b.now(), slow)
	if slow == ([slowKinds]bool{}) {
		return ""
	}
	calls, counts := b.window.sum()
	for kind, is := range slow {
		if !is {
			continue
		}
		often := calls >= b.cfg.MinCalls && float64(counts[kind]) >= b.cfg.SlowRatio*float64(calls)
		if often || b.state == HalfOpen {
			return slowReasons[kind]
		}
	}
	return ""
}
