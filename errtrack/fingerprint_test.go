package errtrack_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/url"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sparkhttp/spark/errtrack"
)

// What the errors of the corpus are made of.
type (
	quotaError     struct{ user string }
	tenantError    struct{ tenant string }
	generic[T any] struct{ v T }
	wrapping       struct {
		op  string
		err error
	}
	stacked struct {
		error
		pcs []uintptr
	}
)

func (e *quotaError) Error() string               { return "quota of user " + e.user + " is used up" }
func (e *tenantError) Error() string              { return "tenant " + e.tenant + " is unknown" }
func (e generic[T]) Error() string                { return fmt.Sprintf("bad value %v", e.v) }
func (e *wrapping) Error() string                 { return e.op + ": " + e.err.Error() }
func (e *wrapping) Unwrap() error                 { return e.err }
func (e *stacked) StackTrace() []uintptr          { return e.pcs }
func (e *stacked) Unwrap() error                  { return e.error }
func text(format string, a ...any) errtrack.Event { return failure(fmt.Errorf(format, a...)) }
func failure(err error) errtrack.Event            { return errtrack.Event{Err: err} }

func here(text string) error {
	pcs := make([]uintptr, 32)
	return &stacked{errors.New(text), pcs[:runtime.Callers(2, pcs)]}
}

// One function, several lines.
func load(which int) error {
	if which == 0 {
		return here("disk is full")
	}
	if which == 1 {
		return here("disk is very full, of 17 files")
	}
	return func() error { return here("disk is full in a closure") }()
}

func store() error { return here("disk is full") }

func descend(depth int) error {
	if depth > 0 {
		return descend(depth - 1)
	}
	return here("deep down")
}

func through[T any](T) error { return here("of any type") }

func dial(address string, errno syscall.Errno) error {
	host, port, _ := net.SplitHostPort(address)
	return &net.OpError{Op: "dial", Net: "tcp", Addr: hostPort(net.JoinHostPort(host, port)), Err: os.NewSyscallError("connect", errno)}
}

type hostPort string

func (h hostPort) Network() string { return "tcp" }
func (h hostPort) String() string  { return string(h) }

func unmarshal(into any, text string) error { return json.Unmarshal([]byte(text), into) }

// The compiler numbers the types that functions declare: these are item·1 and
// item·2, of one name that may be the other's in the next build.
func ofOneItem() error {
	type item struct{}
	return generic[map[string]item]{}
}

func ofAnotherItem() error {
	type item struct{}
	return generic[map[string]item]{}
}

// pairs are events that must make one group, or two.
var pairs = []struct {
	name string
	same bool
	a, b errtrack.Event
}{
	// Variable parts of a message.
	{"same text", true, text("boom"), text("boom")},
	{"other text", false, text("boom"), text("bang")},
	{"number", true, text("item 17 is gone"), text("item 4 is gone")},
	{"number or none", false, text("item 17 is gone"), text("item is gone")},
	{"size", true, text("body of 3 MiB"), text("body of 12 MiB")},
	{"unit attached", true, text("body of 3MiB"), text("body of 12MiB")},
	{"status in words", true, text("status 502"), text("status 503")},
	{"uuid", true, text("job 0b1f6a6e-9c5d-4b0e-8f2c-2f6d1c1e7a90"), text("job 7c9e6679-7425-40de-944b-e07fc1f90ae7")},
	{"hash", true, text("blob 9f86d081884c7d65"), text("blob 60303ae22b998861")},
	{"revision", true, text("at 9d9c93e"), text("at 8b7bb1b")},
	{"request id", true, text("req_011CSHoEeqs5C35K2UUqR7Fy"), text("req_7712ABcdeFGh3456JKLmno789")},
	{"user id", true, text("user u-48213 left"), text("user u-7 left")},
	{"user id in a word", true, text("user4821 left"), text("user77312 left")},
	{"model", true, text("claude-3-5-sonnet-20241022 is busy"), text("claude-4-0-sonnet-20250514 is busy")},
	{"quoted", true, text("no model %q", "gpt-9"), text("no model %q", "claude zero")},
	{"quoted over 512 bytes", true, text("prompt %q", strings.Repeat("long ", 300)), text("prompt %q", "short")},
	{"single quotes", true, text("key 'a b' missing"), text("key 'c' missing")},
	{"around the quotes", false, text("no model %q", "x"), text("no route %q", "x")},
	{"ip", true, text("peer 10.0.0.1 left"), text("peer 192.168.7.77 left")},
	{"ip versions", true, text("peer 10.0.0.1 left"), text("peer 2001:db8::7 left")},
	{"ip and port", true, text("peer 10.0.0.1:4567 left"), text("peer 10.0.0.2:9999 left")},
	{"host", true, text("lookup a.example.com"), text("lookup b.c.example.org")},
	{"url", true, text("get https://a.example/x?y=1"), text("get http://b.example:8080/z")},
	{"email", true, text("mail to a@example.com"), text("mail to Bob.B@Example.ORG")},
	{"date", true, text("since 2026-11-23T10:00:00Z"), text("since 2025-01-01T23:59:59.999Z")},
	{"HTTP date", true, text("since Mon, 23 Nov 2026 10:15:30 GMT"), text("since Tue, 01 Dec 2026 00:00:00 GMT")},
	{"duration", true, text("took 1.5s"), text("took 2m30s")},
	{"pointer", true, text("at 0xc000010000"), text("at 0xc0deadbeef")},
	{"api key", true, text("key sk-ant-abcdefghijklmnop"), text("key sk-proj-qrstuvwxyzabcdef")},
	{"bearer token", true, text("got Bearer abcdefghijkl"), text("got Bearer mnopqrstuvwx")},
	{"field names", false, text("field request.prompt"), text("field request.model")},
	{"types", false, text("value out of range of int32"), text("value out of range of int64")},
	{"white space", true, text("a  b\n"), text("a b")},

	// Across builds.
	{"path of a build", true, text("/home/ci/1/main.go:10: bad"), text("/go/src/app/main.go:99: bad")},
	{"line number", true, text("main.go:10: bad"), text("main.go:99: bad")},
	{"line of a stack", true, failure(load(0)), failure(load(1))},
	{"closure in the same function", true, failure(load(0)), failure(load(2))},
	{"other function", false, failure(load(0)), failure(store())},
	{"depth of recursion", true, failure(descend(1)), failure(descend(5))},
	{"type parameter", true, failure(through(1)), failure(through("x"))},
	{"stack under a wrapper", true, failure(load(0)), failure(fmt.Errorf("loading: %w", load(0)))},
	{"panic and error of a function", false, failure(load(0)), errtrack.Event{Err: load(0), Panic: true}},

	// Trees of errors.
	{"wrapper's text", true, failure(fmt.Errorf("saving order 5: %w", &quotaError{"7"})), failure(fmt.Errorf("printing: %w", &quotaError{"8"}))},
	{"wrapper or none", true, failure(&quotaError{"7"}), failure(fmt.Errorf("a: %w", fmt.Errorf("b: %w", &quotaError{"7"})))},
	{"wrapper's type", true, failure(&wrapping{"save", &quotaError{"7"}}), failure(&quotaError{"7"})},
	{"cause's type", false, failure(&wrapping{"save", &quotaError{"7"}}), failure(&wrapping{"save", &tenantError{"7"}})},
	{"typed wrapper of a text", false, failure(&wrapping{"save", io.EOF}), failure(&wrapping{"load", io.EOF})},
	{"text under a wrapper", false, failure(fmt.Errorf("reading the body: %w", io.EOF)), failure(fmt.Errorf("reading the index: %w", io.EOF))},
	{"pointer or value", false, failure(generic[int]{1}), failure(&wrapping{"x", io.EOF})},
	{"instances of a generic type", false, failure(generic[int]{1}), failure(generic[bool]{true})},
	{"instances by types of functions", true, failure(ofOneItem()), failure(ofAnotherItem())},
	{"joined in another order", true, failure(errors.Join(&quotaError{"1"}, &tenantError{"2"})), failure(errors.Join(&tenantError{"3"}, &quotaError{"4"}))},
	{"joined twice", true, failure(errors.Join(&quotaError{"1"}, &quotaError{"2"})), failure(&quotaError{"3"})},
	{"joined with another", false, failure(errors.Join(&quotaError{"1"}, &tenantError{"2"})), failure(&quotaError{"1"})},
	{"joined with a text", true, failure(errors.Join(&quotaError{"1"}, errors.New("and closing failed"))), failure(&quotaError{"1"})},
	{"joined texts in another order", true, failure(errors.Join(errors.New("a 1"), errors.New("b"))), failure(errors.Join(errors.New("b"), errors.New("a 2")))},
	{"several %w", true, failure(fmt.Errorf("%w and %w", &quotaError{"1"}, &tenantError{"1"})), failure(errors.Join(&tenantError{"2"}, &quotaError{"2"}))},

	// Errors of the standard library.
	{"dial another host", true, failure(dial("10.0.0.1:5432", syscall.ECONNREFUSED)), failure(dial("10.9.9.9:5433", syscall.ECONNREFUSED))},
	{"dial with another outcome", false, failure(dial("10.0.0.1:5432", syscall.ECONNREFUSED)), failure(dial("10.0.0.1:5432", syscall.ETIMEDOUT))},
	{"lookup", true, failure(&net.DNSError{Err: "no such host", Name: "a.example.com", IsNotFound: true}), failure(&net.DNSError{Err: "no such host", Name: "b.example.org", IsNotFound: true})},
	{"lookup with another outcome", false, failure(&net.DNSError{Err: "no such host", Name: "a.example.com"}), failure(&net.DNSError{Err: "server misbehaving", Name: "a.example.com"})},
	{"url of a request", true, failure(&url.Error{Op: "Post", URL: "https://a.example/1", Err: io.EOF}), failure(&url.Error{Op: "Post", URL: "https://b.example/2", Err: io.EOF})},
	{"method of a request", false, failure(&url.Error{Op: "Post", URL: "https://a.example/1", Err: io.EOF}), failure(&url.Error{Op: "Get", URL: "https://a.example/1", Err: io.EOF})},
	{"path of a file", true, failure(&fs.PathError{Op: "open", Path: "my file 1", Err: syscall.ENOENT}), failure(&fs.PathError{Op: "open", Path: "/etc/x", Err: syscall.ENOENT})},
	{"what was done with a file", false, failure(&fs.PathError{Op: "open", Path: "x", Err: syscall.ENOENT}), failure(&fs.PathError{Op: "remove", Path: "x", Err: syscall.ENOENT})},
	{"why not with a file", false, failure(&fs.PathError{Op: "open", Path: "x", Err: syscall.ENOENT}), failure(&fs.PathError{Op: "open", Path: "x", Err: syscall.EACCES})},
	{"two paths", true, failure(&os.LinkError{Op: "rename", Old: "a b", New: "c", Err: syscall.EXDEV}), failure(&os.LinkError{Op: "rename", Old: "d", New: "e f", Err: syscall.EXDEV})},
	{"deadline of what", false, failure(fmt.Errorf("calling claude: %w", context.DeadlineExceeded)), failure(fmt.Errorf("asking the store: %w", context.DeadlineExceeded))},
	{"offset in JSON", true, failure(unmarshal(new(int), "{")), failure(unmarshal(new(int), `{"a":`))},
	{"field in JSON", false, failure(unmarshal(&struct{ A int }{}, `{"A":"x"}`)), failure(unmarshal(&struct{ B int }{}, `{"B":"x"}`))},

	// Providers.
	{"message of a provider", true, errtrack.Event{Err: errors.New("busy, try in a while"), Provider: "claude", Class: "overloaded"}, errtrack.Event{Err: &quotaError{"1"}, Provider: "claude", Class: "overloaded"}},
	{"class", false, errtrack.Event{Err: io.EOF, Provider: "claude", Class: "overloaded"}, errtrack.Event{Err: io.EOF, Provider: "claude", Class: "quota"}},
	{"provider", false, errtrack.Event{Err: io.EOF, Provider: "claude", Class: "quota"}, errtrack.Event{Err: io.EOF, Provider: "openai", Class: "quota"}},
	{"provider without a class", true, errtrack.Event{Err: io.EOF, Provider: "claude"}, errtrack.Event{Err: io.EOF}},
	{"model and route don't count", true, errtrack.Event{Err: io.EOF, Model: "a", Route: "/a", Status: 500}, errtrack.Event{Err: io.EOF, Model: "b", Route: "/b", Status: 502}},

	// By hand.
	{"explicit", true, errtrack.Event{Err: io.EOF, Fingerprint: []string{"billing"}}, errtrack.Event{Err: &quotaError{"1"}, Fingerprint: []string{"billing"}}},
	{"explicit and not", false, errtrack.Event{Message: "billing"}, errtrack.Event{Message: "billing", Fingerprint: []string{"billing"}}},
	{"default and more", false, errtrack.Event{Err: io.EOF, Fingerprint: []string{"{{ default }}", "eu"}}, errtrack.Event{Err: io.EOF, Fingerprint: []string{"{{default}}", "us"}}},
	{"default alone", true, errtrack.Event{Err: io.EOF, Fingerprint: []string{"{{ default }}"}}, errtrack.Event{Err: io.EOF}},
	{"borders of parts", false, errtrack.Event{Err: io.EOF, Fingerprint: []string{"ab", "c"}}, errtrack.Event{Err: io.EOF, Fingerprint: []string{"a", "bc"}}},
	{"error or message", true, errtrack.Event{Err: errors.New("no 5")}, errtrack.Event{Message: "no 6"}},
	{"panic or error", false, errtrack.Event{Err: io.EOF, Panic: true}, errtrack.Event{Err: io.EOF}},
}

func TestFingerprint(t *testing.T) {
	require.GreaterOrEqual(t, len(pairs), 60)
	for _, tt := range pairs {
		t.Run(tt.name, func(t *testing.T) {
			a, titleA := errtrack.Fingerprint(tt.a)
			b, titleB := errtrack.Fingerprint(tt.b)
			require.Regexp(t, "^v1:[0-9a-f]{16}$", a)
			require.Equal(t, tt.same, a == b, "%s | %s", titleA, titleB)
		})
	}
}

// Of several stacks in a tree, the one nearest to the cause counts.
func TestFingerprintByTheInnermostStack(t *testing.T) {
	pcs := make([]uintptr, 32)
	outer := &stacked{store(), pcs[:runtime.Callers(1, pcs)]}
	_, title := errtrack.Fingerprint(failure(outer))
	require.Contains(t, title, " in errtrack_test.store")
}

// The groups of an older build are found again: these must never change without
// a new version.
func TestFingerprintStaysTheSame(t *testing.T) {
	for _, tt := range []struct {
		name, id, title string
		event           errtrack.Event
	}{
		{"message", "v1:f5288f2b2cb3b635", "item <number> is gone", text("item 17 is gone")},
		{"cause", "v1:e25995597c05ac0b", "*net.DNSError: lookup <host>: no such host", failure(&net.DNSError{Err: "no such host", Name: "a.example.com"})},
		{"provider", "v1:8db0fb5932e6fa41", "claude: overloaded", errtrack.Event{Provider: "claude", Class: "overloaded", Message: "x"}},
		{"explicit", "v1:a2bfcc0794ac555d", "EOF", errtrack.Event{Err: io.EOF, Fingerprint: []string{"billing", "eu"}}},
		{"stack", "v1:7d6426741b2173c0", "*errtrack_test.stacked: disk is full in errtrack_test.store", failure(store())},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.name == "stack" {
				// What calls store is the test's; take the function itself alone.
				var s *stacked
				require.ErrorAs(t, tt.event.Err, &s)
				tt.event.Stack = s.pcs[:1]
			}
			id, title := errtrack.Fingerprint(tt.event)
			require.Equal(t, tt.title, title)
			require.Equal(t, tt.id, id)
		})
	}
}

func TestStableName(t *testing.T) {
	for _, tt := range []struct{ name, function, want string }{
		{"function", "example.com/app/orders.Add", "example.com/app/orders.Add"},
		{"method", "example.com/app/orders.(*Book).Add", "example.com/app/orders.(*Book).Add"},
		{"closure", "example.com/app.Do.func1", "example.com/app.Do"},
		{"closure in a closure", "example.com/app.(*T).Do.func1.2", "example.com/app.(*T).Do"},
		{"method value", "main.(*T).Do-fm", "main.(*T).Do"},
		{"goroutine", "main.run.gowrap1", "main.run"},
		{"deferred", "main.run.deferwrap2", "main.run"},
		{"range over a function", "main.all-range1", "main.all"},
		{"closure in a range", "main.all-range1.func2", "main.all"},
		{"generic", "main.Map[...].func1", "main.Map"},
		{"package-level closure", "main.glob..func3", "main.glob"},
		{"closure of a method that was inlined", "example.com/app.(*server).routes.(*server).generate.func1", "example.com/app.(*server).generate"},
		{"name that looks like one of the compiler's", "main.function", "main.function"},
		{"version in a path", "gopkg.in/yaml.v3.Unmarshal", "gopkg.in/yaml.v3.Unmarshal"},
	} {
		t.Run(tt.name, func(t *testing.T) { require.Equal(t, tt.want, errtrack.StableName(tt.function)) })
	}
}

// A tree whose branches meet again has more paths than anyone can walk.
func TestFingerprintOfHugeTrees(t *testing.T) {
	var err error = &quotaError{"1"}
	for range 40 {
		err = &branching{err}
	}
	_, title := errtrack.Fingerprint(failure(err))
	require.NotEmpty(t, title)

	wide := make([]error, 100_000)
	for i := range wide {
		wide[i] = fmt.Errorf("%d", i)
	}
	_, title = errtrack.Fingerprint(failure(errors.Join(wide...)))
	require.Equal(t, "<number>", title)
}

// branching has its error twice.
type branching struct{ err error }

func (e *branching) Error() string   { return "branching" }
func (e *branching) Unwrap() []error { return []error{e.err, e.err} }

// Errors that are broken are errors nevertheless.
func TestBrokenErrors(t *testing.T) {
	for _, tt := range []struct {
		name string
		err  error
		want string // in the title
	}{
		{"nil pointer", (*quotaError)(nil), "*errtrack_test.quotaError"},
		{"nil pointer that wraps", (*fs.PathError)(nil), "*fs.PathError without a text"},
		{"nil pointer with a stack", (*stacked)(nil), "*errtrack_test.stacked"},
		{"nil pointer that is wrapped", fmt.Errorf("saving: %w", (*net.OpError)(nil)), "*net.OpError"},
		{"nil pointer that is joined", errors.Join((*fs.PathError)(nil), &quotaError{"7"}), "*errtrack_test.quotaError: quota"},
		{"panic", panicking{}, "errtrack_test.panicking without a text"},
		{"not comparable", notComparable{"x"}, "errtrack_test.notComparable: not comparable"},
		{"in a circle", &circular{}, "*errtrack_test.circular: circular"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := newCollector(t, errtrack.Config{Rules: []errtrack.Rule{{Severity: errtrack.High, Is: io.ErrUnexpectedEOF}, {Severity: errtrack.Low, Is: tt.err}}})
			c.Track(t.Context(), failure(tt.err))
			require.Contains(t, only(t, c).Title, tt.want)
		})
	}
}

type (
	panicking     struct{}
	notComparable []string
	circular      struct{}
)

func (panicking) Error() string     { panic("no text") }
func (panicking) Unwrap() error     { panic("no cause") }
func (panicking) Is(error) bool     { panic("nothing") }
func (notComparable) Error() string { return "not comparable" }
func (e *circular) Error() string   { return "circular" }
func (e *circular) Unwrap() []error { return []error{e, e} }

func TestInApp(t *testing.T) {
	modules := []string{"github.com/sparkhttp/spark", "example.com/mono/app/tools", "example.com/mono"}
	for _, tt := range []struct {
		name, function string
		want           bool
	}{
		{"main", "main.run", true},
		{"a closure of main", "main.run.func1", true},
		{"the program's module", "example.com/mono/app/orders.(*Book).Add", true},
		{"the root of the program's module", "example.com/mono/app.Add", true},
		{"the standard library", "net/http.(*Server).Serve", false},
		{"the standard library's root", "runtime.gopanic", false},
		{"a module that it requires", "github.com/sparkhttp/spark/auth.(*Authenticator).Handler.func1", false},
		{"a module around it", "example.com/mono/other.Do", false},
		{"a module within it", "example.com/mono/app/tools/lint.Do", false},
		{"a path that only begins like it", "example.com/mono/application.Do", false},
		{"a module of nobody", "example.org/vendored.Do", true},
		{"no package", "nothing", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			require.Equal(t, tt.want, errtrack.InApp("example.com/mono/app", modules, tt.function))
		})
	}
	require.True(t, errtrack.InApp("", nil, "example.com/app.Do"), "without build information")
	require.False(t, errtrack.InApp("", nil, "strings.Map"), "without build information")
}

func TestUnversioned(t *testing.T) {
	for pkg, want := range map[string]string{"example.com/a/v2": "example.com/a", "example.com/a/v2/b": "example.com/a/v2/b", "example.com/a/vx": "example.com/a/vx", "math/rand/v2": "math/rand", "": ""} {
		require.Equal(t, want, errtrack.Unversioned(pkg))
	}
}

func TestFingerprintOfATypeWithoutAName(t *testing.T) {
	_, title := errtrack.Fingerprint(failure(struct{ error }{io.EOF}))
	require.Equal(t, "struct { error }: EOF", title)
}

// What lies in the module cache is not the program's own, whatever its name.
func TestFramesOfOtherModules(t *testing.T) {
	c := newCollector(t, errtrack.Config{})
	require.NotPanics(t, func() { c.Track(t.Context(), failure(store())) })
	own, others := 0, 0
	for _, f := range only(t, c).Samples[0].Stack {
		if strings.Contains(f.Function, "stretchr/testify") {
			others++
			require.False(t, f.InApp, f.Function)
		} else if f.InApp {
			own++
		}
	}
	require.Positive(t, own)
	require.Positive(t, others)
}
