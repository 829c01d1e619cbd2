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

// Every header of a preset can be replaced, or left out by an empty value.
func ExampleConfig() {
	secure, err := headers.New(headers.Config{
		Override: map[string]string{"Referrer-Policy": "same-origin", "Cache-Control": ""},
		HSTS:     headers.HSTS{ExcludeSubDomains: true},
	})
	if err != nil {
		panic(err)
	}
	r := httptest.NewRequest(http.MethodGet, "https://api.example.com/", nil) // over TLS
	h := http.Header{}
	secure.Set(h, r)
	fmt.Printf("%q\n", h["Referrer-Policy"])
	fmt.Printf("%q\n", h["Cache-Control"])
	fmt.Printf("%q\n", h["Strict-Transport-Security"])
	// Output:
	// ["same-origin"]
	// []
	// ["max-age=63072000"]
}

// A stricter policy is tried out beside the one that is in force.
func ExampleConfig_reportOnly() {
	secure, err := headers.New(headers.Config{
		ReportOnly:         &headers.CSP{RequireTrustedTypes: true, TrustedTypes: []string{}, ReportTo: "csp"},
		ReportingEndpoints: map[string]string{"csp": "https://reports.example.com/csp"},
	})
	if err != nil {
		panic(err)
	}
	h := http.Header{}
	secure.Set(h, httptest.NewRequest(http.MethodGet, "/", nil))
	fmt.Println(h.Get("Content-Security-Policy-Report-Only"))
	fmt.Println(h.Get("Reporting-Endpoints"))
	// Output:
	// require-trusted-types-for 'script'; trusted-types; report-to csp
	// csp="https://reports.example.com/csp"
}

// What a provider's client has copied into the response doesn't reach ours.
func ExampleLeaking() {
	secure, err := headers.New(headers.Config{Strip: headers.Leaking()})
	if err != nil {
		panic(err)
	}
	h := secure.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Openai-Organization", "org-7")
		w.WriteHeader(http.StatusNoContent)
	}))
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
	fmt.Printf("%q\n", w.Result().Header["Openai-Organization"])
	// Output: []
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
