// Package gcra is the token bucket of golang.org/x/time/rate with a state of
// eight bytes instead of eighty.
//
// It is the generic cell rate algorithm: instead of how many tokens a bucket
// holds, and since when, it keeps the one moment at which the bucket will be full
// again. A bucket that is full already is the same as one that was never used,
// which is what lets a table forget it. The tests prove the two equivalent.
//
// All moments and spans are in ticks of a sixteenth of a nanosecond, counted from
// where the caller likes: fine enough that a bucket of a billion units a minute
// is wrong by less than a thousandth, and coarse enough for eighteen years.
package gcra

import (
	"math"
	"math/bits"
	"time"
)

const perNano = 16

// Limits of what a [Bucket] may be, so that no sum of moments overflows.
const (
	// MaxFill is the longest that an empty bucket may take to be full.
	MaxFill = 366 * 24 * time.Hour
	// MinInterval is the shortest time in which one unit may come back.
	MinInterval = 60 * time.Nanosecond
	// maxSpan is where the price of an amount, and so a debt, ends.
	maxSpan = int64(2*MaxFill) * perNano
)

// Ticks converts a duration, which is cut off at what can be counted with.
func Ticks(d time.Duration) int64 {
	return min(max(int64(d), 0), math.MaxInt64/perNano) * perNano
}

// Duration converts ticks, rounding up: who waits that long has waited enough.
func Duration(ticks int64) time.Duration {
	return time.Duration((ticks + perNano - 1) / perNano)
}

// A Bucket holds at most Burst units and gets Limit units in each Window. Make it
// with [New].
type Bucket struct {
	Limit  int64
	Burst  int64
	Window int64 // in ticks
	Depth  int64 // how long it takes to be full when it is empty, in ticks
}

// New returns a Bucket. limit and burst are at least 1; window is in ticks.
func New(limit, burst, window int64) Bucket {
	b := Bucket{Limit: limit, Burst: burst, Window: window}
	b.Depth = b.Price(burst)
	return b
}

// Price returns how long n units take to come back.
func (b Bucket) Price(n int64) int64 {
	hi, lo := bits.Mul64(uint64(n), uint64(b.Window))
	if hi == 0 {
		return int64(min(lo/uint64(b.Limit), uint64(maxSpan)))
	}
	if hi >= uint64(b.Limit) {
		return maxSpan
	}
	quo, _ := bits.Div64(hi, lo, uint64(b.Limit))
	return int64(min(quo, uint64(maxSpan)))
}

// Take takes n units at now from a bucket that is full again at full. It returns
// when the bucket is full then, and how long the n units are still in the future:
// they are there now if wait is 0. The caller decides whether that is soon
// enough, and keeps the old state if not. More than Burst units never are there;
// ok is false then.
func (b Bucket) Take(full, now, n int64) (newFull, wait int64, ok bool) {
	if n > b.Burst {
		return full, 0, false
	}
	newFull = max(full, now) + b.Price(n)
	return newFull, max(0, newFull-now-b.Depth), true
}

// Adjust corrects the state as if actual units had been taken instead of taken.
// That can leave the bucket in debt.
func (b Bucket) Adjust(full, now, taken, actual int64) int64 {
	if actual < taken {
		return full - b.Price(taken) + b.Price(actual)
	}
	return min(max(full, now)+b.Price(actual)-b.Price(taken), now+maxSpan)
}

// Remaining returns how many whole units a bucket holds at now, and in how long
// it holds one more, or would if one were taken.
func (b Bucket) Remaining(full, now int64) (units, next int64) {
	there := b.Depth - max(0, full-now)
	if there >= 0 {
		// The largest n with Price(n) <= there.
		hi, lo := bits.Mul64(uint64(there)+1, uint64(b.Limit))
		lo, borrow := bits.Sub64(lo, 1, 0)
		if hi -= borrow; hi > 0 || lo >= uint64(b.Window) {
			quo, _ := bits.Div64(hi, lo, uint64(b.Window))
			units = min(int64(quo), b.Burst)
		}
	}
	return units, b.Price(units+1) - there
}
