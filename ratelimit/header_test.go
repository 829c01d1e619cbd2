package ratelimit_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sparkhttp/spark/ratelimit"
)

func TestHeaderSyntax(t *testing.T) {
	for _, tt := range []struct {
		name          string
		policies      []ratelimit.Policy
		policy, state string
	}{
		{"one", []ratelimit.Policy{{Name: "default", Limit: 100, Window: 10 * time.Second}},
			`"default";q=100;w=10`, `"default";r=99;t=1`},
		{"several of all units", []ratelimit.Policy{
			{Name: "burst", Limit: 100, Window: time.Minute},
			{Name: "tokens", Unit: ratelimit.Tokens, Limit: 6, Window: time.Minute},
			{Name: "streams", Unit: ratelimit.Concurrency, Limit: 3},
		},
			`"burst";q=100;w=60, "tokens";q=6;spark-unit="tokens";w=60, "streams";q=3;qu="concurrent-requests"`,
			`"burst";r=99;t=1, "tokens";r=6;t=10, "streams";r=2`},
		{"burst", []ratelimit.Policy{{Name: "b", Limit: 60, Window: time.Hour, Burst: 5}},
			`"b";q=60;w=3600;spark-burst=5`, `"b";r=4;t=60`},
		{"part of a second", []ratelimit.Policy{{Name: "b", Limit: 5, Window: 1500 * time.Millisecond}},
			`"b";q=5`, `"b";r=4;t=1`},
		{"name that needs escapes", []ratelimit.Policy{{Name: `a"b\c, d;e=é`[:9], Limit: 5, Window: time.Second}},
			`"a\"b\\c, d;";q=5;w=1`, `"a\"b\\c, d;";r=4;t=1`},
		{"shadows are not shown", []ratelimit.Policy{
			{Name: "new", Limit: 5, Window: time.Second, Mode: ratelimit.Shadow},
			{Name: "old", Limit: 9, Window: time.Second},
			{Name: "none", Limit: 9, Window: time.Second, Mode: ratelimit.Off},
		},
			`"old";q=9;w=1`, `"old";r=8;t=1`},
		{"only a shadow", []ratelimit.Policy{{Name: "new", Limit: 5, Window: time.Second, Mode: ratelimit.Shadow}}, "", ""},
		{"the largest numbers", []ratelimit.Policy{{Name: "b", Limit: 500_000_000_000_000, Window: 366 * 24 * time.Hour}},
			`"b";q=500000000000000;w=31622400`, `"b";r=499999999999999;t=1`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newMiddleware(t, ratelimit.Config{Policies: tt.policies}).Handler(ok)
				got := get(h, "/", "").Header()
				require.Equal(t, tt.policy, got.Get("RateLimit-Policy"))
				require.Equal(t, tt.state, got.Get("RateLimit"))
				if tt.policy == "" {
					require.NotContains(t, got, "Ratelimit")
					require.NotContains(t, got, "Ratelimit-Policy")
					return
				}
				policies, err := parseList(got.Get("RateLimit-Policy"))
				require.NoError(t, err)
				states, err := parseList(got.Get("RateLimit"))
				require.NoError(t, err)
				require.Len(t, states, len(policies))
				for i := range states {
					require.Equal(t, policies[i].value, states[i].value)
				}
			})
		})
	}
}

// FuzzPolicyName says that every name which New accepts is read back as it was.
func FuzzPolicyName(f *testing.F) {
	for _, s := range []string{"burst", `"`, `\`, `\"\`, "per user; q=1, \"x\"", "é", "\n", "", "~ "} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, name string) {
		m, err := ratelimit.New(ratelimit.Config{Policies: []ratelimit.Policy{{Name: name, Limit: 5, Window: time.Minute}}})
		if err != nil {
			return
		}
		h := get(m.Handler(ok), "/", "").Header()
		for _, field := range []string{"RateLimit", "RateLimit-Policy"} {
			list, err := parseList(h.Get(field))
			require.NoError(t, err)
			require.Len(t, list, 1)
			require.Equal(t, name, list[0].value)
		}
	})
}

// TestRetryAfterIsExact says for many rates that a client which waits as long as
// it is told is served, that t says no more, and that a second less is too early.
func TestRetryAfterIsExact(t *testing.T) {
	for _, tt := range []struct {
		name   string
		limit  int64
		window time.Duration
		pause  time.Duration
		wait   int64
	}{
		{"whole", 3, time.Minute, 0, 20},
		{"rounded up", 3, time.Minute, time.Nanosecond, 20},
		{"just above", 3, time.Minute, 19*time.Second + time.Nanosecond, 1},
		{"thirds", 7, time.Minute, 0, 9},
		{"at least one", 1000, time.Second, 0, 1},
		{"a day", 1, 24 * time.Hour, time.Second, 86399},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newMiddleware(t, ratelimit.Config{
					Policies: []ratelimit.Policy{{Name: "p", Limit: tt.limit, Window: tt.window}},
				}).Handler(ok)
				for range tt.limit {
					require.Equal(t, 200, get(h, "/", "").Code)
				}
				time.Sleep(tt.pause)
				w := get(h, "/", "")
				require.Equal(t, 429, w.Code)
				require.Equal(t, strconv.FormatInt(tt.wait, 10), w.Header().Get("Retry-After"))
				state, err := parseList(w.Header().Get("RateLimit"))
				require.NoError(t, err)
				require.Equal(t, map[string]any{"r": int64(0), "t": tt.wait}, state[0].params)
				if tt.wait > 1 {
					time.Sleep(time.Duration(tt.wait-1) * time.Second)
					require.Equal(t, 429, get(h, "/", "").Code)
				}
				time.Sleep(time.Second)
				require.Equal(t, 200, get(h, "/", "").Code)
			})
		})
	}
}

// TestRetryAfterIsNotBeforeT covers section 6 of the draft: no t may be later.
func TestRetryAfterIsNotBeforeT(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newMiddleware(t, ratelimit.Config{Policies: []ratelimit.Policy{
			{Name: "burst", Limit: 1, Window: time.Second},
			{Name: "daily", Limit: 24, Window: 24 * time.Hour},
		}}).Handler(ok)
		require.Equal(t, `"burst";r=0;t=1, "daily";r=23;t=3600`, get(h, "/", "").Header().Get("RateLimit"))
		w := get(h, "/", "")
		require.Equal(t, "1", w.Header().Get("Retry-After"))
		require.Equal(t, `"burst";r=0;t=1, "daily";r=23`, w.Header().Get("RateLimit"))
	})
}

func TestRetryAfterIsThatOfTheSlowestPolicy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newMiddleware(t, ratelimit.Config{Policies: []ratelimit.Policy{
			{Name: "burst", Limit: 1, Window: time.Second},
			{Name: "hourly", Limit: 1, Window: time.Hour},
		}}).Handler(ok)
		get(h, "/", "")
		w := get(h, "/", "")
		require.Equal(t, "3600", w.Header().Get("Retry-After"))
		require.Contains(t, w.Body.String(), `"violated-policies":["burst","hourly"]`)
	})
}

func TestJitter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newMiddleware(t, ratelimit.Config{
			Policies: []ratelimit.Policy{{Name: "p", Limit: 1, Window: 10 * time.Second}},
			Jitter:   5 * time.Second,
		}).Handler(ok)
		get(h, "/", "")
		seen := make(map[int]bool)
		for range 200 {
			s, err := strconv.Atoi(get(h, "/", "").Header().Get("Retry-After"))
			require.NoError(t, err)
			require.GreaterOrEqual(t, s, 10)
			require.LessOrEqual(t, s, 15)
			seen[s] = true
		}
		require.GreaterOrEqual(t, len(seen), 4)
	})
}

func TestLegacyHeaders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newMiddleware(t, ratelimit.Config{
			Policies: []ratelimit.Policy{
				{Name: "burst", Limit: 4, Window: time.Minute},
				{Name: "daily", Limit: 100, Window: 24 * time.Hour},
			},
			LegacyHeaders: true,
		}).Handler(ok)
		got := get(h, "/", "").Header()
		require.Equal(t, "4", got.Get("X-RateLimit-Limit"), "of the policy that is nearest to its end")
		require.Equal(t, "3", got.Get("X-RateLimit-Remaining"))
		require.Equal(t, strconv.FormatInt(time.Now().Unix()+15, 10), got.Get("X-RateLimit-Reset"))
		for range 4 {
			got = get(h, "/", "").Header()
		}
		require.Equal(t, "0", got.Get("X-RateLimit-Remaining"))
		require.Equal(t, strconv.FormatInt(time.Now().Unix()+60, 10), got.Get("X-RateLimit-Reset"))
		burst := ratelimit.Policy{Name: "burst", Limit: 4, Window: time.Minute}
		require.NotContains(t, get(newMiddleware(t, ratelimit.Config{
			Policies: []ratelimit.Policy{burst},
		}).Handler(ok), "/", "").Header(), "X-Ratelimit-Limit")
		require.Equal(t, "4", get(newMiddleware(t, ratelimit.Config{
			Policies:      []ratelimit.Policy{burst, {Name: "new", Limit: 1, Window: time.Hour, Mode: ratelimit.Shadow}},
			LegacyHeaders: true,
		}).Handler(ok), "/", "").Header().Get("X-RateLimit-Limit"), "not of a shadow")
	})
}

func TestExposeHeaders(t *testing.T) {
	m := newMiddleware(t, ratelimit.Config{
		Policies:      []ratelimit.Policy{{Name: "burst", Limit: 4, Window: time.Minute}},
		ExposeHeaders: true,
	})
	require.Equal(t, []string{"RateLimit, RateLimit-Policy, Retry-After"},
		get(m.Handler(m.Handler(ok)), "/", "").Header().Values("Access-Control-Expose-Headers"), "once")
	cors := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Access-Control-Expose-Headers", "Etag")
		m.Handler(ok).ServeHTTP(w, r)
	})
	require.Equal(t, []string{"Etag", "RateLimit, RateLimit-Policy, Retry-After"},
		get(cors, "/", "").Header().Values("Access-Control-Expose-Headers"))

	shared := append(make([]string, 0, 2), "Etag")
	w := httptest.NewRecorder()
	w.Header()["Access-Control-Expose-Headers"] = shared
	m.Handler(ok).ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	require.Empty(t, shared[:2][1], "values may be shared by responses")
}

func TestErrorHandlerSeesTheHeaders(t *testing.T) {
	h := newMiddleware(t, ratelimit.Config{
		Policies: []ratelimit.Policy{{Name: "p", Limit: 1, Window: time.Minute}},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			require.EqualError(t, err, "ratelimit: quota exceeded: p")
			require.NotEmpty(t, w.Header().Get("Retry-After"))
			require.NotEmpty(t, w.Header().Get("RateLimit"))
			w.WriteHeader(http.StatusTeapot)
		},
	}).Handler(ok)
	get(h, "/", "")
	require.Equal(t, http.StatusTeapot, get(h, "/", "").Code)
}

// TestHeadersAreNotMixedUp looks again at header fields, whose values come from
// common stock, when many responses have been sent after them.
func TestHeadersAreNotMixedUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newMiddleware(t, ratelimit.Config{
			Policies: []ratelimit.Policy{{Name: "p", Limit: 500, Window: 500 * 300 * time.Second}},
			Key:      byUser,
		}).Handler(ok)
		var sent []http.Header
		for range 500 {
			sent = append(sent, get(h, "/", "ada").Header())
		}
		for range 300 {
			sent = append(sent, get(h, "/", "ada").Header())
			time.Sleep(time.Second)
		}
		for i, got := range sent {
			if i < 500 {
				require.Equal(t, fmt.Sprintf(`"p";r=%d;t=300`, 499-i), got.Get("RateLimit"))
				require.NotContains(t, got, "Retry-After")
				continue
			}
			require.Equal(t, fmt.Sprintf(`"p";r=0;t=%d`, 800-i), got.Get("RateLimit"))
			require.Equal(t, strconv.Itoa(800-i), got.Get("Retry-After"))
		}
	})
}

// TestHandlerAllocates guards what the documentation of the benchmark claims.
func TestHandlerAllocates(t *testing.T) {
	if raceEnabled {
		t.Log("the race detector allocates too")
		return
	}
	for _, tt := range []struct {
		name   string
		limit  int64
		key    func(*http.Request) string
		allocs float64
	}{
		{"allowed", 1_000_000, byUser, 0},
		{"allowed, by address", 1_000_000, nil, 1},
		{"refused", 1, byUser, 0},
		{"refused, by address", 1, nil, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := newMiddleware(t, ratelimit.Config{
				Policies: []ratelimit.Policy{{Name: "p", Limit: tt.limit, Window: 24 * time.Hour}},
				Key:      tt.key,
			}).Handler(empty)
			r := requests(1)[0]
			w := &discard{make(http.Header)}
			require.LessOrEqual(t, testing.AllocsPerRun(300, func() {
				clear(w.h)
				h.ServeHTTP(w, r)
			}), tt.allocs)
		})
	}
}
