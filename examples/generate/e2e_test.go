package main

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

// TestMain runs the program itself where a test has started it as one.
func TestMain(m *testing.M) {
	if os.Getenv("GENERATE_TEST") == "run" {
		main()
		return
	}
	goleak.VerifyTestMain(m)
}

// service is a generate server that a test talks to as a client would.
type service struct {
	t      testing.TB
	s      *server
	url    string
	key    string
	client *http.Client
	stop   func() // as SIGTERM does; waits until the server has ended
}

// start runs a server on a free port. env are NAME=value.
func start(t testing.TB, env []string, args ...string) *service {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	svc := serveOn(t, listener, env, args...)
	svc.url = "http://" + listener.Addr().String()
	svc.client = &http.Client{Transport: &http.Transport{}}
	t.Cleanup(func() {
		svc.client.CloseIdleConnections()
		svc.stop()
	})
	return svc
}

// startPiped is start without a network, for bubbles of synctest. The test must
// call stop.
func startPiped(t testing.TB, args ...string) *service {
	t.Helper()
	pipes := &pipeListener{conns: make(chan net.Conn), done: make(chan struct{})}
	svc := serveOn(t, pipes, nil, args...)
	svc.url = "http://generate.test"
	transport := &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) { return pipes.dial() }}
	svc.client = &http.Client{Transport: transport}
	stop := svc.stop
	svc.stop = func() {
		transport.CloseIdleConnections()
		stop()
	}
	return svc
}

func serveOn(t testing.TB, listener net.Listener, env []string, args ...string) *service {
	t.Helper()
	getenv := func(name string) string {
		for _, e := range env {
			if value, ok := strings.CutPrefix(e, name+"="); ok {
				return value
			}
		}
		return ""
	}
	cfg, err := parseConfig(args, getenv, io.Discard)
	require.NoError(t, err)
	s, err := newServer(cfg, slog.New(idLogger{slog.DiscardHandler}))
	require.NoError(t, err)
	svc := &service{t: t, s: s}
	if cfg.keysFile == "" {
		svc.key, err = s.issue(t.Context())
		require.NoError(t, err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := s.serve(ctx, listener); err != nil {
			t.Errorf("serve: %v", err)
		}
	}()
	svc.stop = func() {
		cancel()
		<-ended
	}
	return svc
}

// pipeListener accepts connections that never leave the process.
type pipeListener struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func (l *pipeListener) dial() (net.Conn, error) {
	client, server := net.Pipe()
	select {
	case l.conns <- server:
		return client, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error   { l.once.Do(func() { close(l.done) }); return nil }
func (l *pipeListener) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 80} }

// response is an answer, read to its end.
type response struct {
	*http.Response
	text string
	json map[string]any // nil if it is no JSON object
	err  error          // of reading the body
}

// request makes a request with the service's key.
func (c *service) request(ctx context.Context, method, path string, body any) *http.Request {
	c.t.Helper()
	var reader io.Reader
	switch body := body.(type) {
	case nil:
	case string:
		reader = strings.NewReader(body)
	case io.Reader:
		reader = body
	default:
		b, err := json.Marshal(body)
		require.NoError(c.t, err)
		reader = strings.NewReader(string(b))
	}
	req, err := http.NewRequestWithContext(ctx, method, c.url+path, reader)
	require.NoError(c.t, err)
	req.Header.Set("Authorization", "Bearer "+c.key)
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	return req
}

func (c *service) do(req *http.Request) *response {
	c.t.Helper()
	resp, err := c.client.Do(req)
	require.NoError(c.t, err)
	body, err := io.ReadAll(resp.Body)
	require.NoError(c.t, resp.Body.Close())
	r := &response{Response: resp, text: string(body), err: err}
	_ = json.Unmarshal(body, &r.json) // not all answers are JSON
	return r
}

func (c *service) get(path string) *response {
	c.t.Helper()
	return c.do(c.request(c.t.Context(), http.MethodGet, path, nil))
}

func (c *service) post(path string, body any) *response {
	c.t.Helper()
	return c.do(c.request(c.t.Context(), http.MethodPost, path, body))
}

func (c *service) prompt(text string) *response {
	c.t.Helper()
	return c.post("/api/spark/generate", map[string]any{"prompt": text})
}

// problem checks that r is a problem document that shows nothing of our insides.
func (r *response) problem(t testing.TB, status int) {
	t.Helper()
	require.Equal(t, status, r.StatusCode, r.text)
	require.Equal(t, "application/problem+json", r.Header.Get("Content-Type"))
	require.EqualValues(t, status, r.json["status"])
	require.Equal(t, r.Header.Get("X-Request-Id"), r.json["request_id"])
	for _, inside := range []string{"goroutine", ".go:", "github.com", "panic", "runtime error", "json: ", "127.0.0.1"} {
		require.NotContains(t, r.text, inside)
	}
}

// event is one of a stream.
type event struct{ name, data string }

// events reads server-sent events until the stream ends or breaks.
func events(body io.Reader, each func(event)) error {
	lines := bufio.NewScanner(body)
	var e event
	for lines.Scan() {
		switch line := lines.Text(); {
		case line == "":
			each(e)
			e = event{}
		case strings.HasPrefix(line, "event: "):
			e.name = line[len("event: "):]
		case strings.HasPrefix(line, "data: "):
			e.data = line[len("data: "):]
		}
	}
	return lines.Err()
}

// metric returns the value of the series whose line has all of these parts, the
// first of which is its name; the sum if there are several, 0 if there is none.
func (c *service) metric(name string, labels ...string) float64 {
	c.t.Helper()
	w := httptest.NewRecorder()
	c.s.metrics.Endpoint().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
	line := regexp.MustCompile(`^` + name + `(\{.*\})? (\S+)$`)
	sum := 0.0
lines:
	for text := range strings.Lines(w.Body.String()) {
		m := line.FindStringSubmatch(strings.TrimSpace(text))
		if m == nil {
			continue
		}
		for _, label := range labels {
			if !strings.Contains(m[1], label) {
				continue lines
			}
		}
		v, err := strconv.ParseFloat(m[2], 64)
		require.NoError(c.t, err)
		sum += v
	}
	return sum
}

// eventually waits for what happens right after a response has been read.
func eventually(t testing.TB, is func() bool, what string) {
	t.Helper()
	require.Eventually(t, is, 10*time.Second, 5*time.Millisecond, what)
}

// series returns the lines of a metric, for messages.
func (c *service) series(name string) string {
	w := httptest.NewRecorder()
	c.s.metrics.Endpoint().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
	var found strings.Builder
	for text := range strings.Lines(w.Body.String()) {
		if strings.HasPrefix(text, name) {
			found.WriteString(text)
		}
	}
	return found.String()
}
