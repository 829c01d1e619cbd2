package auth_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sparkhttp/spark/auth"
)

// service is a store with a key in each state, and what has been noticed.
type service struct {
	store    *auth.Memory
	manager  *auth.Manager
	attempts []auth.Attempt
	keys     map[string]string
	ids      map[string]string
}

const masterKey = "a-master-key-of-arbitrary-form!"

func newService(tb testing.TB, peppers ...auth.Pepper) *service {
	tb.Helper()
	s := &service{store: auth.NewMemory(), keys: map[string]string{}, ids: map[string]string{}}
	var err error
	s.manager, err = auth.NewManager(auth.ManagerConfig{Store: s.store, Peppers: peppers})
	require.NoError(tb, err)
	ctx := tb.Context()
	for name, info := range map[string]auth.KeyInfo{
		"good":     {Owner: "ada", Plan: "pro", Scopes: []string{"read"}, Metadata: map[string]string{"team": "7"}},
		"revoked":  {Owner: "ada"},
		"disabled": {Owner: "ada", Disabled: true},
		"expired":  {Owner: "ada", Expires: time.Now().Add(-time.Second)},
		"rotated":  {Owner: "ada"},
	} {
		key, made, err := s.manager.Create(ctx, info)
		require.NoError(tb, err)
		s.keys[name], s.ids[name] = key.Reveal(), made.ID
	}
	_, err = s.manager.Revoke(ctx, s.ids["revoked"])
	require.NoError(tb, err)
	s.keys["superseded"] = s.keys["rotated"]
	rotated, _, err := s.manager.Rotate(ctx, s.ids["rotated"], time.Hour)
	require.NoError(tb, err)
	s.keys["rotated"] = rotated.Reveal()
	unknown, err := auth.NewKey("")
	require.NoError(tb, err)
	s.keys["unknown"] = unknown.Reveal()
	s.keys["wrong secret"] = otherSecret(tb, s.keys["good"])
	other := "x"
	if s.keys["good"][20] == 'x' {
		other = "y"
	}
	s.keys["mistyped"] = s.keys["good"][:20] + other + s.keys["good"][21:]
	s.keys["master"] = masterKey
	foreign, err := auth.NewKey("spark_test")
	require.NoError(tb, err)
	s.keys["other prefix"] = foreign.Reveal()
	return s
}

// otherSecret returns a well-formed key with the id of another.
func otherSecret(tb testing.TB, key string) string {
	tb.Helper()
	store := auth.NewMemory()
	m, err := auth.NewManager(auth.ManagerConfig{Store: store})
	require.NoError(tb, err)
	_, info, err := m.Create(tb.Context(), auth.KeyInfo{Owner: "mallory"})
	require.NoError(tb, err)
	rec, err := store.Lookup(tb.Context(), info.ID)
	require.NoError(tb, err)
	parsed, err := auth.ParseKey(key)
	require.NoError(tb, err)
	moved := rec.Clone()
	moved.ID = parsed.ID()
	require.NoError(tb, store.Update(tb.Context(), func(*auth.Record) (*auth.Record, error) { return moved, nil }, moved.ID))
	made, _, err := m.Rotate(tb.Context(), moved.ID, 0)
	require.NoError(tb, err)
	return made.Reveal()
}

func (s *service) gate(tb testing.TB, cfg auth.Config) *auth.Authenticator {
	tb.Helper()
	if cfg.Store == nil {
		cfg.Store = s.store
	}
	cfg.MasterKeys = func() []string { return []string{"another-master-key", masterKey} }
	cfg.OnAttempt = func(_ context.Context, at auth.Attempt) { s.attempts = append(s.attempts, at) }
	gate, err := auth.New(cfg)
	require.NoError(tb, err)
	return gate
}

// reply is what a client gets and what the handler knew.
type reply struct {
	*http.Response
	body     string
	identity auth.Identity
	reached  bool
}

// ask sends one request with header fields "Name: value" through a middleware.
func ask(tb testing.TB, middleware func(http.Handler) http.Handler, fields ...string) reply {
	tb.Helper()
	var got reply
	h := middleware(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		got.reached = true
		var known bool
		got.identity, known = auth.FromContext(r.Context())
		require.True(tb, known)
	}))
	r := httptest.NewRequest(http.MethodGet, "/things?api_key=in-the-query", nil)
	for _, f := range fields {
		name, value, _ := strings.Cut(f, ": ")
		r.Header.Add(name, value)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	got.Response = w.Result()
	body, err := io.ReadAll(got.Body)
	require.NoError(tb, err)
	got.body = string(body)
	return got
}

func TestHandler(t *testing.T) {
	s := newService(t)
	const invalid = `Bearer realm="api", error="invalid_token"`
	tests := []struct {
		name      string
		fields    []string
		status    int
		challenge string
		refused   auth.Reason
	}{
		{name: "bearer", fields: []string{"Authorization: Bearer " + s.keys["good"]}, status: 200},
		{name: "scheme in any case", fields: []string{"Authorization: bEARER " + s.keys["good"]}, status: 200},
		{name: "more than one space", fields: []string{"Authorization: Bearer   " + s.keys["good"]}, status: 200},
		{name: "X-API-Key", fields: []string{"X-API-Key: " + s.keys["good"]}, status: 200},
		{name: "master key", fields: []string{"Authorization: Bearer " + masterKey}, status: 200},
		{name: "master key as X-API-Key", fields: []string{"X-API-Key: " + masterKey}, status: 200},
		{name: "rotated", fields: []string{"X-API-Key: " + s.keys["rotated"]}, status: 200},
		{name: "superseded", fields: []string{"X-API-Key: " + s.keys["superseded"]}, status: 200},
		{name: "none, but one in the query", status: 401, challenge: `Bearer realm="api"`, refused: auth.NoKey},
		{name: "another scheme", fields: []string{"Authorization: Basic YTpi"}, status: 401, challenge: `Bearer realm="api"`, refused: auth.NoKey},
		{name: "key without a scheme", fields: []string{"Authorization: " + s.keys["good"]}, status: 401, challenge: `Bearer realm="api"`, refused: auth.NoKey},
		{name: "empty field", fields: []string{"Authorization: "}, status: 401, challenge: `Bearer realm="api"`, refused: auth.NoKey},
		{name: "scheme without a key", fields: []string{"Authorization: Bearer"}, status: 401, challenge: invalid, refused: auth.Malformed},
		{name: "empty X-API-Key", fields: []string{"X-API-Key: "}, status: 401, challenge: invalid, refused: auth.Malformed},
		{name: "space in the key", fields: []string{"Authorization: Bearer a b"}, status: 401, challenge: invalid, refused: auth.Malformed},
		{name: "not ASCII", fields: []string{"X-API-Key: schlüssel"}, status: 401, challenge: invalid, refused: auth.Malformed},
		{name: "very long", fields: []string{"X-API-Key: " + strings.Repeat("k", 100_000)}, status: 401, challenge: invalid, refused: auth.Malformed},
		{name: "mistyped", fields: []string{"X-API-Key: " + s.keys["mistyped"]}, status: 401, challenge: invalid, refused: auth.Malformed},
		{name: "other prefix", fields: []string{"X-API-Key: " + s.keys["other prefix"]}, status: 401, challenge: invalid, refused: auth.Malformed},
		{name: "part of a master key", fields: []string{"X-API-Key: " + masterKey[1:]}, status: 401, challenge: invalid, refused: auth.Malformed},
		{name: "unknown", fields: []string{"X-API-Key: " + s.keys["unknown"]}, status: 401, challenge: invalid, refused: auth.UnknownKey},
		{name: "wrong secret", fields: []string{"X-API-Key: " + s.keys["wrong secret"]}, status: 401, challenge: invalid, refused: auth.WrongSecret},
		{name: "revoked", fields: []string{"X-API-Key: " + s.keys["revoked"]}, status: 401, challenge: invalid, refused: auth.Revoked},
		{name: "disabled", fields: []string{"X-API-Key: " + s.keys["disabled"]}, status: 401, challenge: invalid, refused: auth.Disabled},
		{name: "expired", fields: []string{"X-API-Key: " + s.keys["expired"]}, status: 401, challenge: invalid, refused: auth.Expired},
		{name: "two kinds", fields: []string{"Authorization: Bearer " + s.keys["good"], "X-API-Key: " + s.keys["good"]}, status: 400, challenge: `Bearer realm="api", error="invalid_request"`, refused: auth.TwoKeys},
		{name: "two of a kind", fields: []string{"X-API-Key: " + s.keys["good"], "X-API-Key: " + masterKey}, status: 400, challenge: `Bearer realm="api", error="invalid_request"`, refused: auth.TwoKeys},
		{name: "two schemes", fields: []string{"Authorization: Basic YTpi", "Authorization: Bearer " + s.keys["good"]}, status: 400, challenge: `Bearer realm="api", error="invalid_request"`, refused: auth.TwoKeys},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s.attempts = nil
			gate := s.gate(t, auth.Config{})
			for name, middleware := range map[string]func(http.Handler) http.Handler{
				"required": gate.Handler, "optional": gate.Optional, "scopes": gate.RequireScopes(),
			} {
				got := ask(t, middleware, tt.fields...)
				require.Equal(t, []string{"Authorization, X-API-Key"}, got.Header.Values("Vary"))
				if name == "optional" && len(tt.fields) == 0 {
					require.Equal(t, auth.Identity{Anonymous: true}, got.identity)
					require.Empty(t, got.Header.Get("Cache-Control"))
					continue
				}
				require.Equal(t, tt.status, got.StatusCode)
				require.Equal(t, tt.status == 200, got.reached)
				require.Equal(t, tt.challenge, got.Header.Get("WWW-Authenticate"))
				require.Equal(t, "no-store", got.Header.Get("Cache-Control"))
				if tt.status != 200 {
					require.Equal(t, "application/problem+json", got.Header.Get("Content-Type"))
				}
			}
			require.Len(t, s.attempts, 3)
			for _, at := range s.attempts {
				require.Equal(t, tt.refused, at.Refused)
				require.Equal(t, tt.refused != "", at.Err != nil)
				require.Equal(t, tt.name == "superseded", at.Superseded)
			}
		})
	}
}

func TestIdentity(t *testing.T) {
	s := newService(t)
	gate := s.gate(t, auth.Config{})
	tests := []struct {
		name string
		key  string
		want auth.Identity
	}{
		{"user", s.keys["good"], auth.Identity{KeyID: s.ids["good"], User: "ada", Plan: "pro", Scopes: []string{"read"}, Metadata: map[string]string{"team": "7"}}},
		{"master", masterKey, auth.Identity{KeyID: "master:2", User: "master", Master: true}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			require.Equal(t, tt.want, ask(t, gate.Handler, "X-API-Key: "+tt.key).identity)
			at := s.attempts[len(s.attempts)-1]
			require.Equal(t, tt.want.KeyID, at.KeyID)
			require.Equal(t, tt.want.User, at.User)
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			r.Header.Set("X-Api-Key", tt.key)
			got, err := gate.Authenticate(r)
			require.NoError(t, err)
			require.Equal(t, tt.want, got)
		})
	}
	_, known := auth.FromContext(t.Context())
	require.False(t, known)
	want := auth.Identity{KeyID: "k", User: "u"}
	type other struct{}
	ctx := auth.NewContext(context.WithValue(t.Context(), other{}, 1), want)
	got, known := auth.FromContext(ctx)
	require.True(t, known)
	require.Equal(t, want, got)
	require.Equal(t, 1, ctx.Value(other{}), "what else the context carries is still there")
}

// A store that knows no owners still tells users apart.
func TestIdentityWithoutOwner(t *testing.T) {
	s := newService(t)
	rec, err := s.store.Lookup(t.Context(), s.ids["good"])
	require.NoError(t, err)
	bare := rec.Clone()
	bare.Owner = ""
	got := ask(t, s.gate(t, auth.Config{Store: one{bare}}).Handler, "X-API-Key: "+s.keys["good"])
	require.Equal(t, s.ids["good"], got.identity.User)
}

// A store that says twice what it has once is let off.
func TestSameHashTwice(t *testing.T) {
	s := newService(t)
	rec, err := s.store.Lookup(t.Context(), s.ids["good"])
	require.NoError(t, err)
	twice := rec.Clone()
	twice.Previous = twice.Current
	require.Equal(t, 200, ask(t, s.gate(t, auth.Config{Store: one{twice}}).Handler, "X-API-Key: "+s.keys["good"]).StatusCode)
	require.False(t, s.attempts[0].Superseded)
	twice.Current = auth.Hash{Sum: [32]byte{1}} // and one from before without an end is over
	require.Equal(t, 401, ask(t, s.gate(t, auth.Config{Store: one{twice}}).Handler, "X-API-Key: "+s.keys["good"]).StatusCode)
}

// one is a KeyStore that knows one record, or only an error.
type one struct{ rec *auth.Record }

func (o one) Lookup(context.Context, string) (*auth.Record, error) { return o.rec, nil }

func TestRequireScopes(t *testing.T) {
	s := newService(t)
	gate := s.gate(t, auth.Config{Realm: "things"})
	chain := func(outer func(http.Handler) http.Handler, scopes ...string) func(http.Handler) http.Handler {
		return func(next http.Handler) http.Handler { return outer(gate.RequireScopes(scopes...)(next)) }
	}
	tests := []struct {
		name       string
		middleware func(http.Handler) http.Handler
		key        string
		status     int
		challenge  string
	}{
		{"alone, has it", gate.RequireScopes("read"), "good", 200, ""},
		{"alone, lacks it", gate.RequireScopes("read", "write"), "good", 403, `Bearer realm="things", error="insufficient_scope", scope="read write"`},
		{"alone, no key", gate.RequireScopes("read"), "", 401, `Bearer realm="things"`},
		{"alone, bad key", gate.RequireScopes("read"), "revoked", 401, `Bearer realm="things", error="invalid_token"`},
		{"inside Handler, has it", chain(gate.Handler, "read"), "good", 200, ""},
		{"inside Handler, lacks it", chain(gate.Handler, "write"), "good", 403, `Bearer realm="things", error="insufficient_scope", scope="write"`},
		{"inside Optional, no key", chain(gate.Optional, "read"), "", 401, `Bearer realm="things"`},
		{"inside Optional, no key and no scope", chain(gate.Optional), "", 401, `Bearer realm="things"`},
		{"key without scopes", gate.RequireScopes("read"), "rotated", 403, `Bearer realm="things", error="insufficient_scope", scope="read"`},
		{"master has all", gate.RequireScopes("read", "write"), "master", 200, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var fields []string
			if tt.key != "" {
				fields = []string{"X-API-Key: " + s.keys[tt.key]}
			}
			got := ask(t, tt.middleware, fields...)
			require.Equal(t, tt.status, got.StatusCode)
			require.Equal(t, tt.status == 200, got.reached)
			require.Equal(t, tt.challenge, got.Header.Get("WWW-Authenticate"))
			require.Equal(t, "no-store", got.Header.Get("Cache-Control"))
			require.Equal(t, []string{"Authorization, X-API-Key"}, got.Header.Values("Vary"))
			if tt.status == 403 {
				require.Equal(t, auth.Scope, s.attempts[len(s.attempts)-1].Refused)
			}
		})
	}
	require.Panics(t, func() { gate.RequireScopes(`a"b`) })
}

func TestIdentityHas(t *testing.T) {
	tests := []struct {
		name   string
		id     auth.Identity
		scopes []string
		want   bool
	}{
		{"none needed", auth.Identity{KeyID: "k"}, nil, true},
		{"all", auth.Identity{KeyID: "k", Scopes: []string{"a", "b"}}, []string{"b", "a"}, true},
		{"one missing", auth.Identity{KeyID: "k", Scopes: []string{"a"}}, []string{"a", "b"}, false},
		{"part of one", auth.Identity{KeyID: "k", Scopes: []string{"ab"}}, []string{"a"}, false},
		{"master", auth.Identity{KeyID: "m", Master: true}, []string{"a"}, true},
		{"anonymous", auth.Identity{Anonymous: true}, nil, false},
		{"zero", auth.Identity{}, nil, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { require.Equal(t, tt.want, tt.id.Has(tt.scopes...)) })
	}
}

type failing struct{ err error }

func (f failing) Lookup(context.Context, string) (*auth.Record, error) { return nil, f.err }

// A store that doesn't know is neither a yes nor a no.
func TestStoreFails(t *testing.T) {
	s := newService(t)
	rec, err := s.store.Lookup(t.Context(), s.ids["good"])
	require.NoError(t, err)
	reserved := rec.Clone()
	reserved.Owner = "master"
	tests := []struct {
		name  string
		store auth.KeyStore
		cause error
	}{
		{"error", failing{errors.New("connection to 10.0.0.7 refused")}, nil},
		{"client gone", failing{context.Canceled}, context.Canceled},
		{"neither record nor error", one{}, nil},
		{"owner posing as a master key", one{reserved}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			gate := s.gate(t, auth.Config{Store: tt.store, FailedAttempts: 1})
			// It is not the client's fault: its budget is untouched.
			for _, middleware := range []func(http.Handler) http.Handler{gate.Handler, gate.Optional, gate.RequireScopes(), gate.Handler} {
				got := ask(t, middleware, "X-API-Key: "+s.keys["good"])
				require.Equal(t, http.StatusServiceUnavailable, got.StatusCode)
				require.Equal(t, "5", got.Header.Get("Retry-After"))
				require.Empty(t, got.Header.Get("WWW-Authenticate"))
				require.False(t, got.reached)
				require.NotContains(t, got.body, "10.0.0.7")
			}
			at := s.attempts[len(s.attempts)-1]
			require.Equal(t, auth.Unavailable, at.Refused)
			require.Empty(t, at.User)
			if tt.cause != nil {
				require.ErrorIs(t, at.Err, tt.cause)
			}
		})
	}
}

func TestErrorHandler(t *testing.T) {
	s := newService(t)
	gate := s.gate(t, auth.Config{ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
		e, ok := errors.AsType[*auth.Error](err)
		require.True(t, ok)
		w.WriteHeader(http.StatusTeapot)
		_, _ = io.WriteString(w, string(e.Reason))
	}})
	got := ask(t, gate.Handler, "X-API-Key: "+s.keys["revoked"])
	require.Equal(t, http.StatusTeapot, got.StatusCode)
	require.Equal(t, "revoked", got.body)
	require.Equal(t, `Bearer realm="api", error="invalid_token"`, got.Header.Get("WWW-Authenticate"), "an override can't forget it")
}

// What a handler says of caching stands, and no other header is lost.
func TestHeadersOfTheHandler(t *testing.T) {
	s := newService(t)
	gate := s.gate(t, auth.Config{})
	h := gate.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Cache-Control", "private, max-age=60")
		w.Header().Add("Vary", "Accept")
	}))
	for range 2 { // the second would see what the first did to shared values
		w := httptest.NewRecorder()
		w.Header().Set("Vary", "Origin")
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header.Set("X-Api-Key", s.keys["good"])
		h.ServeHTTP(w, r)
		require.Equal(t, "private, max-age=60", w.Header().Get("Cache-Control"))
		require.Equal(t, []string{"Origin", "Authorization, X-API-Key", "Accept"}, w.Header().Values("Vary"))
		require.Equal(t, "no-store", ask(t, gate.Handler, "X-API-Key: "+s.keys["good"]).Header.Get("Cache-Control"))
	}
	w := httptest.NewRecorder()
	w.Header().Set("Cache-Control", "no-store, no-transform") // of a middleware further out
	gate.Handler(http.NotFoundHandler()).ServeHTTP(w, requestWithText(s.keys["good"]))
	require.Equal(t, []string{"no-store, no-transform"}, w.Header()["Cache-Control"])
}

// A middleware further out reads the pattern that a mux further in matched.
func TestPattern(t *testing.T) {
	s := newService(t)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /things/{id}", func(http.ResponseWriter, *http.Request) {})
	r := httptest.NewRequest(http.MethodGet, "/things/7", nil)
	r.Header.Set("X-Api-Key", s.keys["good"])
	s.gate(t, auth.Config{}).Handler(mux).ServeHTTP(httptest.NewRecorder(), r)
	require.Equal(t, "GET /things/{id}", r.Pattern)
}

// The first event of a stream arrives while the handler is still running.
func TestStream(t *testing.T) {
	s := newService(t)
	for _, http2 := range []bool{false, true} {
		t.Run(map[bool]string{false: "HTTP/1.1", true: "HTTP/2"}[http2], func(t *testing.T) {
			read := make(chan struct{})
			h := s.gate(t, auth.Config{}).Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				_, _ = io.WriteString(w, "data: 1\n\n")
				w.(http.Flusher).Flush()
				<-read
			}))
			srv := httptest.NewUnstartedServer(h)
			srv.EnableHTTP2 = http2
			srv.StartTLS()
			defer srv.Close()
			r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, srv.URL, nil)
			require.NoError(t, err)
			r.Header.Set("Authorization", "Bearer "+s.keys["good"])
			resp, err := srv.Client().Do(r)
			require.NoError(t, err)
			_, err = io.ReadFull(resp.Body, make([]byte, 9))
			require.NoError(t, err)
			close(read)
			require.NoError(t, resp.Body.Close())
		})
	}
}

// The panics of a handler pass.
func TestPanic(t *testing.T) {
	s := newService(t)
	h := s.gate(t, auth.Config{}).Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Header.Set("X-Api-Key", s.keys["good"])
	require.PanicsWithValue(t, http.ErrAbortHandler, func() { h.ServeHTTP(httptest.NewRecorder(), r) })
}

// No reply repeats what was sent, or says more of a key than that it is not
// valid.
func TestRefusalsTellNothing(t *testing.T) {
	s := newService(t)
	gate := s.gate(t, auth.Config{})
	var first reply
	for _, name := range []string{"unknown", "wrong secret", "revoked", "disabled", "expired", "mistyped", "other prefix"} {
		got := ask(t, gate.Handler, "X-API-Key: "+s.keys[name])
		if first.Response == nil {
			first = got
		}
		require.Equal(t, first.body, got.body, name)
		require.Equal(t, first.Header, got.Header, name)
		require.NotContains(t, got.body, s.keys[name][:12])
	}
	for _, at := range s.attempts {
		require.NotContains(t, at.Err.Error(), "spark_")
	}
	var doc map[string]any
	require.NoError(t, json.Unmarshal([]byte(first.body), &doc))
	require.Equal(t, 401.0, doc["status"])
	require.Equal(t, "The API key is not valid.", doc["detail"])
}

// Master keys are replaced while the service runs. All of them are looked at,
// and what is no master key in the list is none for a client.
func TestMasterKeysRotate(t *testing.T) {
	var keys []string
	gate, err := auth.New(auth.Config{MasterKeys: func() []string { return keys }})
	require.NoError(t, err)
	who := func(key string) string {
		id, err := gate.Authenticate(requestWithText(key))
		require.Equal(t, err == nil, id.Master)
		return id.KeyID
	}
	require.Empty(t, who(masterKey))
	keys = []string{masterKey}
	require.Equal(t, "master:1", who(masterKey))
	keys = []string{"the-next-master-key", masterKey}
	require.Equal(t, "master:2", who(masterKey))
	require.Equal(t, "master:1", who("the-next-master-key"))
	keys = []string{masterKey, masterKey, "the-next-master-key"}
	require.Equal(t, "master:2", who(masterKey), "the first that fits is not the end of the search")
	keys = []string{"the-next-master-key", "short", ""}
	require.Empty(t, who(masterKey))
	require.Empty(t, who("short"))
	user, err := auth.NewKey("")
	require.NoError(t, err)
	keys = []string{user.Reveal()}
	require.Empty(t, who(user.Reveal()), "a user's key is never a master key")
}

func TestNewRefuses(t *testing.T) {
	user, err := auth.NewKey("")
	require.NoError(t, err)
	store := auth.NewMemory()
	masters := func(keys ...string) func() []string { return func() []string { return keys } }
	tests := []struct {
		name string
		cfg  auth.Config
		want string
	}{
		{"neither store nor masters", auth.Config{}, "auth: Store is required, unless there are MasterKeys"},
		{"prefix", auth.Config{Store: store, Prefix: "Spark"}, `auth: Prefix is "Spark", want at most 24 of a-z and 0-9 in words joined by underscores`},
		{"realm", auth.Config{Store: store, Realm: `a"b`}, `auth: Realm is "a\"b", want printable ASCII without " and \`},
		{"window", auth.Config{Store: store, FailureWindow: -1}, "auth: FailureWindow is -1ns, want more than 0"},
		{"pepper", auth.Config{Store: store, Peppers: []auth.Pepper{{Version: 1, Secret: []byte("short")}}}, "auth: Peppers[0] has a secret of 5 bytes, want 16 to 1024"},
		{"empty master", auth.Config{MasterKeys: masters("long enough"[:4]+"-enough", "")}, "auth: master key 2 is not 8 to 512 visible ASCII characters"},
		{"short master", auth.Config{MasterKeys: masters("secret!")}, "auth: master key 1 is not 8 to 512 visible ASCII characters"},
		{"master with a space", auth.Config{MasterKeys: masters("master key")}, "auth: master key 1 is not 8 to 512 visible ASCII characters"},
		{"user key as master", auth.Config{MasterKeys: masters(user.Reveal())}, "auth: master key 1 has the form of a user key, want another random text"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := auth.New(tt.cfg)
			require.EqualError(t, err, tt.want)
		})
	}
	_, err = auth.New(auth.Config{MasterKeys: masters(masterKey)})
	require.NoError(t, err, "master keys are enough")
}
