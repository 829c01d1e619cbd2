package harness

import (
	"net/http"
	"sync"
)

// Serve returns an operation that serves the requests in turn, each used again
// and again, to a ResponseWriter that is reset rather than made anew: what is
// measured is the handler, not the test.
func Serve(h http.Handler, requests ...*http.Request) func(i int) {
	pool := sync.Pool{New: func() any { return &Writer{header: make(http.Header, 16)} }}
	return func(i int) {
		w, ok := pool.Get().(*Writer)
		if !ok {
			return // the pool holds nothing else
		}
		w.Reset()
		h.ServeHTTP(w, requests[i%len(requests)])
		pool.Put(w)
	}
}

// Writer is a ResponseWriter that keeps nothing and can be used again.
type Writer struct {
	header http.Header
	// Status is the status of the response; 0 if none was sent.
	Status int
	// Bytes is the length of the body.
	Bytes int
}

// Reset makes the writer as good as new.
func (w *Writer) Reset() {
	clear(w.header)
	w.Status, w.Bytes = 0, 0
}

// Header implements [http.ResponseWriter].
func (w *Writer) Header() http.Header { return w.header }

// WriteHeader implements [http.ResponseWriter].
func (w *Writer) WriteHeader(status int) { w.Status = status }

// Write implements [http.ResponseWriter].
func (w *Writer) Write(p []byte) (int, error) {
	w.Bytes += len(p)
	return len(p), nil
}
