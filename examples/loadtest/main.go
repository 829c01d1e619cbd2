// Command loadtest drives a generate server at a chosen arrival rate and says
// how it bore that.
//
//	go run ./examples/loadtest -key spark_live_… smoke
//	go run ./examples/loadtest -key spark_live_… -prompts mix.jsonl -html report.html stress
//
// Requests leave when they are due, whether or not the ones before have been
// answered (an open model, by vegeta's library): a server that stalls is seen to
// stall, instead of being asked less often. Only this machine is a target,
// unless another host is allowed by name.
//
// It exits with 1 if a threshold was missed, with 2 if it could not run.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	vegeta "github.com/tsenart/vegeta/v12/lib"
)

// errMissed is the end of a test that ran and missed a threshold.
var errMissed = errors.New("a threshold was missed")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	switch err := run(ctx, os.Args[1:], os.Getenv, os.Stdout, os.Stderr); {
	case err == nil, errors.Is(err, flag.ErrHelp):
	case errors.Is(err, errMissed):
		os.Exit(1)
	default:
		fmt.Fprintln(os.Stderr, "loadtest:", err)
		os.Exit(2)
	}
}

// maxRate is the highest rate that can be asked for, in requests per second.
const maxRate = 100_000

// options are the choices of a run.
type options struct {
	target, key, prompts string
	rate                 float64
	duration, timeout    time.Duration
	allow                string
	workers              uint64
	stream, fresh        bool
	jsonOut              bool
	htmlFile             string
	thresholds           thresholds
	scenario             string
	progress             io.Writer
}

func run(ctx context.Context, args []string, getenv func(string) string, stdout, stderr io.Writer) error {
	o, err := parse(args, getenv, stderr)
	if err != nil {
		return err
	}
	if err := allowed(ctx, o.target, o.allow); err != nil {
		return err
	}
	targets, err := newTargeter(o)
	if err != nil {
		return err
	}
	plan, err := newPlan(o.scenario, o.rate, o.duration)
	if err != nil {
		return err
	}
	report := attack(ctx, o, plan, targets)
	return finish(o, report, stdout)
}

func parse(args []string, getenv func(string) string, stderr io.Writer) (options, error) {
	o := options{progress: stderr}
	fs := flag.NewFlagSet("loadtest", flag.ContinueOnError)
	fs.SetOutput(stderr)
	fs.Usage = func() {
		_, _ = fmt.Fprintf(stderr, "usage: loadtest [flags] %s\n\n%s\nFlags:\n", strings.Join(scenarioNames(), "|"), scenarioHelp())
		fs.PrintDefaults()
	}
	fs.StringVar(&o.target, "target", "http://localhost:8080/api/spark/generate", "`URL` to load")
	fs.StringVar(&o.key, "key", "", "API key; default: SPARK_KEY in the environment")
	fs.StringVar(&o.prompts, "prompts", "", "JSON-lines `file` of request bodies, or of {\"prompt\": …, \"weight\": n}; default: a few of its own")
	fs.Float64Var(&o.rate, "rate", 0, "requests per `second` at full load; default: that of the scenario")
	fs.DurationVar(&o.duration, "duration", 0, "length of the test; default: that of the scenario")
	fs.DurationVar(&o.timeout, "timeout", 2*time.Minute, "time for one request")
	fs.StringVar(&o.allow, "allow-host", "", "`host` beside this machine that may be loaded")
	fs.Uint64Var(&o.workers, "max-workers", 10_000, "most requests in flight")
	fs.BoolVar(&o.stream, "stream", false, "ask for streams; the time is that to the last event")
	fs.BoolVar(&o.fresh, "fresh", false, "ask for answers that no cache knows; without it, prompts that return are mostly answered from there")
	fs.BoolVar(&o.jsonOut, "json", false, "print the report as JSON")
	fs.StringVar(&o.htmlFile, "html", "", "write the report as HTML to a `file` too")
	fs.DurationVar(&o.thresholds.p95, "max-p95", 0, "fail if the 95th percentile of answered requests is above; 0: not checked")
	fs.DurationVar(&o.thresholds.p99, "max-p99", 0, "fail if the 99th percentile is above; 0: not checked")
	fs.Float64Var(&o.thresholds.errorRate, "max-error-rate", 0.01, "fail if a larger share of requests failed; 429 does not count")
	fs.Float64Var(&o.thresholds.limitedRate, "max-limited-rate", 1, "fail if a larger share of requests got 429")
	if err := fs.Parse(args); err != nil {
		return o, err
	}
	if fs.NArg() != 1 || !slices.Contains(scenarioNames(), fs.Arg(0)) {
		fs.Usage()
		return o, fmt.Errorf("name one scenario of %s", strings.Join(scenarioNames(), ", "))
	}
	o.scenario = fs.Arg(0)
	if o.key == "" {
		o.key = getenv("SPARK_KEY")
	}
	t := o.thresholds
	switch {
	case !(o.rate >= 0 && o.rate <= maxRate), o.duration < 0, o.timeout <= 0, o.workers == 0:
		return o, fmt.Errorf("-rate, -duration, -timeout and -max-workers must be positive, and -rate at most %d", maxRate)
	case t.p95 < 0, t.p99 < 0, !(t.errorRate >= 0 && t.errorRate <= 1), !(t.limitedRate >= 0 && t.limitedRate <= 1):
		return o, errors.New("-max-p95 and -max-p99 must be positive, -max-error-rate and -max-limited-rate 0 to 1")
	}
	return o, nil
}

// allowed refuses to load any machine but this one, unless it was named.
func allowed(ctx context.Context, target, allow string) error {
	u, err := url.Parse(target)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return fmt.Errorf("-target is %q, want an http or https URL", target)
	}
	host := u.Hostname()
	if allow != "" && strings.EqualFold(host, allow) {
		return nil
	}
	addrs, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return fmt.Errorf("looking up %s: %w", host, err)
	}
	if slices.ContainsFunc(addrs, func(a netip.Addr) bool { return !a.Unmap().IsLoopback() }) {
		return fmt.Errorf("%s is not this machine; if you may load it, say -allow-host %s", host, host)
	}
	return nil
}

// attack sends the requests of a plan and gathers what comes back.
func attack(ctx context.Context, o options, p plan, targets vegeta.Targeter) *report {
	attacker := vegeta.NewAttacker(
		vegeta.Timeout(o.timeout), vegeta.MaxWorkers(o.workers), vegeta.Redirects(vegeta.NoFollow),
		vegeta.Connections(1000), vegeta.Proxy(func(*http.Request) (*url.URL, error) { return nil, nil }))
	defer context.AfterFunc(ctx, func() { attacker.Stop() })()
	report := newReport(o.scenario, o.target, p.length())
	results := attacker.Attack(targets, p, p.length(), o.scenario)
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case res, more := <-results:
			if !more {
				report.close()
				return report
			}
			report.add(res)
		case <-tick.C:
			_, _ = fmt.Fprintln(o.progress, report.progress(p))
		}
	}
}

// finish prints the report and judges it.
func finish(o options, r *report, stdout io.Writer) error {
	r.Missed = o.thresholds.missed(r)
	write := r.writeText
	if o.jsonOut {
		write = r.writeJSON
	}
	if err := write(stdout); err != nil {
		return err
	}
	if o.htmlFile != "" {
		if err := r.saveHTML(o.htmlFile); err != nil {
			return err
		}
	}
	if len(r.Missed) > 0 {
		return errMissed
	}
	return nil
}
