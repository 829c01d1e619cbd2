// Package problem answers failed requests with RFC 9457 problem documents.
//
// [Write] turns an error into a response. An error decides how it is shown by
// implementing [Shower], or is given a document by [With]; every other error
// becomes a bare 500 that says nothing of what went wrong, so that the text of an
// unknown error never reaches a client. A response that has already begun can't
// be turned into an error any more: Write then aborts it, so that a truncated
// answer looks truncated.
//
//	mux.HandleFunc("POST /v1/answer", func(w http.ResponseWriter, r *http.Request) {
//		answer, err := ask(r)
//		if err != nil {
//			problem.Write(w, r, err)
//			return
//		}
//		…
//	})
//
// Write has the signature of the ErrorHandler field that every middleware of
// this module has, and is what a nil ErrorHandler stands for.
package problem

import (
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"strconv"

	"github.com/sparkhttp/spark/internal/response"
)

// ContentType is the media type of a problem document (RFC 9457, section 3).
const ContentType = "application/problem+json"

// Document is a problem document (RFC 9457, section 3.1). Its fields are shown
// to clients: they must hold nothing that a client may not read.
//
// A *Document is an error that shows itself, so a handler can return or write
// one directly.
type Document struct {
	// Type is a URI that identifies the kind of problem. Empty means
	// "about:blank": the problem is just what its status says.
	Type string
	// Title is a short summary of the kind of problem, the same each time it
	// occurs. Empty means the text of Status, as in "Too Many Requests".
	Title string
	// Status is the HTTP status code, 400 to 599. Any other value means 500.
	Status int
	// Detail is one sentence for the client about this occurrence, saying what
	// to do about it. Optional.
	Detail string
	// Instance is a URI that identifies this occurrence. Optional.
	Instance string
	// Members are extension members (RFC 9457, section 3.2). A member with the
	// name of one of the fields above is left out. Optional.
	Members map[string]any

	prepared *prepared // set by Prepare
}

// prepared is a document as it is sent.
type prepared struct {
	body   []byte
	length []string // the Content-Length
}

// The header fields of all documents, shared by the responses that have them.
var (
	valueType    = []string{ContentType}
	valueNosniff = []string{"nosniff"}
	valueNoStore = []string{"no-store"}
)

// Shower is implemented by errors that know how they want to be shown to a
// client. The document is found through errors that wrap it.
type Shower interface {
	error
	Problem() *Document
}

// Error returns the detail of the document, or its title.
func (d *Document) Error() string {
	if d.Detail != "" {
		return d.Detail
	}
	return d.title()
}

// Problem returns d itself.
func (d *Document) Problem() *Document { return d }

// Of returns the document that err wants to be shown as: that of the first
// error in its tree that implements [Shower], else a bare 500.
func Of(err error) *Document {
	s, ok := err.(Shower) // most are, which is quicker to find out than what they wrap
	if !ok {
		s, ok = errors.AsType[Shower](err)
	}
	if ok {
		if d := s.Problem(); d != nil {
			return d
		}
	}
	return &Document{Status: http.StatusInternalServerError}
}

// With returns an error that is shown to clients as d. It wraps err, and reads
// like it. It returns nil if err is nil.
func With(err error, d *Document) error {
	if err == nil {
		return nil
	}
	return &shown{err, d}
}

type shown struct {
	error
	d *Document
}

func (s *shown) Problem() *Document { return s.d }
func (s *shown) Unwrap() error      { return s.error }

// Write answers r with the document of err (see [Of]). Headers that the client
// needs beside it, such as Retry-After, must be set before.
//
// The X-Request-Id header of the response, if there is one, is repeated as the
// member "request_id". If the response has begun, Write aborts it by panicking
// with [http.ErrAbortHandler]; that is known only where a middleware of this
// module is around the handler, since a bare [http.ResponseWriter] does not say.
func Write(w http.ResponseWriter, r *http.Request, err error) {
	if rec := response.Of(w); rec != nil {
		rec.Fail(err)
		if rec.Started() {
			panic(http.ErrAbortHandler)
		}
	}
	d := Of(err)
	h := w.Header()
	id, caching := tidy(h)
	body, length := d.render(id)
	h["Content-Type"] = valueType
	h["Content-Length"] = length
	h["X-Content-Type-Options"] = valueNosniff
	if caching == "" {
		h["Cache-Control"] = valueNoStore
	}
	w.WriteHeader(d.status())
	if r == nil || r.Method != http.MethodHead {
		_, _ = w.Write(body) // the client is gone: there is nobody left to tell
	}
}

// tidy removes the fields that described the answer which was meant to be sent, and
// returns the X-Request-Id and the Cache-Control that are set. It is much of what a
// refusal costs: a header with few fields is walked through, which is quicker than
// to look for those that are not there.
func tidy(h http.Header) (id, caching string) {
	if len(h) > 5 {
		for _, name := range [...]string{"Content-Encoding", "Content-Disposition", "Etag", "Last-Modified", "Accept-Ranges"} {
			if h[name] != nil { // to look is cheaper than to delete
				delete(h, name)
			}
		}
		return first(h["X-Request-Id"]), first(h["Cache-Control"])
	}
	for name, v := range h {
		switch name {
		case "X-Request-Id":
			id = first(v)
		case "Cache-Control":
			caching = first(v)
		case "Content-Encoding", "Content-Disposition", "Etag", "Last-Modified", "Accept-Ranges":
			delete(h, name)
		}
	}
	return id, caching
}

func first(values []string) string {
	if len(values) == 0 {
		return ""
	}
	return values[0]
}

// Prepare returns a copy of d that is encoded already, which makes [Write] several
// times as fast: it is for a document that is sent often, as to those who exceed
// a limit. Neither the copy nor copies of it may be changed.
func (d *Document) Prepare() *Document {
	c := *d
	c.prepared = nil
	if _, ok := c.Members["request_id"]; ok {
		return &c // may be replaced by that of the response
	}
	body := c.json("")
	c.prepared = &prepared{body, []string{strconv.Itoa(len(body))}}
	return &c
}

// render returns the body and the Content-Length.
func (d *Document) render(requestID string) ([]byte, []string) {
	if d.prepared == nil {
		body := d.json(requestID)
		return body, []string{strconv.Itoa(len(body))}
	}
	if requestID == "" {
		return d.prepared.body, d.prepared.length
	}
	id, _ := encode(requestID) // a string always encodes
	whole := d.prepared.body
	body := make([]byte, 0, len(whole)+len(id)+16)
	body = append(body, whole[:len(whole)-len("}\n")]...)
	body = append(body, `,"request_id":`...)
	body = append(body, id...)
	body = append(body, "}\n"...)
	return body, []string{strconv.Itoa(len(body))}
}

// MarshalJSON encodes the document as application/problem+json.
func (d *Document) MarshalJSON() ([]byte, error) {
	m := maps.Clone(d.Members)
	if m == nil {
		m = make(map[string]any, 5)
	}
	for _, f := range [...]struct{ name, value string }{
		{"type", d.Type}, {"title", d.title()}, {"detail", d.Detail}, {"instance", d.Instance},
	} {
		delete(m, f.name)
		if f.value != "" {
			m[f.name] = f.value
		}
	}
	m["status"] = d.status()
	if d.Type == "" {
		m["type"] = "about:blank"
	}
	return encode(m)
}

// encode encodes v without the escapes that protect HTML: the media type is
// another, and nosniff keeps it so.
func encode(v any) ([]byte, error) {
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return bytes.TrimRight(out.Bytes(), "\n"), err
}

// json encodes the document; members that can't be encoded are left out, since
// a client in trouble is better served by a shorter document than by none.
func (d *Document) json(requestID string) []byte {
	shown := *d
	if requestID != "" {
		shown.Members = maps.Clone(d.Members)
		if shown.Members == nil {
			shown.Members = make(map[string]any, 1)
		}
		shown.Members["request_id"] = requestID
	}
	body, err := shown.MarshalJSON()
	if err != nil {
		shown.Members = nil
		if requestID != "" {
			shown.Members = map[string]any{"request_id": requestID}
		}
		body, _ = shown.MarshalJSON() // strings and an int always encode
	}
	return append(body, '\n')
}

func (d *Document) status() int {
	if d.Status < 400 || d.Status > 599 {
		return http.StatusInternalServerError
	}
	return d.Status
}

func (d *Document) title() string {
	if d.Title != "" {
		return d.Title
	}
	if t := http.StatusText(d.status()); t != "" {
		return t
	}
	return "Error"
}
