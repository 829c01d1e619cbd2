// Package response decides, once for each HTTP response, how it ended.
//
// Whether a response succeeded is known at its end, not at its first byte: a
// stream that began with a 200 may break, be cut or lose its reader. So the
// outermost middleware that cares puts one [Writer] around the response, the
// ones inside find it instead of adding their own, and when the handler is
// through, all of them are told the same [End].
//
// The packages of this module share it without knowing of each other.
package response

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/sparkhttp/spark/internal/sse"
)

// A Watcher is told how a response ended, on the goroutine of its handler.
type Watcher interface {
	ResponseEnded(w *Writer, end End)
}

// A HeaderWatcher is called right before the header of the final response (never
// of a 1xx) goes out, and may change it.
type HeaderWatcher interface {
	BeforeHeader(w *Writer, status int)
}

// A StreamWatcher is told once when the response turns out to be a stream of
// server-sent events: right before its header goes out, or when it begins to
// watch a response that is one. [Writer.Streaming] is true from then on, and
// still when the response ends.
type StreamWatcher interface {
	StreamBegan(w *Writer)
}

// Writer is the ResponseWriter that watches a response. It may be used by one
// goroutine at a time, like any ResponseWriter.
//
// There is one for each request, and making it is most of what watching costs:
// so it is kept small.
type Writer struct {
	w      http.ResponseWriter
	r      *http.Request // as the server made it: its context ends with the connection
	outer  Watcher       // the first one, often the only one
	more   *more         // nil as long as there is nothing of it
	start  time.Duration
	length int64 // the Content-Length that was promised; -1 if none
	bytes  int64
	status int32
	hijack bool
}

// more is what not every response has.
type more struct {
	watch   []Watcher     // further in than the first
	buf     [3]Watcher    // backs watch: no allocation for the usual few
	inner   *http.Request // that of the last of watch
	stream  *sse.Watcher  // if it is a stream
	first   time.Duration
	failed  error // what Writer.Fail was told first, or a panic
	written error // the first write error
	source  error // the first error of what the body was copied from
}

// epoch is what times are measured from. A duration takes a third of the room of
// a time, and reading the monotonic clock less time.
var epoch = time.Now()

// Of returns the Writer that is w or that w wraps, or nil.
func Of(w http.ResponseWriter) *Writer {
	for {
		switch t := w.(type) {
		case *Writer:
			return t
		case interface{ Unwrap() http.ResponseWriter }:
			w = t.Unwrap()
		default:
			return nil
		}
	}
}

// Serve calls next, and then e with how the response ended. The outermost call
// for a response decides that; e of an inner call is told at the same time,
// when the outermost handler is through. A panic goes on as it was. If e is a
// [HeaderWatcher] too, it is registered as one.
func Serve(w http.ResponseWriter, r *http.Request, next http.Handler, e Watcher) {
	if rec := Of(w); rec != nil {
		rec.add(e, r)
		next.ServeHTTP(w, r)
		return
	}
	rec := &Writer{w: w, r: r, outer: e, start: time.Since(epoch), length: -1}
	rec.serve(next)
}

func (w *Writer) add(e Watcher, r *http.Request) {
	m := w.extra()
	m.inner = r
	if m.watch == nil {
		m.watch = m.buf[:0]
	}
	m.watch = append(m.watch, e)
	if m.stream != nil {
		streamBegan(w, e)
	}
}

func streamBegan(w *Writer, e Watcher) {
	if s, ok := e.(StreamWatcher); ok {
		s.StreamBegan(w)
	}
}

func (w *Writer) extra() *more {
	if w.more == nil {
		w.more = new(more)
	}
	return w.more
}

// ServeContext calls next with a copy of r that carries ctx. It hands the
// pattern that a mux further in matched back to r: a middleware further out
// reads it there.
func ServeContext(ctx context.Context, w http.ResponseWriter, r *http.Request, next http.Handler) {
	inner := r.WithContext(ctx)
	defer func() { r.Pattern = inner.Pattern }()
	next.ServeHTTP(w, inner)
}

func (w *Writer) serve(next http.Handler) {
	returned := false
	defer func() {
		v := recover()
		end := w.end(v, returned || v != nil)
		w.tell(end)
		if v != nil {
			panic(v)
		}
	}()
	next.ServeHTTP(w, w.r)
	returned = true
}

// tell tells all watchers, also those after one that panics: they may hold what
// others wait for.
func (w *Writer) tell(end End) {
	if w.more != nil {
		defer w.tellRest(w.more.watch, end)
	}
	w.outer.ResponseEnded(w, end)
}

func (w *Writer) tellRest(watch []Watcher, end End) {
	if len(watch) > 0 {
		defer w.tellRest(watch[1:], end)
		watch[0].ResponseEnded(w, end)
	}
}

// Fail notes err as the reason why the response is not what was asked for. The
// first reason counts.
func (w *Writer) Fail(err error) {
	if m := w.extra(); m.failed == nil {
		m.failed = err
	}
}

// Request returns the request as the innermost watching middleware saw it: the
// one whose Pattern a mux sets. Its context may end before the response does.
func (w *Writer) Request() *http.Request {
	if w.more != nil && w.more.inner != nil {
		return w.more.inner
	}
	return w.r
}

// Started reports whether the final header has been sent.
func (w *Writer) Started() bool { return w.status != 0 || w.hijack }

// Status returns the status sent, or what a handler that sent none implies.
func (w *Writer) Status() int {
	if w.status == 0 {
		return http.StatusOK
	}
	return int(w.status)
}

// Bytes returns how many bytes of the body were written.
func (w *Writer) Bytes() int64 { return w.bytes }

// Elapsed returns for how long the response has been watched.
func (w *Writer) Elapsed() time.Duration { return time.Since(epoch) - w.start }

// FirstByte returns how long after a stream of server-sent events was first
// watched its header was sent. ok is false if the response is none.
func (w *Writer) FirstByte() (d time.Duration, ok bool) {
	if !w.Streaming() {
		return 0, false
	}
	return w.more.first - w.start, true
}

// Hijacked reports whether the connection was taken over.
func (w *Writer) Hijacked() bool { return w.hijack }

// Streaming reports whether the response is a stream of server-sent events.
func (w *Writer) Streaming() bool { return w.stream() != nil }

// Header implements [http.ResponseWriter].
func (w *Writer) Header() http.Header { return w.w.Header() }

// Unwrap is for [http.ResponseController].
func (w *Writer) Unwrap() http.ResponseWriter { return w.w }

// WriteHeader implements [http.ResponseWriter]. Informational responses pass
// and leave the final one open.
func (w *Writer) WriteHeader(status int) {
	informational := status < 200 && status != http.StatusSwitchingProtocols
	if informational || status > 999 || w.Started() {
		w.w.WriteHeader(status) // which panics if it is no status at all
		return
	}
	w.begin(status)
	w.w.WriteHeader(status)
}

// begin notes the final header, right before it goes out.
func (w *Writer) begin(status int) {
	if h, ok := w.outer.(HeaderWatcher); ok {
		h.BeforeHeader(w, status)
	}
	if w.more != nil {
		for _, e := range w.more.watch {
			if h, ok := e.(HeaderWatcher); ok {
				h.BeforeHeader(w, status)
			}
		}
	}
	w.status = int32(status) // #nosec G115 -- net/http panics unless it has three digits
	h := w.w.Header()
	// Indexed rather than got: the names are canonical, as net/http reads them.
	if l := h["Content-Length"]; len(l) > 0 {
		if n, err := strconv.ParseInt(l[0], 10, 64); err == nil {
			w.length = n
		}
	}
	if ct := h["Content-Type"]; len(ct) > 0 && isEventStream(ct[0]) {
		w.beginStream()
	}
}

func isEventStream(contentType string) bool {
	const media = "text/event-stream"
	return len(contentType) >= len(media) && strings.EqualFold(contentType[:len(media)], media)
}

func (w *Writer) beginStream() {
	m := w.extra()
	m.stream = new(sse.Watcher)
	m.first = time.Since(epoch)
	streamBegan(w, w.outer)
	for _, e := range m.watch {
		streamBegan(w, e)
	}
}

func (w *Writer) stream() *sse.Watcher {
	if w.more == nil {
		return nil
	}
	return w.more.stream
}

// Write implements [http.ResponseWriter].
func (w *Writer) Write(p []byte) (int, error) {
	if !w.Started() {
		w.begin(http.StatusOK)
	}
	n, err := w.w.Write(p)
	w.wrote(int64(n), err)
	if s := w.stream(); s != nil {
		_, _ = s.Write(p[:n])
	}
	return n, err
}

// ReadFrom lets io.Copy reach the sendfile of the connection.
func (w *Writer) ReadFrom(src io.Reader) (int64, error) {
	if !w.Started() {
		w.begin(http.StatusOK)
	}
	if isFile(src) {
		n, err := io.Copy(w.w, src)
		w.wrote(n, err)
		return n, err
	}
	from := &source{Reader: src}
	var n int64
	var err error
	if w.Streaming() {
		n, err = io.Copy(struct{ io.Writer }{w}, from) // Write notes what becomes of it
	} else if n, err = io.Copy(w.w, from); from.err == nil {
		w.wrote(n, err)
	} else {
		w.bytes += n
	}
	if from.err != nil && w.extra().source == nil {
		w.more.source = from.err
	}
	return n, err
}

// isFile reports whether src is what the system can send by itself.
func isFile(src io.Reader) bool {
	if l, ok := src.(*io.LimitedReader); ok {
		src = l.R
	}
	_, ok := src.(*os.File)
	return ok
}

// source tells errors of what is copied from those of the connection, which
// wraps the former in its own.
type source struct {
	io.Reader
	err error
}

func (s *source) Read(p []byte) (int, error) {
	n, err := s.Reader.Read(p)
	if err != nil && err != io.EOF { //nolint:errorlint // as io.Copy compares it
		s.err = err
	}
	return n, err
}

func (w *Writer) wrote(n int64, err error) {
	w.bytes += n
	if err != nil && !w.hijack && !errors.Is(err, http.ErrBodyNotAllowed) && w.extra().written == nil {
		w.more.written = err
	}
}

// Flush implements [http.Flusher].
func (w *Writer) Flush() { _ = w.FlushError() }

// FlushError is Flush for [http.ResponseController]. It reports
// [http.ErrNotSupported] if the connection can't flush.
func (w *Writer) FlushError() error {
	if !w.Started() {
		w.begin(http.StatusOK)
	}
	err := http.NewResponseController(w.w).Flush()
	if err != nil && !errors.Is(err, http.ErrNotSupported) {
		w.wrote(0, err)
	}
	return err
}

// Hijack implements [http.Hijacker]. What happens on the connection afterwards
// is not watched.
func (w *Writer) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(w.w).Hijack()
	w.hijack = w.hijack || err == nil
	return conn, rw, err
}
