package breaker

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
	"time"

	"github.com/sparkhttp/spark/internal/sse"
)

// TransportConfig says which breaker guards which requests.
type TransportConfig struct {
	// Breaker guards all requests. Required, unless there is Select.
	Breaker *Breaker
	// Select names the breaker of a request, usually by asking a [Group]. Its
	// errors are returned by RoundTrip.
	Select func(*http.Request) (*Breaker, error)
	// Provider judges responses with a status of 400 or more: [Anthropic],
	// [OpenAI], or another; it is given up to 64 KiB of the body, which is
	// unpacked for it if it is gzip. Nil judges by the status alone.
	Provider Provider
	// Base makes the requests. Nil means [http.DefaultTransport].
	Base http.RoundTripper
	// IdleTimeout is how long the provider may send nothing while its body is
	// being read. Reading then fails with a timeout. Default 60 s. A negative
	// value means no limit. It does not limit the wait for the header, which may
	// be long if the answer comes in one piece.
	IdleTimeout time.Duration
}

// Transport is an [http.RoundTripper] that asks a breaker before each request,
// and judges the response when it ends: when its body has been read to the end or
// is closed. It is safe for concurrent use.
//
// A body that is closed before its end was given up, which is ignored, unless all
// that counts has been read: the event that ends a stream, a whole JSON value.
//
// A stream of server-sent events fails if it has an error event, no event at all,
// or stops before the event that ends it (message_stop, [DONE], a finish reason).
// A stream that was cut then reads as [io.ErrUnexpectedEOF] even if the
// connection was closed in good order.
//
// A stream that came compressed because the request itself asked for that, by
// Accept-Encoding, is not looked into: leave compression to [http.Transport].
//
// Within a call of [Failover] to the same breaker the response is not counted a
// second time: what Transport saw tells what the error of the call means. Within
// Do of the same breaker it has no place.
type Transport struct{ cfg TransportConfig }

// NewTransport returns a Transport. It reports if there is no breaker.
func NewTransport(cfg TransportConfig) (*Transport, error) {
	if cfg.Breaker == nil && cfg.Select == nil {
		return nil, errors.New("breaker: Breaker is missing")
	}
	if cfg.Provider == nil {
		cfg.Provider = byStatus
	}
	if cfg.Base == nil {
		cfg.Base = http.DefaultTransport
	}
	setDefault(&cfg.IdleTimeout, 60*time.Second)
	return &Transport{cfg}, nil
}

// maxErrorBody is how much of the body of an error is read to judge it.
const maxErrorBody = 64 << 10

// RoundTrip implements [http.RoundTripper]. The error is an [*OpenError] if the
// breaker refuses the request.
func (t *Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	x, err := t.begin(req)
	if err != nil {
		if req.Body != nil {
			_ = req.Body.Close() // a RoundTripper always does
		}
		return nil, err
	}
	returned := false
	defer func() {
		if !returned {
			x.end(vanished(req.Context()), nil)
			x.cancel(nil)
		}
	}()
	resp, err := t.cfg.Base.RoundTrip(req.WithContext(x.ctx))
	returned = true
	if err != nil {
		x.end(x.judge(err, x.b.now()-x.p.start), err)
		x.cancel(nil) // there is no body whose end would do it
		return nil, err
	}
	t.watch(x, resp)
	return resp, nil
}

// begin asks the breaker.
func (t *Transport) begin(req *http.Request) (*exchange, error) {
	b := t.cfg.Breaker
	if t.cfg.Select != nil {
		var err error
		if b, err = t.cfg.Select(req); err != nil {
			return nil, err
		}
	}
	ctx := req.Context()
	x := &exchange{b: b, caller: ctx, t: newTracker(ctx)}
	if x.nested = x.t.watches(b); x.nested {
		x.p.start = b.now()
	} else {
		p, err := b.admit(x.t) //nolint:contextcheck // a tracker is a context around that of req
		if err != nil {
			return nil, err
		}
		x.p = p
	}
	x.ctx, x.cancel = context.WithCancelCause(x.t)
	return x, nil
}

// watch sees to it that x ends when resp does.
func (t *Transport) watch(x *exchange, resp *http.Response) {
	x.t.hear()
	if resp.StatusCode == http.StatusSwitchingProtocols {
		x.end(Outcome{}, nil) // what follows is no response any more; the context must live on
		return
	}
	if resp.Body == nil {
		resp.Body = http.NoBody
	}
	b := &body{x: x, rc: resp.Body, length: resp.ContentLength, idle: t.cfg.IdleTimeout}
	switch kind := mediaType(resp.Header); {
	case resp.StatusCode >= 400:
	case kind == "text/event-stream":
		b.stream = new(sse.Watcher)
		b.token.word = "delta"
		b.finish.word, b.finish.quoted = `"finish_reason":`, true
	case kind == "application/json", strings.HasSuffix(kind, "+json"):
		b.json = new(jsonEnd)
	}
	resp.Body = b
	if resp.StatusCode < 400 {
		if b.rc == http.NoBody {
			x.end(Outcome{}, nil)
		}
		return
	}
	b.failed = true
	start, err := io.ReadAll(io.LimitReader(b, maxErrorBody))
	o := t.cfg.Provider(resp.StatusCode, resp.Header, unpacked(resp.Header, start))
	if err != nil && o.Verdict == Success {
		o = x.judge(err, x.b.now()-x.p.start)
	}
	x.end(o, err)
	b.start = bytes.NewReader(start)
}

// mediaType returns what the body of a response is, if it can be read as it comes.
func mediaType(h http.Header) string {
	kind, _, err := mime.ParseMediaType(h.Get("Content-Type"))
	if err != nil || h.Get("Content-Encoding") != "" {
		return ""
	}
	return kind
}

// unpacked returns the body of an error as it can be read.
func unpacked(h http.Header, body []byte) []byte {
	if !strings.EqualFold(h.Get("Content-Encoding"), "gzip") {
		return body
	}
	z, err := gzip.NewReader(bytes.NewReader(body))
	if err != nil {
		return body
	}
	text, _ := io.ReadAll(io.LimitReader(z, maxErrorBody)) // an error at its end is one of the cut
	return text
}

// idleError says that a provider fell silent.
type idleError struct{ limit time.Duration }

func (e *idleError) Error() string {
	return fmt.Sprintf("breaker: provider sent nothing for %v", e.limit)
}
func (e *idleError) Timeout() bool    { return true }
func (e *idleError) Temporary() bool  { return true }
func (e *idleError) Outcome() Outcome { return failed("idle") }
