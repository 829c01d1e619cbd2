package cache

import (
	"bytes"
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/sparkhttp/spark/internal/response"
)

// capture is the ResponseWriter that a handler writes to while its answer is
// recorded. It belongs to no connection, so there is nothing to unwrap.
type capture struct {
	c       *Cache
	next    http.Handler
	request *http.Request
	header  http.Header
	out     *Recorder
	buf     []byte // written since the last flush
	status  int
	begun   bool        // the head is with the recorder
	discard bool        // a stale answer serves instead
	sent    http.Header // the whole head, for the first reader once it has begun
	pattern string
	end     response.End
}

const (
	// flushSize is how much of a body is collected while nobody flushes.
	flushSize = 4 << 10
	// pieceSize is how much of what is written at once is passed on at once, so
	// that a large answer is held back to the pace of its readers.
	pieceSize = 64 << 10
)

// newCapture prepares to answer r while that is still the caller's.
func newCapture(c *Cache, w http.ResponseWriter, r *http.Request, next http.Handler, body []byte) *capture {
	inner := r.Clone(context.WithoutCancel(r.Context()))
	// The answer is for all who ask the same, so it is asked for whole and plain.
	for _, name := range [...]string{
		"Accept-Encoding", "Range", "If-Range", "If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since", "Expect",
	} {
		inner.Header.Del(name)
	}
	inner.Body = http.NoBody
	if len(body) > 0 {
		inner.Body = readCloser{bytes.NewReader(body)}
	}
	inner.ContentLength = int64(len(body))
	inner.TransferEncoding = nil
	return &capture{c: c, next: next, request: inner, header: w.Header().Clone()}
}

type readCloser struct{ *bytes.Reader }

func (readCloser) Close() error { return nil }

// fill is the [Fill] that has the handler answer.
func (t *capture) fill(ctx context.Context, out *Recorder) error {
	t.out = out
	if t.header == nil {
		t.header = make(http.Header)
	}
	t.request = t.request.WithContext(ctx)
	response.Serve(t, t.request, t.next, t)
	if t.pattern == "" {
		t.pattern = t.request.Pattern
	}
	switch {
	case t.discard:
		return t.end.Err
	case t.end.Kind == response.Complete:
		return t.complete()
	case t.end.Kind == response.Failed:
		defer t.out.NoStore("failed") // the client is told by the response itself
		return t.complete()
	}
	if t.begun {
		_ = t.FlushError() // what there is, before the error
	}
	return t.end.Err
}

// ResponseEnded implements [response.Watcher].
func (t *capture) ResponseEnded(_ *response.Writer, end response.End) { t.end = end }

// BeforeHeader implements [response.HeaderWatcher].
func (t *capture) BeforeHeader(w *response.Writer, _ int) { t.pattern = w.Request().Pattern }

// complete passes on what is left, and decides whether the whole is stored.
func (t *capture) complete() error {
	if t.status == 0 {
		t.WriteHeader(http.StatusOK)
	}
	if !t.begun && len(t.buf) > 0 && t.sent["Content-Length"] == nil && !isEvents(t.sent.Get("Content-Type")) {
		t.sent["Content-Length"] = []string{strconv.Itoa(len(t.buf))}
	}
	if err := t.FlushError(); err != nil {
		return err
	}
	body, ok := t.out.whole()
	if !ok {
		return nil
	}
	seen := inspect(t.sent.Get("Content-Type"), body)
	t.out.SetTokens(seen.tokens())
	if seen.skip != "" {
		t.out.NoStore(seen.skip)
	}
	return nil
}

// whole returns all that was written, unless it is not to be stored anyhow.
func (r *Recorder) whole() ([]byte, bool) {
	r.f.mu.Lock()
	defer r.f.mu.Unlock()
	if r.f.skip != "" {
		return nil, false
	}
	return bytes.Join(r.f.chunks, nil), true
}

// Header implements [http.ResponseWriter].
func (t *capture) Header() http.Header { return t.header }

// WriteHeader implements [http.ResponseWriter]. There is no connection that an
// informational response could go to.
func (t *capture) WriteHeader(status int) {
	if t.status != 0 || status < 200 {
		return
	}
	t.status = status
	t.discard = status >= 500 && t.out.f.stale != nil
	t.sent = t.header.Clone() // later changes don't count
}

// Write implements [http.ResponseWriter].
func (t *capture) Write(p []byte) (int, error) {
	if t.status == 0 {
		t.WriteHeader(http.StatusOK)
	}
	if t.discard {
		return len(p), nil
	}
	for rest := p; len(rest) > 0; {
		n := min(len(rest), pieceSize-len(t.buf))
		t.buf, rest = append(t.buf, rest[:n]...), rest[n:]
		if len(t.buf) < flushSize {
			break
		}
		if err := t.FlushError(); err != nil {
			return len(p) - len(rest), err
		}
	}
	return len(p), nil
}

// FlushError passes on what was written since the last time, as one chunk. The
// handler sees a [response.Writer], which looks for this and not for Flush.
func (t *capture) FlushError() error {
	if t.status == 0 {
		t.WriteHeader(http.StatusOK)
	}
	if t.discard {
		return nil
	}
	t.begin()
	if len(t.buf) == 0 {
		t.out.Begin()
		return nil
	}
	_, err := t.out.Write(t.buf)
	t.buf = t.buf[:0]
	return err
}

// begin decides, by its head, what may be done with the answer.
func (t *capture) begin() {
	if t.begun {
		return
	}
	t.begun = true
	h, out := t.sent, t.out
	said := parseResponseControl(h)
	if t.c.cfg.IgnoreDirectives {
		said = responseControl{lifetime: -1}
	}
	switch {
	case t.status == http.StatusUnauthorized, t.status == http.StatusForbidden, t.status == http.StatusProxyAuthRequired:
		out.NoShare("status") // about who asked, not about what
	case h["Set-Cookie"] != nil:
		out.NoShare("set-cookie")
	case said.noStore:
		out.NoShare("no-store")
	case said.private:
		out.NoShare("private")
	case h["Content-Encoding"] != nil:
		out.NoShare("encoding") // which not everybody may understand
	case !t.c.rules.covers(h["Vary"]):
		out.NoShare("vary")
	case t.status < 200 || t.status > 299 || t.status == http.StatusPartialContent:
		out.NoStore("status")
	case said.noCache:
		out.NoStore("no-cache")
	}
	if said.lifetime >= 0 {
		age := max(0, seconds(h.Get("Age")))
		out.SetTTL(said.lifetime - age)
	}
	if said.revalidate {
		out.noGrace()
	}
	out.SetMeta(t.c.rules.encode(t.status, t.pattern, h))
}

// noGrace says that the answer must not be used when it is stale.
func (r *Recorder) noGrace() {
	r.f.mu.Lock()
	defer r.f.mu.Unlock()
	if !r.f.done {
		r.f.grace = time.Duration(0)
	}
}
