package sanitize

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/sparkhttp/spark/problem"
)

// BodyLimitConfig configures a [BodyLimit]. The zero value takes JSON of at most
// 1 MiB.
type BodyLimitConfig struct {
	// MaxBytes is the most bytes of a body, as it is sent and after it is
	// decompressed. Default 1 MiB. A body is held in memory.
	MaxBytes int
	// MaxDepth is how deep arrays and objects may be nested. Default 64, at most
	// 1,000.
	MaxDepth int
	// MaxValues is the most values of all kinds in the JSON, and MaxRunes the
	// most characters of all its strings together, after their escapes are
	// decoded (names do not count). Zero means no other limit than MaxBytes.
	MaxValues, MaxRunes int
	// ContentTypes are media types that are taken besides application/json and
	// those that end with "+json", such as "text/plain". Of these, only the size
	// is checked.
	ContentTypes []string
	// ErrorHandler answers refused requests. Nil writes problem documents
	// ([problem.Write]).
	ErrorHandler func(http.ResponseWriter, *http.Request, error)
}

// BodyLimit is a middleware that reads the body of a request to its end before
// the handler does, within limits, and hands on exactly what it has checked: a
// body without compression and byte order mark, one JSON value with nothing
// behind it, in which no name occurs twice.
//
// A request without a body passes. Else it is refused with
//
//   - 413 if the Content-Length is over MaxBytes, before a byte is read, or the
//     body is, compressed or decompressed;
//   - 415 if it is not JSON by its Content-Type, or has a Content-Encoding other
//     than gzip (RFC 9110, section 15.5.16);
//   - 400 if it can't be read, decompressed or parsed, or has data behind its
//     JSON value, which is no JSON text (RFC 8259, section 2);
//   - 422 if it is over one of the other limits, or if a name occurs twice in an
//     object: that is within the grammar, but what it means depends on who reads
//     it (RFC 8259, section 4).
type BodyLimit struct {
	cfg BodyLimitConfig
}

const (
	defaultMaxBytes = 1 << 20
	defaultMaxDepth = 64
	mostDepth       = 1000
)

// NewBodyLimit returns a BodyLimit, or an error that names the field of cfg that
// is wrong.
func NewBodyLimit(cfg BodyLimitConfig) (*BodyLimit, error) {
	if cfg.MaxBytes == 0 {
		cfg.MaxBytes = defaultMaxBytes
	}
	if cfg.MaxDepth == 0 {
		cfg.MaxDepth = defaultMaxDepth
	}
	switch {
	case cfg.MaxBytes < 1:
		return nil, fmt.Errorf("sanitize: MaxBytes is %d, want at least 1", cfg.MaxBytes)
	case cfg.MaxDepth < 1 || cfg.MaxDepth > mostDepth:
		return nil, fmt.Errorf("sanitize: MaxDepth is %d, want 1 to %d", cfg.MaxDepth, mostDepth)
	case cfg.MaxValues < 0:
		return nil, fmt.Errorf("sanitize: MaxValues is %d, want at least 0", cfg.MaxValues)
	case cfg.MaxRunes < 0:
		return nil, fmt.Errorf("sanitize: MaxRunes is %d, want at least 0", cfg.MaxRunes)
	}
	for _, t := range cfg.ContentTypes {
		if m, _, err := mime.ParseMediaType(t); err != nil || m != t {
			return nil, fmt.Errorf("sanitize: ContentTypes holds %q, want a media type in lower case without parameters", t)
		}
	}
	if cfg.ErrorHandler == nil {
		cfg.ErrorHandler = problem.Write
	}
	return &BodyLimit{cfg: cfg}, nil
}

// Read reads the body of r and checks it. The error is a [*LimitError] or
// another one that implements [problem.Shower]. It returns nil if there is no
// body.
func (b *BodyLimit) Read(r *http.Request) ([]byte, error) {
	body, err := b.read(r, true)
	if err != nil || body == nil {
		return nil, err
	}
	return body.data, nil
}

// Handler lets next read the checked body.
func (b *BodyLimit) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := b.read(r, true)
		if err != nil {
			refuseBody(w, r, err)
			b.cfg.ErrorHandler(w, r, err)
			return
		}
		serveBody(r.Context(), w, r, next, body)
	})
}

// refuseBody sets the headers that belong to the refusal of a body.
func refuseBody(w http.ResponseWriter, r *http.Request, err error) {
	if errors.Is(err, errCoding) {
		w.Header().Set("Accept-Encoding", "gzip") // RFC 9110, section 12.5.3
	}
	if errors.Is(err, errMediaType) {
		w.Header().Set("Accept", "application/json") // RFC 9110, section 15.5.16
	}
	limit, ok := errors.AsType[*LimitError](err)
	if ok && limit.Limit == LimitBody && r.ProtoMajor == 1 {
		w.Header().Set("Connection", "close") // the rest of the body is not read
	}
}

// serveBody calls next with a copy of r that has body, or none if that is nil.
func serveBody(ctx context.Context, w http.ResponseWriter, r *http.Request, next http.Handler, body *checkedBody) {
	inner := r.WithContext(ctx)
	defer func() { r.Pattern = inner.Pattern }() // for a middleware further out
	if body != nil {
		body.install(inner)
	}
	next.ServeHTTP(w, inner)
}

// checkedBody is a body that was read to its end and checked.
type checkedBody struct {
	bytes.Reader
	data []byte
	json bool
}

// Close implements [io.Closer].
func (*checkedBody) Close() error { return nil }

func (b *checkedBody) install(r *http.Request) {
	b.Reset(b.data)
	r.Body = b
	r.ContentLength = int64(len(b.data))
	r.TransferEncoding = nil
	var buf [20]byte
	length := strconv.AppendInt(buf[:0], int64(len(b.data)), 10)
	announced := r.Header.Get("Content-Length")
	if r.Header.Get("Content-Encoding") == "" && (announced == "" || announced == string(length)) {
		return
	}
	r.Header = r.Header.Clone() // it belongs to the middlewares further out, too
	r.Header.Del("Content-Encoding")
	r.Header.Set("Content-Length", string(length))
}

// read reads the body. It leaves the JSON unchecked if parse is false: then the
// caller does that.
func (b *BodyLimit) read(r *http.Request, parse bool) (*checkedBody, error) {
	if r.Body == nil || r.Body == http.NoBody || r.ContentLength == 0 {
		return nil, nil //nolint:nilnil // no body is no error
	}
	if done, ok := r.Body.(*checkedBody); ok && done.Len() == len(done.data) {
		return done, b.recheck(done, parse)
	}
	if r.ContentLength > int64(b.cfg.MaxBytes) {
		return nil, b.tooLarge()
	}
	isJSON, err := b.mediaType(r)
	if err != nil {
		return nil, err
	}
	zipped, err := gzipped(r)
	if err != nil {
		return nil, err
	}
	data, err := b.bytes(r, zipped)
	if err != nil || len(data) == 0 {
		return nil, err
	}
	body := &checkedBody{data: data, json: isJSON}
	if isJSON {
		body.data = bytes.TrimPrefix(data, []byte(utf8BOM))
		if parse {
			err = b.document(body.data, nil)
		}
	}
	return body, err
}

// recheck applies the limits to a body that another BodyLimit has read.
func (b *BodyLimit) recheck(body *checkedBody, parse bool) error {
	if len(body.data) > b.cfg.MaxBytes {
		return b.tooLarge()
	}
	if parse && body.json {
		return b.document(body.data, nil)
	}
	return nil
}

func (b *BodyLimit) tooLarge() error { return &LimitError{Limit: LimitBody, Max: b.cfg.MaxBytes} }

// document reads data as one JSON text; f finds strings in it, and may be nil.
func (b *BodyLimit) document(data []byte, f *finder) error {
	d := document{
		data: data, finder: f,
		maxDepth: b.cfg.MaxDepth, maxValues: b.cfg.MaxValues, maxRunes: b.cfg.MaxRunes,
	}
	return d.read()
}

var (
	errMediaType = &problem.Document{Status: http.StatusUnsupportedMediaType, Detail: "The request body must be JSON in UTF-8, with Content-Type application/json."}
	errCoding    = &problem.Document{Status: http.StatusUnsupportedMediaType, Detail: "The only Content-Encoding that is understood is gzip."}
	errGzip      = &problem.Document{Status: http.StatusBadRequest, Detail: "The request body is not valid gzip."}
	errCut       = &problem.Document{Status: http.StatusBadRequest, Detail: "The request body ended before it was complete."}
	errSlow      = &problem.Document{Status: http.StatusRequestTimeout, Detail: "The request body did not arrive in time."}
)

// mediaType reports whether the body is JSON, by its Content-Type.
func (b *BodyLimit) mediaType(r *http.Request) (isJSON bool, err error) {
	if len(r.Header["Content-Type"]) > 1 {
		return false, errMediaType
	}
	value := r.Header.Get("Content-Type")
	if value == "application/json" { // as nearly every client sends it
		return true, nil
	}
	m, params, err := mime.ParseMediaType(value)
	if err != nil {
		return false, errMediaType
	}
	if m != "application/json" && !strings.HasSuffix(m, "+json") {
		if slices.Contains(b.cfg.ContentTypes, m) {
			return false, nil
		}
		return false, errMediaType
	}
	// JSON has no charset parameter (RFC 8259, section 11), but a client that
	// names another one than UTF-8 may mean it.
	if c := params["charset"]; c != "" && !strings.EqualFold(c, "utf-8") && !strings.EqualFold(c, "us-ascii") {
		return false, errMediaType
	}
	return true, nil
}

// gzipped reports whether the body is compressed.
func gzipped(r *http.Request) (bool, error) {
	codings := r.Header["Content-Encoding"]
	switch {
	case len(codings) == 0:
		return false, nil
	case len(codings) > 1:
		return false, errCoding
	}
	switch c := strings.ToLower(strings.TrimSpace(codings[0])); c {
	case "", "identity":
		return false, nil
	case "gzip", "x-gzip": // RFC 9110, section 8.4.1.3
		return true, nil
	}
	return false, errCoding
}

// bytes reads the body to its end and undoes its compression.
func (b *BodyLimit) bytes(r *http.Request, zipped bool) ([]byte, error) {
	src := &source{r: r.Body, left: b.cfg.MaxBytes}
	if !zipped {
		data, err := b.all(src, int(max(r.ContentLength, 0)))
		return data, b.why(r, src, err, errCut)
	}
	z, err := gzip.NewReader(src)
	if errors.Is(err, io.EOF) && src.err == nil && !src.begun {
		return nil, nil // an empty body, compressed or not
	}
	if err != nil {
		return nil, b.why(r, src, err, errGzip)
	}
	data, err := b.all(z, 0)
	return data, b.why(r, src, err, errGzip)
}

// all reads src to its end: at most MaxBytes, in a buffer that grows with what
// has arrived, not with what was announced.
func (b *BodyLimit) all(src io.Reader, announced int) ([]byte, error) {
	const first = 64 << 10
	size := min(announced, first)
	if size == 0 {
		size = 512
	}
	data := make([]byte, 0, min(size, b.cfg.MaxBytes)+1)
	for {
		n, err := src.Read(data[len(data):cap(data)])
		data = data[:len(data)+n]
		switch {
		case len(data) > b.cfg.MaxBytes:
			return nil, errTooLarge
		case errors.Is(err, io.EOF):
			return data, nil
		case err != nil:
			return nil, err
		case len(data) == cap(data):
			grown := make([]byte, len(data), min(2*cap(data), b.cfg.MaxBytes+1))
			copy(grown, data)
			data = grown
		}
	}
}

// why turns an error of reading into what the client is told.
func (b *BodyLimit) why(r *http.Request, src *source, err error, otherwise *problem.Document) error {
	if src.err != nil {
		err, otherwise = src.err, errCut // the reason lies below the decompression
	}
	tooLarge, ok := errors.AsType[*http.MaxBytesError](err)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, errTooLarge):
		return b.tooLarge()
	case ok:
		return &LimitError{Limit: LimitBody, Max: int(tooLarge.Limit)}
	case errors.Is(err, os.ErrDeadlineExceeded):
		return &bodyError{errSlow, err}
	case errors.Is(r.Context().Err(), context.Canceled):
		return &bodyError{errCut, context.Cause(r.Context())}
	}
	return &bodyError{otherwise, err}
}

var errTooLarge = errors.New("sanitize: too large")

// source counts what is read from the connection and keeps its error.
type source struct {
	r     io.Reader
	left  int
	begun bool
	err   error
}

func (s *source) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	s.begun = s.begun || n > 0
	if s.left -= n; s.left < 0 {
		s.err = errTooLarge
		return 0, errTooLarge
	}
	if err != nil && !errors.Is(err, io.EOF) {
		s.err = err
	}
	return n, err
}

// bodyError is shown as its document; what is wrong stays inside.
type bodyError struct {
	doc *problem.Document
	err error
}

func (e *bodyError) Error() string              { return "sanitize: reading the body: " + e.err.Error() }
func (e *bodyError) Unwrap() error              { return e.err }
func (e *bodyError) Problem() *problem.Document { return e.doc }
