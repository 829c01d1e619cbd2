package ratelimit_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sparkhttp/spark/ratelimit"
)

func perHour(name string, n int64) ratelimit.Policy {
	return ratelimit.Policy{Name: name, Limit: n, Window: time.Hour}
}

// policyOf returns what a response says of its policies.
func policyOf(t *testing.T, h http.Handler, method, target string) string {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(method, target, nil))
	return w.Header().Get("RateLimit-Policy")
}

func TestEndpoints(t *testing.T) {
	m := newMiddleware(t, ratelimit.Config{
		Policies: []ratelimit.Policy{perHour("default", 100)},
		Endpoints: map[string][]ratelimit.Policy{
			"POST /v1/generate":  {perHour("default", 100), perHour("generate", 10)},
			"/v1/items/{id}":     {perHour("items", 20)},
			"GET /v1/items/{id}": {perHour("read", 50)},
			"GET /livez":         {},
		},
	})
	mux := http.NewServeMux()
	mux.Handle("POST /v1/generate", m.Handler(ok))
	mux.Handle("/v1/", m.Handler(ok))
	mux.Handle("/livez", m.Handler(ok))
	for _, place := range []struct {
		name string
		h    http.Handler
	}{{"inside the mux", mux}, {"around the mux", m.Handler(http.NewServeMux())}} {
		t.Run(place.name, func(t *testing.T) {
			for _, tt := range []struct{ method, target, want string }{
				{"POST", "/v1/generate", `"default";q=100;w=3600, "generate";q=10;w=3600`},
				{"GET", "/v1/generate", `"default";q=100;w=3600`},
				{"GET", "/v1/items/7", `"read";q=50;w=3600`},
				{"HEAD", "/v1/items/7", `"read";q=50;w=3600`},
				{"DELETE", "/v1/items/7", `"items";q=20;w=3600`},
				{"GET", "/v1/items/7/8", `"default";q=100;w=3600`},
				{"GET", "/livez", ""},
			} {
				require.Equal(t, tt.want, policyOf(t, place.h, tt.method, tt.target), "%s %s", tt.method, tt.target)
			}
		})
	}
}

func TestEndpointsAreCountedApart(t *testing.T) {
	h := newMiddleware(t, ratelimit.Config{
		Policies: []ratelimit.Policy{perHour("all", 2)},
		Endpoints: map[string][]ratelimit.Policy{
			"/a": {perHour("a", 1)},
			"/b": {perHour("all", 2), perHour("b", 5)},
		},
	}).Handler(ok)
	require.Equal(t, 200, get(h, "/a", "").Code)
	require.Equal(t, 429, get(h, "/a", "").Code)
	require.Equal(t, 200, get(h, "/", "").Code)
	require.Equal(t, 200, get(h, "/b", "").Code, "the second of all")
	require.Equal(t, 429, get(h, "/b", "").Code, "all is used up by both")
	require.Equal(t, 429, get(h, "/", "").Code)
}

func TestEndpointFunc(t *testing.T) {
	h := newMiddleware(t, ratelimit.Config{
		Policies:  []ratelimit.Policy{perHour("default", 100)},
		Endpoints: map[string][]ratelimit.Policy{"no pattern {": {perHour("x", 1)}},
		Endpoint:  func(r *http.Request) string { return r.Header.Get("X-User") },
	}).Handler(ok)
	require.Contains(t, get(h, "/", "no pattern {").Header().Get("RateLimit-Policy"), `"x"`)
	require.Contains(t, get(h, "/", "other").Header().Get("RateLimit-Policy"), `"default"`)
}

func TestPlans(t *testing.T) {
	h := newMiddleware(t, ratelimit.Config{
		Policies: []ratelimit.Policy{perHour("requests", 1)},
		Plans: map[string]ratelimit.Plan{
			"pro": {
				Policies:  []ratelimit.Policy{perHour("requests", 3)},
				Endpoints: map[string][]ratelimit.Policy{"/free": {}},
			},
		},
		PlanOf: func(r *http.Request) string { return r.Header.Get("X-User") },
		Key:    byUser,
	}).Handler(ok)
	require.Equal(t, 200, get(h, "/", "").Code)
	require.Equal(t, 429, get(h, "/", "").Code)
	for range 3 {
		require.Equal(t, 200, get(h, "/", "pro").Code)
	}
	require.Equal(t, 429, get(h, "/", "pro").Code)
	require.Equal(t, 200, get(h, "/free", "pro").Code)
	w := get(h, "/", "typo")
	require.Equal(t, 500, w.Code, "nobody is given a default by mistake")
	require.NotContains(t, w.Body.String(), "typo")
}

func TestExempt(t *testing.T) {
	var keys []string
	h := newMiddleware(t, ratelimit.Config{
		Policies: []ratelimit.Policy{perHour("requests", 1)},
		Key:      byUser,
		Exempt: func(_ *http.Request, key string) bool {
			keys = append(keys, key)
			return key == "root"
		},
	}).Handler(ok)
	for range 5 {
		w := get(h, "/", "root")
		require.Equal(t, 200, w.Code)
		require.Empty(t, w.Header().Get("RateLimit"))
	}
	require.Equal(t, 200, get(h, "/", "").Code)
	require.Equal(t, 429, get(h, "/", "").Code)
	require.Equal(t, "ip:192.0.2.1", keys[len(keys)-1])
}

// TestKeysOfUsersAndAddressesAreApart has a user who calls himself like the
// address of somebody else, or like what such a name becomes.
func TestKeysOfUsersAndAddressesAreApart(t *testing.T) {
	h := newMiddleware(t, ratelimit.Config{Policies: []ratelimit.Policy{perHour("p", 1)}, Key: byUser}).Handler(ok)
	for _, user := range []string{"", "ip:192.0.2.1", "key:ip:192.0.2.1", "key:key:ip:192.0.2.1", "192.0.2.1", "ip:", "key:"} {
		require.Equal(t, 200, get(h, "/", user).Code, user)
		require.Equal(t, 429, get(h, "/", user).Code, user)
	}
}

// TestTooManyNames has New say it, rather than the request for the last of them.
func TestTooManyNames(t *testing.T) {
	for _, tt := range []struct {
		name    string
		limiter ratelimit.Limiter
	}{{"in memory", nil}, {"remote", &remote{Memory: ratelimit.NewMemory(0)}}} {
		t.Run(tt.name, func(t *testing.T) {
			endpoints := make(map[string][]ratelimit.Policy)
			for i := range 1023 {
				endpoints[strconv.Itoa(i)] = []ratelimit.Policy{perHour(fmt.Sprint("p", i), 1)}
			}
			cfg := ratelimit.Config{Endpoints: endpoints, Endpoint: byUser, Limiter: tt.limiter}
			h := newMiddleware(t, cfg).Handler(ok)
			for i := range 1023 {
				require.Equal(t, 200, get(h, "/", strconv.Itoa(i)).Code)
				require.Equal(t, 429, get(h, "/", strconv.Itoa(i)).Code)
			}
			endpoints["more"] = []ratelimit.Policy{perHour("more", 1)}
			_, err := ratelimit.New(cfg)
			require.ErrorContains(t, err, "1023 names")
		})
	}
}

func TestNewErrors(t *testing.T) {
	good := ratelimit.Policy{Name: "p", Limit: 1, Window: time.Second}
	change := func(f func(*ratelimit.Policy)) ratelimit.Config {
		p := good
		f(&p)
		return ratelimit.Config{Policies: []ratelimit.Policy{p}}
	}
	for _, tt := range []struct {
		name string
		cfg  ratelimit.Config
		err  string
	}{
		{"nothing", ratelimit.Config{}, "Config.Policies is empty"},
		{"no name", change(func(p *ratelimit.Policy) { p.Name = "" }), "Policy.Name"},
		{"long name", change(func(p *ratelimit.Policy) { p.Name = string(make([]byte, 65)) }), "Policy.Name"},
		{"name with a line", change(func(p *ratelimit.Policy) { p.Name = "a\r\nb" }), "Policy.Name"},
		{"limit", change(func(p *ratelimit.Policy) { p.Limit = 0 }), "Limit is 0, want at least 1"},
		{"permits that no header can say", ratelimit.Config{Policies: []ratelimit.Policy{{Name: "streams", Unit: ratelimit.Concurrency, Limit: 1e9 + 1}}}, "Limit is 1000000001, want at most a billion permits"},
		{"negative limit", change(func(p *ratelimit.Policy) { p.Limit = -1 }), "Limit is -1, want at least 1"},
		{"too fast", change(func(p *ratelimit.Policy) { p.Limit = 1e9 }), "Limit is 1000000000, want at most a billion a minute"},
		{"no window", change(func(p *ratelimit.Policy) { p.Window = 0 }), "Window is 0s"},
		{"long window", change(func(p *ratelimit.Policy) { p.Window = 367 * 24 * time.Hour }), "Window is 8808h"},
		{"negative burst", change(func(p *ratelimit.Policy) { p.Burst = -1 }), "Burst is -1"},
		{"long burst", change(func(p *ratelimit.Policy) { p.Burst = 1e9 }), "Burst is 1000000000, want what comes back within 366 days"},
		{"unit", change(func(p *ratelimit.Policy) { p.Unit = "bytes" }), "Unit is bytes"},
		{"mode", change(func(p *ratelimit.Policy) { p.Mode = "warn" }), "Mode is warn"},
		{"failure", change(func(p *ratelimit.Policy) { p.OnFailure = "panic" }), "OnFailure is panic"},
		{"window of permits", change(func(p *ratelimit.Policy) { p.Unit = ratelimit.Concurrency }), "Window and Burst mean nothing"},
		{"same name", ratelimit.Config{Policies: []ratelimit.Policy{good, good}}, `two policies of one set are named "p"`},
		{"same name, other limit", ratelimit.Config{
			Policies:  []ratelimit.Policy{good},
			Endpoints: map[string][]ratelimit.Policy{"/x": {perHour("p", 2)}},
		}, `two different policies are named "p" (endpoint "/x")`},
		{"pattern", ratelimit.Config{Endpoints: map[string][]ratelimit.Policy{"GET  /{": {good}}}, `(endpoint "GET  /{")`},
		{"patterns that conflict", ratelimit.Config{Endpoints: map[string][]ratelimit.Policy{
			"/a/{x}/c": {good}, "/{y}/b/c": {good},
		}}, "conflicts with"},
		{"plans without PlanOf", ratelimit.Config{Plans: map[string]ratelimit.Plan{"x": {}}}, "PlanOf is required"},
		{"plan", ratelimit.Config{
			Plans:  map[string]ratelimit.Plan{"x": {Policies: []ratelimit.Policy{{Name: "q"}}}},
			PlanOf: func(*http.Request) string { return "" },
		}, `(plan "x")`},
		{"lease", ratelimit.Config{Policies: []ratelimit.Policy{good}, Lease: -1}, "want none below 0"},
		{"nine policies", ratelimit.Config{Policies: []ratelimit.Policy{
			perHour("1", 1), perHour("2", 1), perHour("3", 1), perHour("4", 1), perHour("5", 1),
			perHour("6", 1), perHour("7", 1), perHour("8", 1), perHour("9", 1),
		}}, "more than 8 policies"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m, err := ratelimit.New(tt.cfg)
			require.ErrorContains(t, err, tt.err)
			require.ErrorContains(t, err, "ratelimit: ")
			require.Nil(t, m)
		})
	}
}

// TestConfigIsCopied changes a policy after New.
func TestConfigIsCopied(t *testing.T) {
	list := []ratelimit.Policy{perHour("p", 1)}
	h := newMiddleware(t, ratelimit.Config{Policies: list}).Handler(ok)
	list[0].Limit = 100
	require.Equal(t, `"p";q=1;w=3600`, get(h, "/", "").Header().Get("RateLimit-Policy"))
}
