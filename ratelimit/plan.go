package ratelimit

import (
	"fmt"
	"net/http"
)

// A Plan is the policies of one kind of customer.
type Plan struct {
	// Policies are for every request to which none of Endpoints applies.
	Policies []Policy
	// Endpoints are policies for some requests, in place of Policies. To add to
	// those, repeat them: policies of one name share their buckets, and must be
	// the same in all of a plan. An empty list means no limit.
	//
	// The keys are patterns of [http.ServeMux], as in "POST /v1/generate", and
	// the most specific one that matches a request applies, be the middleware
	// inside or around the mux of the server. With [Config.Endpoint] they are what
	// that returns.
	Endpoints map[string][]Policy
}

// plan is a Plan ready to use.
type plan struct {
	base      *set
	endpoints map[string]*set
	mux       *http.ServeMux
	named     func(*http.Request) string
}

func newPlan(p Plan, cfg *Config) (*plan, error) {
	replicas := int64(cfg.Replicas)
	base, err := newSet(p.Policies, replicas)
	if err != nil {
		return nil, err
	}
	c := &plan{base: base, endpoints: make(map[string]*set, len(p.Endpoints)), named: cfg.Endpoint}
	numbers := make(map[string]Policy)
	if err := agree(numbers, p.Policies); err != nil {
		return nil, err
	}
	for pattern, policies := range p.Endpoints {
		s, err := newSet(policies, replicas)
		if err == nil {
			err = agree(numbers, policies)
		}
		if err == nil && c.named == nil {
			err = c.register(pattern)
		}
		if err != nil {
			return nil, fmt.Errorf("%w (endpoint %q)", err, pattern)
		}
		c.endpoints[pattern] = s
	}
	return c, nil
}

// agree reports an error if a policy has another limit than one of the same name:
// they would share a bucket that each reads in its own way.
func agree(numbers map[string]Policy, policies []Policy) error {
	for _, p := range policies {
		if other, ok := numbers[p.Name]; ok && other != p {
			return fmt.Errorf("ratelimit: two different policies are named %q", p.Name)
		}
		numbers[p.Name] = p
	}
	return nil
}

// register adds pattern to the mux, which panics if it doesn't like it.
func (p *plan) register(pattern string) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("ratelimit: %v", v)
		}
	}()
	if p.mux == nil {
		p.mux = http.NewServeMux()
	}
	p.mux.Handle(pattern, http.NotFoundHandler())
	return nil
}

// of returns the policies for a request.
func (p *plan) of(r *http.Request) *set {
	if len(p.endpoints) == 0 {
		return p.base
	}
	name := r.Pattern
	if p.named != nil {
		name = p.named(r)
	}
	s, ok := p.endpoints[name]
	if !ok && p.mux != nil {
		_, name = p.mux.Handler(r)
		s, ok = p.endpoints[name]
	}
	if !ok {
		return p.base
	}
	return s
}
