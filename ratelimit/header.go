package ratelimit

import (
	"cmp"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The fields of draft-ietf-httpapi-ratelimit-headers-11 and of RFC 9110, section
// 10.2.3, as they are spelled in an [http.Header].
const (
	headerPolicy = "Ratelimit-Policy"
	headerState  = "Ratelimit"
	headerRetry  = "Retry-After"
	headerMode   = "X-Ratelimit-Mode"
	headerExpose = "Access-Control-Expose-Headers"
)

// headers are the fields of one set of policies.
type headers struct {
	policy []string // the value of RateLimit-Policy: shared by all responses
	states *memo    // values of RateLimit, if there is but one policy
}

func newHeaders(policies []*Policy) headers {
	var h headers
	var b []byte
	for _, p := range policies {
		if p.Mode != Shadow {
			b = appendPolicy(b, p)
		}
	}
	if b != nil {
		h.policy = []string{string(b)}
	}
	if len(policies) == 1 {
		h.states = new(memo)
	}
	return h
}

// state returns the value of RateLimit. t is left out where it is above most, if
// that is not 0.
func (h *headers) state(charges []Charge, most int64, s *stock) []string {
	var buf [192]byte
	b := buf[:0]
	if h.states != nil && len(charges) == 1 {
		c := &charges[0]
		r, t := c.Remaining, seconds(c.Next)
		if most > 0 && t > most {
			t = 0
		}
		if v := h.states.get(r, t); v != nil {
			return v
		}
		v := s.value(appendState(b, c, most))
		v.a, v.b = r, t
		h.states.put(v)
		return v.value[:]
	}
	for i := range charges {
		if charges[i].Policy.Mode != Shadow {
			b = appendState(b, &charges[i], most)
		}
	}
	return s.value(b).value[:]
}

// appendPolicy appends a Quota Policy Item (section 3.1 of the draft) to a list.
func appendPolicy(b []byte, p *Policy) []byte {
	if len(b) > 0 {
		b = append(b, ", "...)
	}
	b = appendString(b, p.Name)
	b = append(b, ";q="...)
	b = strconv.AppendInt(b, p.Limit, 10)
	switch p.Unit {
	case Concurrency:
		return append(b, `;qu="concurrent-requests"`...)
	case Tokens:
		// The draft registers no unit for tokens.
		b = append(b, `;spark-unit="tokens"`...)
	}
	if p.Window%time.Second == 0 {
		b = append(b, ";w="...)
		b = strconv.AppendInt(b, int64(p.Window/time.Second), 10)
	}
	if burst := p.burst(); burst != p.Limit {
		b = append(b, ";spark-burst="...)
		b = strconv.AppendInt(b, burst, 10)
	}
	return b
}

// appendState appends a Service Limit Item (section 4.1 of the draft) to a list.
// Its t says in how many seconds there is more than r. A t above most, if that is
// not 0, is left out.
func appendState(b []byte, c *Charge, most int64) []byte {
	if len(b) > 0 {
		b = append(b, ", "...)
	}
	b = appendString(b, c.Policy.Name)
	b = append(b, ";r="...)
	b = strconv.AppendInt(b, max(0, c.Remaining), 10)
	if t := seconds(c.Next); t > 0 && (most == 0 || t <= most) {
		b = append(b, ";t="...)
		b = strconv.AppendInt(b, t, 10)
	}
	return b
}

// appendString appends a String of structured fields (RFC 9651, section 4.1.6).
// That s has none but printable ASCII is checked by [Policy.Validate].
func appendString(b []byte, s string) []byte {
	b = append(b, '"')
	for i := range len(s) {
		if s[i] == '"' || s[i] == '\\' {
			b = append(b, '\\')
		}
		b = append(b, s[i])
	}
	return append(b, '"')
}

// seconds rounds up: a client that comes back then is not too early.
func seconds(d time.Duration) int64 {
	s := int64(d / time.Second)
	if d%time.Second > 0 {
		s++
	}
	return s
}

// setState sets RateLimit-Policy and RateLimit, and what goes with them.
func (m *Middleware) setState(h http.Header, r *Reservation, retryAfter int64) {
	charges := r.hold.Charges
	if r.degraded {
		h[headerMode] = []string{"degraded"}
	}
	if r.set.header.policy != nil && len(charges) > 0 {
		policy := r.set.header.policy
		if r.degraded {
			policy = policyHeader(charges)
		}
		state := r.set.header.state(charges, retryAfter, r.stock)
		setLines(h, cmp.Or(r.sent, policy[0]), policy, state)
		r.sent = policy[0]
	}
	if m.cfg.LegacyHeaders {
		setLegacy(h, charges)
	}
	if m.cfg.ExposeHeaders {
		expose(h)
	}
}

// setLines sets both fields. Another middleware may have set lines of its own,
// and a list can be split over lines, so ours are added; but if there is one for
// the policies old, they take its place. The slices are shared, so none is written
// to.
func setLines(h http.Header, old string, policy, state []string) {
	policies := h[headerPolicy]
	if len(policies) == 0 {
		h[headerPolicy], h[headerState] = policy, state
		return
	}
	states := h[headerState]
	if i := slices.Index(policies, old); i >= 0 && i < len(states) {
		policies, states = slices.Clone(policies), slices.Clone(states)
		policies[i], states[i] = policy[0], state[0]
	} else {
		policies, states = append(slices.Clip(policies), policy[0]), append(slices.Clip(states), state[0])
	}
	h[headerPolicy], h[headerState] = policies, states
}

// policyHeader returns the value of RateLimit-Policy for the policies of a limiter
// that stands in: they are the quotas now.
func policyHeader(charges []Charge) []string {
	var b []byte
	for i := range charges {
		if charges[i].Policy.Mode != Shadow {
			b = appendPolicy(b, charges[i].Policy)
		}
	}
	return []string{string(b)}
}

const exposed = "RateLimit, RateLimit-Policy, Retry-After"

func expose(h http.Header) {
	for _, v := range h[headerExpose] {
		if strings.Contains(v, exposed) {
			return
		}
	}
	h[headerExpose] = append(slices.Clip(h[headerExpose]), exposed) // which may be shared
}

// setLegacy sets the fields that have no specification, for the policy that is
// nearest to its end. Their reset is a Unix time, as most have it.
func setLegacy(h http.Header, charges []Charge) {
	var worst *Charge
	share := 2.0
	for i := range charges {
		c := &charges[i]
		if c.Policy.Mode == Shadow {
			continue
		}
		left := float64(c.Remaining) / float64(c.Policy.burst())
		if c.Refused {
			left = -1
		}
		if left < share {
			worst, share = c, left
		}
	}
	if worst == nil {
		return
	}
	p := worst.Policy
	h["X-Ratelimit-Limit"] = []string{strconv.FormatInt(p.Limit, 10)}
	h["X-Ratelimit-Remaining"] = []string{strconv.FormatInt(max(0, worst.Remaining), 10)}
	full := worst.Next
	if more := p.burst() - worst.Remaining - 1; more > 0 && p.Unit != Concurrency {
		full += time.Duration(float64(p.Window) / float64(p.Limit) * float64(more))
	}
	h["X-Ratelimit-Reset"] = []string{strconv.FormatInt(time.Now().Unix()+seconds(full), 10)}
}

// retryAfter returns the seconds that a client is told to stay away: never too
// few, at least one.
func (m *Middleware) retryAfter(wait time.Duration) int64 {
	if m.cfg.Jitter > 0 {
		wait += rand.N(m.cfg.Jitter)
	}
	return max(1, seconds(wait))
}
