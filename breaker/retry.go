package breaker

import (
	"context"
	"math"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// budget lets retries be a share of the calls, so that they don't multiply the
// load on a provider in trouble.
type budget struct {
	mu     sync.Mutex
	ratio  float64
	most   float64
	tokens float64
}

func (b *budget) init(ratio float64, burst int) {
	b.ratio, b.most = max(ratio, 0), float64(burst)
	if ratio < 0 {
		b.most = 0
	}
	b.tokens = b.most
}

// earn is called for each call.
func (b *budget) earn() {
	b.mu.Lock()
	b.tokens = min(b.most, b.tokens+b.ratio)
	b.mu.Unlock()
}

// spend is called for each retry, and reports whether it may be made.
func (b *budget) spend() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	// Tenths don't add up exactly: ten of them are as good as one.
	if b.tokens < 1-1e-9 {
		return false
	}
	b.tokens--
	return true
}

// longest is more than any time that a header may mean.
const longest = 24 * time.Hour

// retryAfter reads retry-after-ms, which the providers send beside it, else
// Retry-After (RFC 9110, section 10.2.3), of which they also send fractions of
// seconds. It returns 0 if there is neither, or none that makes sense.
func retryAfter(h http.Header) time.Duration {
	if ms, err := strconv.ParseFloat(h.Get("Retry-After-Ms"), 64); err == nil {
		return seconds(ms / 1000)
	}
	v := h.Get("Retry-After")
	if v == "" {
		return 0
	}
	if s, err := strconv.ParseFloat(v, 64); err == nil {
		return seconds(s)
	}
	if at, err := http.ParseTime(v); err == nil {
		return capped(time.Until(at), longest)
	}
	return 0
}

func seconds(s float64) time.Duration {
	if math.IsNaN(s) || s <= 0 {
		return 0
	}
	return time.Duration(min(s, longest.Seconds()) * float64(time.Second))
}

// sleep waits for d. It reports false if ctx ends before.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}
