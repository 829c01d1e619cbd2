package auth_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/sparkhttp/spark/auth"
)

// get asks a handler with a key, if there is one, and prints the answer.
func get(h http.Handler, path, key string) {
	r := httptest.NewRequest(http.MethodGet, path, nil)
	if key != "" {
		r.Header.Set("Authorization", "Bearer "+key)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	fmt.Println(strings.TrimSpace(fmt.Sprint(path, " ", w.Code, " ", w.Header().Get("WWW-Authenticate"))))
}

func Example() {
	ctx := context.Background()
	store := auth.NewMemory()
	manager, err := auth.NewManager(auth.ManagerConfig{Store: store})
	if err != nil {
		panic(err)
	}
	gate, err := auth.New(auth.Config{Store: store})
	if err != nil {
		panic(err)
	}
	hello := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		id, _ := auth.FromContext(r.Context())
		fmt.Printf("user %q, anonymous %t\n", id.User, id.Anonymous)
	})
	mux := http.NewServeMux()
	mux.Handle("GET /private", gate.Handler(hello))
	mux.Handle("GET /public", gate.Optional(hello))
	mux.Handle("GET /report", gate.RequireScopes("report:read")(hello))

	key, _, err := manager.Create(ctx, auth.KeyInfo{Owner: "ada"})
	if err != nil {
		panic(err)
	}
	get(mux, "/private", key.Reveal())
	get(mux, "/private", "")
	get(mux, "/private", "guess")
	get(mux, "/public", "")
	get(mux, "/public", "guess")
	get(mux, "/report", key.Reveal())
	// Output:
	// user "ada", anonymous false
	// /private 200
	// /private 401 Bearer realm="api"
	// /private 401 Bearer realm="api", error="invalid_token"
	// user "", anonymous true
	// /public 200
	// /public 401 Bearer realm="api", error="invalid_token"
	// /report 403 Bearer realm="api", error="insufficient_scope", scope="report:read"
}

// Who guesses keys is shut out, and somebody is told.
func ExampleConfig_failedAttempts() {
	gate, err := auth.New(auth.Config{
		Store:          auth.NewMemory(),
		FailedAttempts: 2,
		OnAttempt: func(_ context.Context, at auth.Attempt) {
			if at.Exhausted {
				fmt.Println("guessing:", at.Client)
			}
		},
	})
	if err != nil {
		panic(err)
	}
	h := gate.Handler(http.NotFoundHandler())
	for range 3 {
		get(h, "/", "guess")
	}
	// Output:
	// / 401 Bearer realm="api", error="invalid_token"
	// guessing: 192.0.2.1
	// / 401 Bearer realm="api", error="invalid_token"
	// / 429
}

// A key that is rotated stays good for a while, and its use is noticed.
func ExampleManager_Rotate() {
	ctx := context.Background()
	store := auth.NewMemory()
	manager, _ := auth.NewManager(auth.ManagerConfig{Store: store})
	gate, _ := auth.New(auth.Config{
		Store: store,
		OnAttempt: func(_ context.Context, at auth.Attempt) {
			fmt.Printf("refused %q, superseded %t\n", at.Refused, at.Superseded)
		},
	})
	use := func(key auth.Key) {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header.Set("X-API-Key", key.Reveal())
		_, _ = gate.Authenticate(r)
	}
	before, info, _ := manager.Create(ctx, auth.KeyInfo{Owner: "ada"})
	after, _, _ := manager.Rotate(ctx, info.ID, 24*time.Hour)
	use(after)
	use(before)
	_, _ = manager.Revoke(ctx, info.ID)
	use(after)
	// Output:
	// refused "", superseded false
	// refused "", superseded true
	// refused "revoked", superseded false
}

// A key doesn't show its secret by accident.
func ExampleKey() {
	key, _ := auth.ParseKey("spark_live_0123456789AB_0123456789ABCDEFGHIJKLMNOPQRST3YF18D")
	fmt.Println(key)
	fmt.Printf("%+v %q\n", struct{ Key auth.Key }{key}, key)
	slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}})).Info("issued", "key", key)
	_, err := auth.ParseKey("spark_live_0123456789AB_0123456789ABCDEFGHIJKLMNOPQRST3YF18d")
	fmt.Println(err)
	// Output:
	// spark_live_0123456789AB_[redacted]
	// {Key:spark_live_0123456789AB_[redacted]} spark_live_0123456789AB_[redacted]
	// level=INFO msg=issued key=spark_live_0123456789AB_[redacted]
	// auth: malformed key
}

// What a secret scanner needs to find keys that were published by mistake.
func ExampleScanner() {
	scan, _ := auth.Scanner("spark_live")
	fmt.Println(scan)
	fmt.Println(scan.FindString(`client := New("spark_live_0123456789AB_0123456789ABCDEFGHIJKLMNOPQRST3YF18D")`))
	// Output:
	// \bspark_live_[0-9A-Za-z]{12}_[0-9A-Za-z]{36}\b
	// spark_live_0123456789AB_0123456789ABCDEFGHIJKLMNOPQRST3YF18D
}

// Master keys are replaced while the service runs.
func ExampleConfig_masterKeys() {
	var masters atomic.Pointer[[]string]
	masters.Store(&[]string{"correct-horse-battery"})
	gate, _ := auth.New(auth.Config{MasterKeys: func() []string { return *masters.Load() }})
	h := gate.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		id, _ := auth.FromContext(r.Context())
		fmt.Println(id.KeyID, id.Master)
	}))
	get(h, "/", "correct-horse-battery")
	masters.Store(&[]string{"staple-correct-horse", "correct-horse-battery"}) // both, for a while
	get(h, "/", "correct-horse-battery")
	masters.Store(&[]string{"staple-correct-horse"})
	get(h, "/", "correct-horse-battery")
	// Output:
	// master:1 true
	// / 200
	// master:2 true
	// / 200
	// / 401 Bearer realm="api", error="invalid_token"
}

// A revoked key is let in for MaxRevocationDelay at most; not at all if the
// cache is told.
func ExampleCached() {
	ctx := context.Background()
	database := auth.NewMemory() // or one of package sqlstore
	cached, _ := auth.NewCached(auth.CachedConfig{Store: database, MaxRevocationDelay: 30 * time.Second})
	elsewhere, _ := auth.NewManager(auth.ManagerConfig{Store: database})
	_, info, _ := elsewhere.Create(ctx, auth.KeyInfo{Owner: "ada"})
	show := func() {
		rec, err := cached.Lookup(ctx, info.ID)
		if err != nil {
			panic(err)
		}
		fmt.Println(rec.Status(time.Now()))
	}
	show()
	_, _ = elsewhere.Revoke(ctx, info.ID)
	show()
	cached.Invalidate(info.ID) // as a message from elsewhere would
	show()
	// Output:
	// active
	// active
	// revoked
}

func ExampleParsePeppers() {
	peppers, err := auth.ParsePeppers("2:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=,1://///////////////////w==")
	fmt.Println(peppers, err)
	_, err = auth.ParsePeppers("2:c2hvcnQ=")
	fmt.Println(err)
	// Output:
	// [pepper 2 [redacted] pepper 1 [redacted]] <nil>
	// auth: Peppers[0] has a secret of 5 bytes, want 16 to 1024
}

func ExampleOpenFile() {
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		panic(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	_, err = auth.OpenFile(auth.FileConfig{Path: dir + "/keys.json"})
	fmt.Println(strings.ReplaceAll(err.Error(), dir, "…"))
	store, err := auth.OpenFile(auth.FileConfig{Path: dir + "/keys.json", Create: true})
	if err != nil {
		panic(err)
	}
	manager, _ := auth.NewManager(auth.ManagerConfig{Store: store})
	_, _, err = manager.Create(context.Background(), auth.KeyInfo{Owner: "ada"})
	fmt.Println(err)
	info, err := os.Stat(dir + "/keys.json")
	fmt.Println(info.Mode(), err)
	// Output:
	// auth: no file of keys: open …/keys.json: file does not exist
	// <nil>
	// -rw------- <nil>
}
