package gcra_test

import (
	"encoding/binary"
	"math"
	"math/big"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/time/rate"

	"github.com/sparkhttp/spark/ratelimit/internal/gcra"
)

// pair is a bucket of ours beside the one that defines what is right.
type pair struct {
	bucket gcra.Bucket
	full   int64
	lim    *rate.Limiter
	start  time.Time
	now    time.Duration
	r      rate.Limit
	lost   float64 // units by which rounding may have moved the two apart
}

func newPair(limit, burst int64, window time.Duration) *pair {
	r := rate.Limit(float64(limit) / window.Seconds())
	return &pair{
		bucket: gcra.New(limit, burst, gcra.Ticks(window)),
		lim:    rate.NewLimiter(r, int(burst)),
		start:  time.Unix(1e9, 0),
		r:      r,
	}
}

// step lets time pass, asks both for n, and compares what they say. The two round
// in different places: ours to a sixteenth of a nanosecond with each change, the
// other to a nanosecond when it decides, and where it computes with floats. So
// they may differ about what is there to within a few nanoseconds, and nowhere else.
func (p *pair) step(t *testing.T, pass time.Duration, n int64) {
	t.Helper()
	p.now += pass
	now := gcra.Ticks(p.now)
	at := p.start.Add(p.now)

	tokens := p.lim.TokensAt(at)
	p.lost += float64(p.r)*1e-9 + math.Abs(tokens)*1e-12 + float64(p.bucket.Burst)*1e-12
	units, next := p.bucket.Remaining(p.full, now)
	require.LessOrEqual(t, float64(units), max(0, tokens)+p.lost, "units that are not there")
	require.GreaterOrEqual(t, float64(units), min(tokens, float64(p.bucket.Burst))-1-p.lost, "units that are missing")
	require.Positive(t, next)

	newFull, wait, ok := p.bucket.Take(p.full, now, n)
	ours := ok && wait == 0
	theirs := p.lim.AllowN(at, int(n))
	if ours != theirs {
		require.LessOrEqual(t, n, p.bucket.Burst, "more than the burst is never there")
		require.InDelta(t, float64(n), tokens, p.lost, "they disagree though it is not close: ours %v, theirs %v", ours, theirs)
		// Do the same to both, so that they can be compared further on.
		if theirs {
			p.full = newFull
		} else {
			p.lim.ReserveN(at, int(n))
			p.full = newFull
		}
		return
	}
	if ours {
		p.full = newFull
		return
	}
	if ok && n > 0 {
		// How long it takes is what a reservation of the other would wait.
		res := p.lim.ReserveN(at, int(n))
		require.True(t, res.OK())
		delta := 2 + p.lost/float64(p.r)*1e9
		require.InDelta(t, float64(res.DelayFrom(at)), float64(gcra.Duration(wait)), delta)
		res.CancelAt(at)
	}
}

func FuzzEquivalence(f *testing.F) {
	f.Add(int64(100), int64(100), int64(time.Minute), []byte("burst, then one by one \x01\x01\x00\x00\x00\x00\x80\x01"))
	f.Add(int64(3), int64(3), int64(time.Second), []byte{0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0x50, 0, 0, 1})
	f.Add(int64(7), int64(5), int64(time.Second), []byte{0, 0, 0, 5, 1, 0, 0, 1, 0x48, 0, 0, 1, 0x48, 0, 0, 1})
	f.Add(int64(1_000_000_000), int64(17), int64(time.Minute), []byte{0, 0, 0, 17, 0, 1, 0, 1, 0, 0, 0, 200})
	f.Add(int64(1), int64(1), int64(24*time.Hour), []byte{0, 0, 0, 1, 255, 255, 255, 1, 255, 255, 255, 2})
	f.Add(int64(1_000_000), int64(10), int64(time.Hour), []byte{0, 0, 0, 0, 9, 9, 9, 9, 8, 8, 8, 8, 7, 7, 7, 7})
	f.Fuzz(func(t *testing.T, limit, burst, window int64, schedule []byte) {
		limit = 1 + abs(limit)%1_000_000_000
		burst = 1 + abs(burst)%1_000_000
		window = 1 + abs(window)%int64(31*24*time.Hour)
		window = max(window, limit*int64(gcra.MinInterval))
		if float64(burst)*float64(window)/float64(limit) > float64(gcra.MaxFill) {
			return
		}
		p := newPair(limit, burst, time.Duration(window))
		interval := float64(window) / float64(limit)
		for ; len(schedule) >= 4; schedule = schedule[4:] {
			// Pauses from a fraction of the interval to long ones.
			v := binary.LittleEndian.Uint32(schedule)
			pass := time.Duration(float64(v&0xffff) / 4096 * interval * math.Exp2(float64(v>>16&7)))
			p.step(t, min(pass, 24*time.Hour), int64(v>>24)*max(1, burst/200))
		}
	})
}

func abs(n int64) int64 { return max(n, -(n + 1)) }

func TestEquivalence(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 100 {
		limit := int64(math.Exp2(rng.Float64() * 29))
		burst := int64(math.Exp2(rng.Float64() * 19))
		window := max(time.Duration(math.Exp2(rng.Float64()*50)), time.Duration(limit)*gcra.MinInterval)
		if float64(burst)*float64(window)/float64(limit) > float64(gcra.MaxFill) {
			continue
		}
		p := newPair(limit, burst, window)
		interval := float64(window) / float64(limit)
		for range 300 {
			pass := time.Duration(rng.ExpFloat64() * interval * math.Exp2(rng.Float64()*6-3))
			n := int64(1)
			if rng.IntN(3) == 0 {
				n = rng.Int64N(burst + 2)
			}
			p.step(t, min(pass, 24*time.Hour), n)
		}
	}
}

// TestEquivalenceExact uses rates for which nothing is rounded: there must be no
// difference at all.
func TestEquivalenceExact(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for _, limit := range []int64{1, 2, 4, 8, 64, 512} {
		for _, burst := range []int64{1, 2, 5, 64, 1000} {
			b := gcra.New(limit, burst, gcra.Ticks(time.Second))
			lim := rate.NewLimiter(rate.Limit(limit), int(burst))
			start, now, full := time.Unix(1e9, 0), time.Duration(0), int64(0)
			step := time.Second / 512 // a binary fraction, as are the rates
			for range 400 {
				now += time.Duration(rng.Int64N(1+1024/limit)) * step
				n := rng.Int64N(burst + 2)
				newFull, wait, ok := b.Take(full, gcra.Ticks(now), n)
				require.Equal(t, lim.AllowN(start.Add(now), int(n)), ok && wait == 0)
				if ok && wait == 0 {
					full = newFull
				}
				units, _ := b.Remaining(full, gcra.Ticks(now))
				require.Equal(t, int64(math.Floor(lim.TokensAt(start.Add(now)))), units)
			}
		}
	}
}

// TestPriceAndRemainingFit says that what Remaining shows can be taken, and that
// one more can't, for any numbers.
func TestPriceAndRemainingFit(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	for range 5_000 {
		limit := int64(math.Exp2(rng.Float64() * 40))
		window := max(time.Duration(math.Exp2(rng.Float64()*54)), time.Duration(limit)*gcra.MinInterval)
		if window > gcra.MaxFill {
			continue
		}
		most := math.Min(float64(gcra.MaxFill)/float64(window)*float64(limit), 1e12)
		b := gcra.New(limit, 1+int64(rng.Float64()*most*0.999), gcra.Ticks(window))
		now := rng.Int64N(1 << 60)
		units, _ := b.Remaining(0, now)
		require.Equal(t, b.Burst, units, "a new bucket is full: %+v", b)
		full := now + rng.Int64N(b.Price(b.Burst)+1)
		units, next := b.Remaining(full, now)
		_, wait, ok := b.Take(full, now, units)
		require.True(t, ok && wait == 0, "%+v has %d", b, units)
		if units < b.Burst {
			_, wait, ok = b.Take(full, now, units+1)
			require.True(t, ok && wait > 0, "%+v has more than %d", b, units)
			require.Equal(t, next, wait)
			again, _ := b.Remaining(full, now+next)
			require.Greater(t, again, units, "after Next there is more")
			less, _ := b.Remaining(full, now+next-1)
			require.Equal(t, units, less, "and not before")
		}
	}
}

// TestPriceIsTheExactQuotient compares with arithmetic that rounds nowhere.
func TestPriceIsTheExactQuotient(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 8))
	most := big.NewInt(int64(2*gcra.MaxFill) * 16)
	for range 5_000 {
		n := rng.Int64() >> rng.IntN(63)
		limit := 1 + rng.Int64()>>(1+rng.IntN(61))
		window := 1 + rng.Int64N(gcra.Ticks(gcra.MaxFill))
		exact := new(big.Int).Mul(big.NewInt(n), big.NewInt(window))
		exact.Quo(exact, big.NewInt(limit))
		if exact.Cmp(most) > 0 {
			exact = most
		}
		require.Equal(t, exact.Int64(), gcra.New(limit, 1, window).Price(n))
	}
}

// TestClockGoingBackwards says that a clock that jumps never makes units: all that
// is granted fits into what the latest moment allows.
func TestClockGoingBackwards(t *testing.T) {
	rng := rand.New(rand.NewPCG(9, 10))
	b := gcra.New(10, 5, gcra.Ticks(time.Second))
	for range 50 {
		start := gcra.Ticks(time.Hour)
		full, now, latest, granted := int64(0), start, start, int64(0)
		for range 2000 {
			now += rng.Int64N(gcra.Ticks(time.Second)) - gcra.Ticks(time.Second)*48/100
			latest = max(latest, now)
			n := rng.Int64N(3)
			if newFull, wait, ok := b.Take(full, now, n); ok && wait == 0 {
				full = newFull
				granted += n
			}
		}
		allowed := 5 + float64(latest-start)/float64(gcra.Ticks(time.Second))*10
		require.LessOrEqual(t, float64(granted), allowed+1e-6)
		require.Greater(t, float64(granted), allowed/4, "nor does it take them away for good")
	}
}

func TestAdjust(t *testing.T) {
	b := gcra.New(60, 60, gcra.Ticks(time.Minute))
	sec := gcra.Ticks(time.Second)
	take := func(full, now, n int64) int64 {
		f, wait, ok := b.Take(full, now, n)
		require.True(t, ok && wait == 0)
		return f
	}
	left := func(full, now int64) int64 {
		units, _ := b.Remaining(full, now)
		return units
	}
	now := 100 * sec
	full := take(0, now, 50)
	require.EqualValues(t, 10, left(full, now))
	require.EqualValues(t, 40, left(b.Adjust(full, now, 50, 20), now), "the rest comes back")
	require.EqualValues(t, 0, left(b.Adjust(full, now, 50, 90), now))
	debt := b.Adjust(full, now, 50, 90)
	_, wait, ok := b.Take(debt, now, 1)
	require.True(t, ok)
	require.Equal(t, 31*sec, wait, "a debt of 30 is paid before one more is there")
	require.EqualValues(t, 60, left(b.Adjust(full, now+120*sec, 50, 0), now+120*sec), "never more than full")
	require.EqualValues(t, 50, left(b.Adjust(0, now, 5, 15), now), "of a bucket that was forgotten")
	huge := b.Adjust(full, now, 0, math.MaxInt64)
	require.Positive(t, huge, "no overflow")
	require.Positive(t, b.Adjust(huge, now, 0, math.MaxInt64))
}

func TestTicks(t *testing.T) {
	require.EqualValues(t, 16, gcra.Ticks(1))
	require.EqualValues(t, 0, gcra.Ticks(-1))
	require.Positive(t, gcra.Ticks(math.MaxInt64))
	require.EqualValues(t, 1, gcra.Duration(1), "rounded up")
	require.EqualValues(t, 1, gcra.Duration(16))
	require.EqualValues(t, 2, gcra.Duration(17))
}
