package headers_test

import (
	"fmt"
	"html/template"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/sparkhttp/spark/headers"
)

func Example() {
	secure, err := headers.New(headers.Config{})
	if err != nil {
		panic(err)
	}
	api := secure.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"answer":42}`)
	}))

	w := httptest.NewRecorder()
	api.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
	fmt.Println(w.Header().Get("Content-Security-Policy"))
	fmt.Println(w.Header().Get("Cache-Control"))
	// Output:
	// default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'
	// no-store
}

func ExampleCSP() {
	_, err := headers.New(headers.Config{Preset: headers.HTML, CSP: &headers.CSP{
		DefaultSrc: []headers.Source{"self"},
	}})
	fmt.Println(err)
	// Output:
	// headers: CSP: default-src has self without quotes, which would be the name of a host
}

func ExampleParseCSP() {
	csp, err := headers.ParseCSP("default-src 'none'; img-src https://cdn.example.com", false)
	fmt.Println(csp.ImgSrc, err)
	_, err = headers.ParseCSP("imgsrc *", false)
	fmt.Println(err)
	// Output:
	// [https://cdn.example.com] <nil>
	// headers: unknown directive "imgsrc"
}

func ExampleNonceAttr() {
	page := template.Must(template.New("").Parse(`<script {{.}}>start()</script>`))
	secure, err := headers.New(headers.Config{Preset: headers.HTML})
	if err != nil {
		panic(err)
	}
	h := secure.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		nonce, err := headers.NonceAttr(r.Context())
		if err != nil {
			http.Error(w, "no nonce", http.StatusInternalServerError)
			return
		}
		if err := page.Execute(w, nonce); err != nil {
			panic(http.ErrAbortHandler)
		}
	}))

	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
	_, nonce, _ := strings.Cut(w.Body.String(), `nonce="`)
	nonce, _, _ = strings.Cut(nonce, `"`)
	fmt.Println(strings.Contains(w.Header().Get("Content-Security-Policy"), "'nonce-"+nonce+"'"))
	// Output: true
}
