package ratelimit

import (
	"errors"
	"fmt"
	"time"

	"github.com/sparkhttp/spark/ratelimit/internal/gcra"
)

// Unit is what a [Policy] counts.
type Unit string

// The units of a policy. The zero value is Requests.
const (
	// Requests counts requests: each takes one.
	Requests Unit = "requests"
	// Tokens counts what is known only at the end, as the tokens of a language
	// model: an estimate is reserved, and the actual amount settled.
	Tokens Unit = "tokens"
	// Concurrency counts what is running: one is taken at the start and given
	// back when the response has ended, which for a stream is long after its
	// first byte.
	Concurrency Unit = "concurrency"
)

// Mode is whether a [Policy] acts.
type Mode string

// The modes of a policy. The zero value is Enforce.
const (
	// Enforce refuses what exceeds the quota.
	Enforce Mode = "enforce"
	// Shadow refuses nothing and tells the client nothing, but counts, and
	// reports what it would have refused (see [WouldRefuse]).
	Shadow Mode = "shadow"
	// Off does nothing, as if the policy were not there.
	Off Mode = "off"
)

// OnFailure is what becomes of a [Policy] when its [Limiter] fails.
type OnFailure string

// What to do when a limiter fails. The zero value is Degrade.
const (
	// Degrade decides by a [Memory] of this process (see [Config.Replicas]).
	Degrade OnFailure = "degrade"
	// FailOpen lets requests pass as if the policy were not there.
	FailOpen OnFailure = "open"
	// FailClosed answers 503 with a Retry-After.
	FailClosed OnFailure = "closed"
)

// A Policy is a quota: Limit units in each Window for each key, as a token
// bucket as golang.org/x/time/rate defines it, which holds Burst units at most
// and is full at first. A policy of [Concurrency] is a number of permits instead.
type Policy struct {
	// Name identifies the policy to clients, and with a key its bucket: two
	// policies of one name share one. 1 to 64 characters of printable ASCII.
	// Required.
	Name string
	// Unit is what is counted. The zero value means [Requests].
	Unit Unit
	// Limit is how many units a key gets in each Window, at most a billion a minute,
	// or how many permits it has at once, at most a billion. At least 1. Required.
	Limit int64
	// Window is the time in which Limit units come back, evenly. Required,
	// except for [Concurrency], which has none. Clients are told of it if it is a
	// whole number of seconds, the only ones that the header can say.
	Window time.Duration
	// Burst is how many units can be taken at once after a rest. Zero means
	// Limit. An empty bucket must be full again within 366 days.
	Burst int64
	// Mode is whether the policy refuses. The zero value means [Enforce].
	Mode Mode
	// OnFailure is what happens if the limiter fails. The zero value means
	// [Degrade].
	OnFailure OnFailure
}

// Validate reports what is wrong with p. [New] calls it; implementations of
// [Limiter] that are used without New may.
func (p *Policy) Validate() error {
	fail := func(field string, value any, want string) error {
		return fmt.Errorf("ratelimit: policy %q: %s is %v, want %s", p.Name, field, value, want)
	}
	if !validName(p.Name) {
		return fmt.Errorf("ratelimit: Policy.Name is %q, want 1 to 64 characters of printable ASCII", p.Name)
	}
	switch p.Mode {
	case "", Enforce, Shadow, Off:
	default:
		return fail("Mode", p.Mode, "enforce, shadow or off")
	}
	switch p.OnFailure {
	case "", Degrade, FailOpen, FailClosed:
	default:
		return fail("OnFailure", p.OnFailure, "degrade, open or closed")
	}
	if p.Limit < 1 {
		return fail("Limit", p.Limit, "at least 1")
	}
	if p.Burst < 0 {
		return fail("Burst", p.Burst, "at least 0")
	}
	switch p.Unit {
	case Concurrency:
		if p.Window != 0 || p.Burst != 0 {
			return fmt.Errorf("ratelimit: policy %q: Window and Burst mean nothing for concurrency", p.Name)
		}
		if p.Limit > maxPermits {
			return fail("Limit", p.Limit, "at most a billion permits")
		}
		return nil
	case "", Requests, Tokens:
		return p.validateRate(fail)
	default:
		return fail("Unit", p.Unit, "requests, tokens or concurrency")
	}
}

// maxPermits is what no service reaches, and what a header can say.
const maxPermits = 1_000_000_000

func (p *Policy) validateRate(fail func(string, any, string) error) error {
	if p.Window <= 0 || p.Window > gcra.MaxFill {
		return fail("Window", p.Window, "more than 0 and at most 366 days")
	}
	if int64(p.Window/gcra.MinInterval) < p.Limit {
		return fail("Limit", p.Limit, "at most a billion a minute")
	}
	if float64(p.Window)/float64(p.Limit)*float64(p.burst()) > float64(gcra.MaxFill) {
		return fail("Burst", p.burst(), "what comes back within 366 days")
	}
	return nil
}

// validName accepts what a structured-field string can hold (RFC 9651, section
// 3.3.3).
func validName(name string) bool {
	for i := range len(name) {
		if name[i] < 0x20 || name[i] > 0x7e {
			return false
		}
	}
	return len(name) >= 1 && len(name) <= 64
}

func (p *Policy) burst() int64 {
	if p.Burst == 0 {
		return p.Limit
	}
	return p.Burst
}

func (p *Policy) bucket() gcra.Bucket {
	return gcra.New(p.Limit, p.burst(), gcra.Ticks(p.Window))
}

// share returns the policy of one of n processes which share p.
func (p *Policy) share(n int64) *Policy {
	s := *p
	s.Limit = (p.Limit + n - 1) / n
	s.Burst = (p.Burst + n - 1) / n
	return &s
}

// A set is policies that are decided on together, ready to use.
type set struct {
	policies []*Policy // those that are not off
	local    []*Policy // the same, for the limiter that stands in
	holds    bool      // there is something to settle or to give back
	tokens   bool
	shadows  bool
	header   headers
	alone    []*verdict // of each of the policies
}

func newSet(policies []Policy, replicas int64) (*set, error) {
	s := new(set)
	names := make(map[string]bool, len(policies))
	for i := range policies {
		p := policies[i] // a copy: the caller may change his
		if err := p.Validate(); err != nil {
			return nil, err
		}
		if names[p.Name] {
			return nil, fmt.Errorf("ratelimit: two policies of one set are named %q", p.Name)
		}
		names[p.Name] = true
		if p.Mode == Off {
			continue
		}
		s.policies = append(s.policies, &p)
		s.local = append(s.local, p.share(replicas))
		s.tokens = s.tokens || p.Unit == Tokens
		s.holds = s.holds || p.Unit == Tokens || p.Unit == Concurrency
		s.shadows = s.shadows || p.Mode == Shadow
	}
	if len(s.policies) > maxPolicies {
		return nil, errors.New("ratelimit: more than 8 policies in one set")
	}
	s.header = newHeaders(s.policies)
	for _, p := range s.policies {
		s.alone = append(s.alone, newVerdict(p))
	}
	return s, nil
}
