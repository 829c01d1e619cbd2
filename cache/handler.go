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
// so with Cache-Control or Expires, set a cookie, vary by what is not in the
// key, are larger than MaxAnswer, or are JSON of a kind that is not to be
// repeated: stopped at a token limit or by a filter, calling tools, unfinished,
// errors.
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
		c.answer(w, r, next, scope, body)
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
	if contentType == "application/json" {
		return true
	}
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

// extra appends what else than its body and path the answer to a request depends
// on.
func (c *Cache) extra(to []string, r *http.Request) []string {
	to = append(to, r.Host, r.URL.RawPath, r.URL.RawQuery)
	for _, name := range c.rules.key {
		values := r.Header[name]
		if len(values) > 1 {
			values = []string{strings.Join(values, ", ")} // means the same
		}
		to = append(to, first(values))
	}
	return to
}

// asNamed is Resolve for those who have none.
func asNamed(name string) (provider, model string) { return "", name }

// answer writes the answer to a request. All that a hit needs stays on the stack.
func (c *Cache) answer(w http.ResponseWriter, r *http.Request, next http.Handler, scope Scope, body []byte) {
	var (
		k   keyed
		buf [16]string
	)
	extra := c.extra(buf[:0], r)
	resolve := asNamed
	if c.cfg.Resolve != nil {
		resolve = func(name string) (provider, model string) { return c.cfg.Resolve(r, name) }
	}
	call := Call{Method: r.Method, Route: r.URL.Path, Params: body, Header: r.Header}
	if err := k.set(scope, call, extra, resolve); err != nil {
		putBack(r, body, nil)
		c.pass(w, r, next, "; fwd=bypass") // the handler tells what is wrong with it
		return
	}
	key := Key{&k}
	stored := c.look(r.Context(), key)
	if stored.fresh {
		e := key.event(Hit)
		e.Tokens = stored.entry.tokens
		c.report(r.Context(), e)
		if c.replay(w, r, &stored.entry, "") {
			return
		}
		c.poisoned(r.Context(), key, k.id)
		stored.has = false
	}
	kept := k
	kept.call.Extra = slices.Clone(extra)
	c.forward(w, r, next, Key{&kept}, stored, false)
}

// forward answers a request for which nothing fresh is stored. again says that
// what was found could not be read, and is deleted.
func (c *Cache) forward(w http.ResponseWriter, r *http.Request, next http.Handler, key Key, stored saw, again bool) {
	var live *capture
	a, err := c.produce(r.Context(), key, stored, func() Fill {
		live = newCapture(c, w, r, next, key.call.Params)
		return live.fill
	})
	if err != nil {
		c.fail(w, r, key, err)
		return
	}
	defer a.leave()
	switch {
	case a.f == nil && c.replay(w, r, &a.entry, a.detail):
	case a.f != nil && c.follow(w, r, a, live):
	case again:
		c.poisoned(r.Context(), key, key.id)
		c.fail(w, r, key, errPoisoned)
	default:
		c.poisoned(r.Context(), key, key.id)
		c.forward(w, r, next, key, saw{saved: stored.saved}, true)
	}
}

// follow writes an answer as it is produced. live has all the header of the first
// reader, others have what is in the head. It reports false if there is none that
// can be read.
func (c *Cache) follow(w http.ResponseWriter, r *http.Request, a *Answer, live *capture) bool {
	meta := c.head(a.Meta())
	if meta == nil {
		return false
	}
	if r.Pattern == "" {
		r.Pattern = meta.pattern // who is further out labels by it
	}
	h := w.Header()
	if a.first {
		clear(h)
		maps.Copy(h, live.sent)
	} else {
		meta.apply(h)
	}
	if size := a.size(); a.kind == Hit { // it is complete, and just not stored yet
		c.signStored(h, size, meta.events, 0, a.TTL(), "")
	} else {
		h["Cache-Status"] = append(h["Cache-Status"], a.CacheStatus())
		keepPrivate(h)
	}
	w.WriteHeader(meta.status)
	if err := c.copy(w, a); err != nil {
		_ = http.NewResponseController(w).Flush() // the client gets what there was
		abort(w, err)
	}
	return true
}

// copy writes the chunks as they come. It returns what keeps the answer from
// being complete, but for the client's own leaving.
func (c *Cache) copy(w http.ResponseWriter, a *Answer) error {
	for {
		if !a.ready() {
			// What cannot flush is buffered further out; that is all.
			_ = http.NewResponseController(w).Flush()
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

// replay writes a stored answer. It reports false, and has done nothing, if its
// head can't be read.
func (c *Cache) replay(w http.ResponseWriter, r *http.Request, e *entry, detail string) bool {
	meta := c.head(e.meta)
	if meta == nil {
		return false
	}
	if r.Pattern == "" {
		r.Pattern = meta.pattern
	}
	h := w.Header()
	meta.apply(h)
	c.signStored(h, e.size, meta.events, e.age(e.at), e.left(e.at), detail)
	w.WriteHeader(meta.status)
	paced := meta.events && c.cfg.Pace > 0
	for chunks := e.chunks; len(chunks) > 0; {
		var chunk []byte
		chunk, chunks, _ = cutChunk(chunks)       // decodeEntry has seen that all are whole
		if _, err := w.Write(chunk); err != nil { // #nosec G705 -- the bytes of the answer, under its own Content-Type
			return true // the connection is broken, which ends the response by itself
		}
		if paced && len(chunks) > 0 {
			_ = http.NewResponseController(w).Flush()
			if !sleep(r.Context(), c.cfg.Pace) {
				abort(w, context.Cause(r.Context()))
			}
		}
	}
	return true
}

// signStored sets the headers that say that the answer comes from the store: of
// this size, this old, and fresh for so much longer.
func (c *Cache) signStored(h http.Header, size int, events bool, age, ttl time.Duration, detail string) {
	// They share one text and one slice.
	var buf [96]byte
	b := strconv.AppendInt(buf[:0], int64(age/time.Second), 10)
	ageEnd := len(b)
	b = strconv.AppendInt(b, int64(size), 10)
	sizeEnd := len(b)
	b = appendHit(append(b, c.cfg.Name...), ttl, detail)
	text := string(b)
	values := []string{text[:ageEnd], text[ageEnd:sizeEnd], text[sizeEnd:]}
	h["Age"] = values[0:1:1]
	if size > 0 && !events {
		h["Content-Length"] = values[1:2:2]
	}
	if len(h["Cache-Status"]) > 0 {
		h["Cache-Status"] = append(h["Cache-Status"], values[2])
	} else {
		h["Cache-Status"] = values[2:3:3]
	}
	keepPrivate(h)
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
