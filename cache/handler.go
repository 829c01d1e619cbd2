package cache

import (
	"bytes"
	"context"
	"errors"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sparkhttp/spark/internal/response"
)

// Handler returns a handler that answers requests with a JSON body from the
// cache, and has next answer the others and what is not stored. Identical
// requests are those of one [Scope] with the same host, path, query and
// KeyHeaders and a body that means the same (see [Call]). A streamed and a plain
// answer are two, since the body asks for the one or the other.
//
// next runs as a [Fill] does: on another goroutine, detached from the
// connection, with a request that has no conditions, ranges or
// Accept-Encoding. It can flush, but neither hijack the connection nor set its
// deadlines or send informational responses or trailers.
//
// Stored are complete answers with a status of 2xx but 206; streams of
// server-sent events only with a terminal event. Not stored are those that say
// so with Cache-Control, set a cookie, vary by what is not in the key, are larger
// than MaxAnswer, or are JSON of a kind that is not to be repeated: stopped at a
// token limit or by a filter, calling tools, unfinished, errors.
//
// Every response but a refusal for want of a scope has Cache-Status (RFC 9211),
// those from the store have Age, and all that came by the cache have
// Cache-Control: private.
//
// A JSON request is taken as a question: place the cache in front of routes
// that answer and do nothing else. Place it behind authentication: what is in
// front of it is asked about every request, what is behind it is not.
func (c *Cache) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !cacheable(r) {
			c.pass(w, r, next, "; fwd=method")
			return
		}
		scope, err := c.cfg.Scope(r)
		if err == nil && scope.IsZero() {
			err = ErrNoScope
		}
		if err != nil {
			c.cfg.ErrorHandler(w, r, err)
			return
		}
		body, ok := c.body(r)
		if !ok {
			c.pass(w, r, next, "; fwd=bypass")
			return
		}
		key, err := c.requestKey(r, scope, body)
		if err != nil {
			putBack(r, body, nil)
			c.pass(w, r, next, "; fwd=bypass") // the handler tells what is wrong with it
			return
		}
		c.answer(w, r, next, key, false)
	})
}

// cacheable reports whether the cache has to do with a request.
func cacheable(r *http.Request) bool {
	return r.Method == http.MethodPost && isJSON(first(r.Header["Content-Type"])) &&
		r.Header["Content-Encoding"] == nil && r.Header["Upgrade"] == nil
}

// first is Header.Get for a name that is known to be canonical.
func first(values []string) string {
	if len(values) == 0 {
		return ""
	}
	return values[0]
}

// isJSON reports whether a media type is JSON (RFC 6839, section 3.1).
func isJSON(contentType string) bool {
	media, _, _ := strings.Cut(contentType, ";")
	media = strings.TrimSpace(media)
	return strings.EqualFold(media, "application/json") ||
		len(media) > 5 && strings.EqualFold(media[len(media)-5:], "+json")
}

func isEvents(contentType string) bool {
	const events = "text/event-stream"
	return len(contentType) >= len(events) && strings.EqualFold(contentType[:len(events)], events)
}

// pass lets next answer as if there were no cache.
func (c *Cache) pass(w http.ResponseWriter, r *http.Request, next http.Handler, why string) {
	c.report(r.Context(), Event{Kind: Bypass})
	w.Header().Add("Cache-Status", c.cfg.Name+why)
	next.ServeHTTP(w, r)
}

// body reads the body of a request. If it is too large, or can't be read, the
// request has it back as it was.
func (c *Cache) body(r *http.Request) ([]byte, bool) {
	limit := int64(c.cfg.MaxRequest)
	if r.ContentLength > limit {
		return nil, false
	}
	size := int64(512)
	if r.ContentLength >= 0 {
		size = r.ContentLength + 1 // one more to see the end
	}
	body := make([]byte, 0, size)
	for int64(len(body)) <= limit {
		if len(body) == cap(body) {
			body = slices.Grow(body, len(body))
		}
		n, err := r.Body.Read(body[len(body):min(int64(cap(body)), limit+1)])
		body = body[:len(body)+n]
		switch {
		case err == io.EOF: //nolint:errorlint // readers return it as it is
			return body, true
		case err != nil:
			putBack(r, body, err)
			return nil, false
		}
	}
	putBack(r, body, nil)
	return nil, false
}

// putBack makes the body of r begin with what was read of it, and go on with
// the error that ended that, or with the rest.
func putBack(r *http.Request, body []byte, err error) {
	var rest io.Reader = r.Body
	if err != nil {
		rest = failing{err}
	}
	r.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(body), rest), r.Body}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// requestKey returns the key of a request.
func (c *Cache) requestKey(r *http.Request, scope Scope, body []byte) (Key, error) {
	extra := make([]string, 0, 3+len(c.head.key))
	extra = append(extra, r.Host, r.URL.RawPath, r.URL.RawQuery)
	for _, name := range c.head.key {
		values := r.Header[name]
		if len(values) > 1 {
			values = []string{strings.Join(values, ", ")} // means the same
		}
		extra = append(extra, first(values))
	}
	call := Call{Method: r.Method, Route: r.URL.Path, Params: body, Extra: extra, Header: r.Header}
	if c.cfg.Resolve == nil {
		return newKey(scope, call, asNamed)
	}
	return newKey(scope, call, func(name string) (provider, model string) { return c.cfg.Resolve(r, name) })
}

// asNamed is Resolve for those who have none.
func asNamed(name string) (provider, model string) { return "", name }

// answer writes the answer to a request that has a key. again says that what was
// stored could not be read and is deleted.
func (c *Cache) answer(w http.ResponseWriter, r *http.Request, next http.Handler, key Key, again bool) {
	var live *capture
	a, err := c.do(r.Context(), key, func() Fill {
		live = newCapture(c, w, r, next, key.call.Params)
		return live.fill
	})
	if err != nil {
		c.fail(w, r, key, err)
		return
	}
	defer a.leave()
	meta, ok := decodeHead(a.Meta())
	if !ok {
		c.poisoned(r.Context(), key, key.id)
		if !again {
			c.answer(w, r, next, key, true)
			return
		}
		c.fail(w, r, key, errPoisoned)
		return
	}
	if r.Pattern == "" {
		r.Pattern = meta.pattern // who is further out labels by it
	}
	h := w.Header()
	if a.f != nil && a.first {
		clear(h)
		maps.Copy(h, live.sent)
	} else {
		meta.apply(h)
	}
	events := isEvents(first(h["Content-Type"]))
	c.sign(h, a, events)
	w.WriteHeader(meta.status)
	if err := c.copy(w, a, events); err != nil {
		_ = http.NewResponseController(w).Flush() // the client gets what there was
		abort(w, err)
	}
}

// sign sets the headers that say where the answer comes from.
func (c *Cache) sign(h http.Header, a *Answer, events bool) {
	if a.kind == Hit || a.kind == Stale {
		size := a.size()
		values := [2]string{strconv.FormatInt(int64(a.Age()/time.Second), 10), strconv.Itoa(size)}
		h["Age"] = values[0:1:1]
		if !events && size > 0 {
			h["Content-Length"] = values[1:2:2]
		}
	}
	h["Cache-Status"] = append(h["Cache-Status"], a.CacheStatus())
	keepPrivate(h)
}

// copy writes the chunks as they come. It returns what keeps the answer from
// being complete, but for the client's own leaving.
func (c *Cache) copy(w http.ResponseWriter, a *Answer, events bool) error {
	paced := events && a.f == nil && c.cfg.Pace > 0
	for n := 0; ; n++ {
		if !a.ready() || paced && n > 0 {
			// What cannot flush is buffered further out; that is all.
			_ = http.NewResponseController(w).Flush()
		}
		if paced && n > 0 && len(a.entry.chunks) > 0 && !sleep(a.ctx, c.cfg.Pace) {
			return context.Cause(a.ctx)
		}
		chunk, err := a.Next()
		if err == io.EOF { //nolint:errorlint // Next returns it as it is
			return nil
		}
		if err != nil {
			return err
		}
		if _, err := w.Write(chunk); err != nil { // #nosec G705 -- the bytes of the answer, under its own Content-Type
			return nil //nolint:nilerr // the connection is broken, which ends the response by itself
		}
	}
}

// sleep waits for d, or returns false when ctx is done.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// fail answers a request for which no answer has begun.
func (c *Cache) fail(w http.ResponseWriter, r *http.Request, key Key, err error) {
	repanic(err)
	if errors.Is(r.Context().Err(), context.Canceled) {
		abort(w, err) // nobody is there to be told, and it must not look like a success
	}
	status := c.cfg.Name
	if err != ErrNotCached { //nolint:errorlint // Do returns it as it is
		asked := Answer{c: c, key: key, kind: Miss}
		if c.solo(key) {
			asked.kind = Bypass
		}
		status = asked.CacheStatus()
	}
	w.Header().Add("Cache-Status", status)
	c.cfg.ErrorHandler(w, r, err)
}

// abort ends a response that has begun so that it looks truncated.
func abort(w http.ResponseWriter, err error) {
	repanic(err)
	if rec := response.Of(w); rec != nil {
		rec.Fail(err)
	}
	panic(http.ErrAbortHandler)
}

// repanic lets what recovers panics further out see one of the handler.
func repanic(err error) {
	p, ok := errors.AsType[*PanicError](err)
	switch {
	case !ok:
	case p.Value == http.ErrAbortHandler: //nolint:errorlint // net/http compares it so
		panic(http.ErrAbortHandler)
	default:
		panic(p)
	}
}
