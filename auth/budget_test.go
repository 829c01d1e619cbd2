package auth_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sparkhttp/spark/auth"
)

// from sends a key from an address and returns the reason of the refusal, if
// any.
func from(gate *auth.Authenticator, addr, key string) *auth.Error {
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.RemoteAddr = addr
	if key != "" {
		r.Header.Set("X-Api-Key", key)
	}
	_, err := gate.Authenticate(r)
	e, _ := errors.AsType[*auth.Error](err)
	return e
}

// A client that waits as long as Retry-After says isn't too early.
func TestRetryAfterRoundsUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService(t)
		gate := s.gate(t, auth.Config{FailedAttempts: 1, FailureWindow: 1300 * time.Millisecond})
		require.Equal(t, 401, ask(t, gate.Handler, "X-API-Key: "+s.keys["unknown"]).StatusCode)
		got := ask(t, gate.Handler, "X-API-Key: "+s.keys["good"])
		require.Equal(t, 429, got.StatusCode)
		require.Equal(t, "2", got.Header.Get("Retry-After"))
		time.Sleep(2 * time.Second)
		require.Equal(t, 200, ask(t, gate.Handler, "X-API-Key: "+s.keys["good"]).StatusCode)
	})
}

// Who guesses is shut out before the store is asked, for as long as Retry-After
// says, and nobody else is.
func TestBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService(t)
		store := &counting{KeyStore: s.store}
		gate := s.gate(t, auth.Config{Store: store, FailedAttempts: 10, FailureWindow: 100 * time.Second})
		const here, there = "192.0.2.1:1234", "192.0.2.2:1234"
		for i := range 10 {
			e := from(gate, here, s.keys["unknown"])
			require.Equal(t, auth.UnknownKey, e.Reason, i)
			require.Equal(t, i == 9, s.attempts[i].Exhausted, i)
			require.Equal(t, netip.MustParseAddr("192.0.2.1"), s.attempts[i].Client)
		}
		asked := store.lookups
		for _, key := range []string{"unknown", "good", "mistyped", "master"} {
			e := from(gate, here, s.keys[key])
			require.Equal(t, auth.Blocked, e.Reason, "%s: or a guess that hits would show", key)
			require.Equal(t, 10*time.Second, e.RetryAfter)
			require.False(t, s.attempts[len(s.attempts)-1].Exhausted, "told once")
		}
		require.Equal(t, asked, store.lookups)
		require.Equal(t, auth.NoKey, from(gate, here, "").Reason, "who sends no key isn't guessing")
		require.Nil(t, from(gate, there, s.keys["good"]))

		got := ask(t, func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				r.RemoteAddr = here
				gate.Handler(next).ServeHTTP(w, r)
			})
		}, "X-API-Key: "+s.keys["good"])
		require.Equal(t, http.StatusTooManyRequests, got.StatusCode)
		require.Equal(t, "10", got.Header.Get("Retry-After"))
		require.Empty(t, got.Header.Get("WWW-Authenticate"))

		time.Sleep(10*time.Second - 1)
		require.Equal(t, auth.Blocked, from(gate, here, s.keys["good"]).Reason)
		time.Sleep(time.Nanosecond)
		require.Nil(t, from(gate, here, s.keys["good"]))
		require.Equal(t, auth.WrongSecret, from(gate, here, s.keys["wrong secret"]).Reason)
		require.True(t, s.attempts[len(s.attempts)-1].Exhausted)
		require.Equal(t, auth.Blocked, from(gate, here, s.keys["good"]).Reason)
		time.Sleep(200 * time.Second)
		require.Nil(t, from(gate, here, s.keys["good"]))
		require.Zero(t, gate.Tracked(), "what is forgiven is forgotten")
	})
}

// What counts against an address, and what doesn't.
func TestBudgetCounts(t *testing.T) {
	s := newService(t)
	for key, counts := range map[string]bool{
		"unknown": true, "wrong secret": true, "revoked": true, "expired": true, "disabled": true, "mistyped": true, "other prefix": true,
		"good": false, "master": false, "superseded": false, "": false,
	} {
		gate := s.gate(t, auth.Config{FailedAttempts: 1})
		from(gate, "192.0.2.1:1", s.keys[key])
		e := from(gate, "192.0.2.1:1", s.keys["good"])
		require.Equal(t, counts, e != nil && e.Reason == auth.Blocked, key)
	}
	off := s.gate(t, auth.Config{FailedAttempts: -1})
	for range 1000 {
		require.Equal(t, auth.UnknownKey, from(off, "192.0.2.1:1", s.keys["unknown"]).Reason)
	}
}

func TestBudgetAddresses(t *testing.T) {
	s := newService(t)
	tests := []struct {
		name, a, b string
		same       bool
	}{
		{"ports", "192.0.2.1:1", "192.0.2.1:2", true},
		{"IPv4", "192.0.2.1:1", "192.0.2.2:1", false},
		{"IPv4 in IPv6", "192.0.2.1:1", "[::ffff:192.0.2.1]:1", true},
		{"one /64", "[2001:db8::1]:1", "[2001:db8::ffff:0:0:2]:1", true},
		{"two /64", "[2001:db8::1]:1", "[2001:db8:0:1::1]:1", false},
		{"zones", "[fe80::1%eth0]:1", "[fe80::1%eth1]:1", true},
		{"unknown ones have no budget", "@", "@", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			gate := s.gate(t, auth.Config{FailedAttempts: 1})
			require.Equal(t, auth.UnknownKey, from(gate, tt.a, s.keys["unknown"]).Reason)
			require.Equal(t, tt.same, from(gate, tt.b, s.keys["good"]) != nil)
		})
	}
	behind := s.gate(t, auth.Config{FailedAttempts: 1, ClientIP: func(r *http.Request) netip.Addr {
		addr, _ := netip.ParseAddr(r.Header.Get("X-Real-Ip"))
		return addr
	}})
	r := requestWithText(s.keys["unknown"])
	r.Header.Set("X-Real-Ip", "203.0.113.9")
	_, err := behind.Authenticate(r)
	require.Error(t, err)
	r = requestWithText(s.keys["good"])
	_, err = behind.Authenticate(r)
	require.NoError(t, err, "another client behind the same proxy")
	r.Header.Set("X-Real-Ip", "203.0.113.9")
	_, err = behind.Authenticate(r)
	require.Error(t, err)
}

// An attack from many addresses doesn't take more memory than is meant for it,
// and doesn't set free who is shut out.
func TestBudgetBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService(t)
		gate, err := auth.New(auth.Config{Store: s.store, FailedAttempts: 20})
		require.NoError(t, err)
		var guessing []string
		for i := range 30 {
			guessing = append(guessing, fmt.Sprintf("192.0.2.%d:1", i))
			for range 20 {
				from(gate, guessing[i], s.keys["unknown"])
			}
		}
		for i := range auth.MaxBlocked + 5000 {
			addr := fmt.Sprintf("10.%d.%d.%d:1", i>>16, i>>8&255, i&255)
			require.Equal(t, auth.UnknownKey, from(gate, addr, s.keys["unknown"]).Reason)
		}
		require.Equal(t, auth.MaxBlocked, gate.Tracked())
		for _, addr := range guessing {
			require.Equal(t, auth.Blocked, from(gate, addr, s.keys["good"]).Reason, "who fails most is remembered")
		}
	})
}

// Guesses that were let in at once keep an address out for no longer than as
// many one after the other.
func TestBudgetAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService(t)
		gate, err := auth.New(auth.Config{Store: &slow{Memory: s.store, delay: time.Second}, FailedAttempts: 10, FailureWindow: 100 * time.Second})
		require.NoError(t, err)
		var wg sync.WaitGroup
		for range 200 {
			wg.Go(func() { from(gate, "192.0.2.1:1", s.keys["unknown"]) })
		}
		wg.Wait()
		e := from(gate, "192.0.2.1:1", s.keys["good"])
		require.Equal(t, auth.Blocked, e.Reason)
		require.Equal(t, 9*time.Second, e.RetryAfter, "10 s from when they came, a second ago")
	})
}

// However many come at once, no more guesses get through than the budget has
// room for, and it is told once.
func TestBudgetHammer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService(t)
		var exhausted, tried atomic.Int64
		gate, err := auth.New(auth.Config{Store: s.store, FailedAttempts: 50, OnAttempt: func(_ context.Context, at auth.Attempt) {
			if at.Exhausted {
				exhausted.Add(1)
			}
		}})
		require.NoError(t, err)
		var wg sync.WaitGroup
		const workers = 8
		for range workers {
			wg.Go(func() {
				for range 500 {
					e := from(gate, "192.0.2.1:1", s.keys["unknown"])
					if e.Reason != auth.Blocked {
						tried.Add(1)
					} else if e.RetryAfter > time.Minute/50 {
						t.Errorf("blocked for %v", e.RetryAfter)
					}
				}
			})
		}
		wg.Wait()
		require.LessOrEqual(t, tried.Load(), int64(50+workers), "but for those that were under way")
		require.GreaterOrEqual(t, tried.Load(), int64(50))
		require.Equal(t, int64(1), exhausted.Load())
	})
}
