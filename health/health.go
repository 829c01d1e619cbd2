// Package health answers the probes of an orchestrator and the questions of an
// operator.
//
// It keeps apart what is often mixed up. Liveness says that the process runs
// and nothing else: a probe that asks a database turns the database's outage
// into a restart loop. Readiness runs the checks; only a check that fails takes
// the replica out of rotation, one that warns does not, so that a provider in
// trouble, which all replicas see at once, doesn't take the whole service down.
// The detailed report is for those who are authorised; anybody else sees the
// status alone.
//
//	h, err := health.New(health.Config{Checks: []health.Check{health.Memory(0.9), health.Goroutines(10_000)}})
//	if err != nil {
//		return err
//	}
//	mux.Handle("GET /livez", h.Live())
//	mux.Handle("GET /readyz", h.Ready())
//	mux.Handle("GET /health", h.Details())
//
// The format is application/health+json of draft-inadarei-api-health-check-06,
// an Internet-Draft that has expired and stayed in use.
package health

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"
)

// Status is how well a component, or the whole service, is.
type Status string

// The statuses of the draft, section 3.1.
const (
	Pass Status = "pass"
	Warn Status = "warn" // in trouble, but answering: still ready
	Fail Status = "fail" // not ready
)

// Result is what a check found.
type Result struct {
	Status Status `json:"status"`
	// Value and Unit are what was measured, such as 12 and "ms". Optional.
	Value any    `json:"observedValue,omitempty"`
	Unit  string `json:"observedUnit,omitempty"`
	// Output is one sentence on what is wrong, for operators. It is shown only
	// to those who are authorised, and left out if the status is Pass.
	Output string `json:"output,omitempty"`
}

// Check is one thing that readiness depends on.
type Check struct {
	// Name is "component" or "component:measurement", as in "cache:entries".
	// Required, and different for each check.
	Name string
	// Type is the componentType of the draft, such as "datastore", "component"
	// or "system". Optional.
	Type string
	// Run finds out. It must return soon after ctx ends; while it has not
	// returned, it is not started again and counts as timed out. Required.
	Run func(ctx context.Context) Result
	// Timeout is the time it has; 0 means that of the Config.
	Timeout time.Duration
	// WarnOnly shows a failure as a warning.
	WarnOnly bool
}

// Config says what is checked. Its zero value checks nothing: the service is
// then as ready as it is alive.
type Config struct {
	// Checks are the components that are looked at, each under a name of its own.
	Checks []Check
	// Timeout is the time that each check has; 0 means 2 seconds.
	Timeout time.Duration
	// CacheFor is how long a result is given out before the check runs again,
	// however many probes come; 0 means 1 second.
	CacheFor time.Duration
	// Authorized tells who sees the details. Nil means nobody.
	Authorized func(*http.Request) bool

	// ServiceID, Description and Version are shown with the details. An empty
	// Version means that of the main module's build information.
	ServiceID, Description, Version string
}

// Health answers probes. It is safe for concurrent use.
type Health struct {
	cfg      Config
	release  string // the revision of the source
	began    time.Time
	checks   []*probe
	draining atomic.Bool
	starting atomic.Bool
}

// New returns a Health for cfg.
func New(cfg Config) (*Health, error) {
	if cfg.Timeout < 0 || cfg.CacheFor < 0 {
		return nil, fmt.Errorf("health: Timeout is %v and CacheFor %v, want neither below 0", cfg.Timeout, cfg.CacheFor)
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = 2 * time.Second
	}
	if cfg.CacheFor == 0 {
		cfg.CacheFor = time.Second
	}
	h := &Health{cfg: cfg, began: time.Now()}
	h.starting.Store(true)
	seen := map[string]bool{}
	for _, c := range cfg.Checks {
		switch {
		case c.Name == "":
			return nil, errors.New("health: a Check has no Name")
		case c.Name == "uptime":
			return nil, errors.New("health: a Check is named uptime, which the report has itself")
		case c.Run == nil:
			return nil, fmt.Errorf("health: Check %s has no Run", c.Name)
		case seen[c.Name]:
			return nil, fmt.Errorf("health: two Checks are named %s", c.Name)
		case c.Timeout < 0:
			return nil, fmt.Errorf("health: Timeout of Check %s is %v, want at least 0", c.Name, c.Timeout)
		}
		seen[c.Name] = true
		if c.Timeout == 0 {
			c.Timeout = cfg.Timeout
		}
		h.checks = append(h.checks, &probe{check: c, fresh: cfg.CacheFor})
	}
	h.readBuild()
	return h, nil
}

func (h *Health) readBuild() {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return
	}
	if h.cfg.Version == "" {
		h.cfg.Version = info.Main.Version
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			h.release = s.Value
		}
	}
}

// Drain makes the service unready for good, so that an orchestrator sends it
// nothing more, while what is running goes on. Call it before the shutdown.
func (h *Health) Drain() { h.draining.Store(true) }

// Report is the state of the service: the worst of its checks, and each of them
// by name. ReleaseID is the revision of the source; Output says that the service
// drains, if it does. Of what is optional in the draft it has no notes, links,
// componentId and affectedEndpoints.
type Report struct {
	Status      Status                   `json:"status"`
	Version     string                   `json:"version,omitempty"`
	ReleaseID   string                   `json:"releaseId,omitempty"`
	ServiceID   string                   `json:"serviceId,omitempty"`
	Description string                   `json:"description,omitempty"`
	Output      string                   `json:"output,omitempty"`
	Checks      map[string][]CheckReport `json:"checks,omitempty"`
}

// CheckReport is the state of one component.
type CheckReport struct {
	Result
	Type string    `json:"componentType,omitempty"`
	Time time.Time `json:"time"` // when it was found out
}

// Report runs the checks that have no fresh result, all at once, and returns
// the state of the service: that of the check that is worst off. It takes no
// longer than the longest timeout, or until ctx ends.
func (h *Health) Report(ctx context.Context) Report {
	found := make([]CheckReport, len(h.checks))
	var wg sync.WaitGroup
	for i, p := range h.checks {
		wg.Go(func() { found[i] = p.report(ctx) })
	}
	wg.Wait()
	r := Report{
		Status: Pass, Version: h.cfg.Version, ReleaseID: h.release,
		ServiceID: h.cfg.ServiceID, Description: h.cfg.Description,
		Checks: make(map[string][]CheckReport, len(found)+1),
	}
	for i, f := range found {
		r.Checks[h.checks[i].check.Name] = []CheckReport{f}
		r.Status = worse(r.Status, f.Status)
	}
	now := time.Now()
	r.Checks["uptime"] = []CheckReport{{Result{Status: Pass, Value: int64(now.Sub(h.began).Seconds()), Unit: "s"}, "system", now}}
	if r.Status != Fail {
		h.starting.Store(false) // it has been well once
	}
	if h.draining.Load() {
		r.Status, r.Output = Fail, "draining before shutdown"
	}
	return r
}

func worse(a, b Status) Status {
	if a == Fail || b == Fail {
		return Fail
	}
	if a == Warn || b == Warn {
		return Warn
	}
	return Pass
}
