package errtrack

import (
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html/template"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/sparkhttp/spark/problem"
)

//go:embed page.html
var pageSource string

var page = template.Must(template.New("page").Funcs(template.FuncMap{
	"ago": func(t time.Time) string { return ago(time.Since(t)) },
}).Parse(pageSource))

// pageStyle is the hash by which the policy of the page allows its style, and
// nothing else.
var pageStyle = styleHash(pageSource)

func styleHash(source string) string {
	_, rest, _ := strings.Cut(source, "<style>")
	style, _, _ := strings.Cut(rest, "</style>")
	sum := sha256.Sum256([]byte(style))
	return base64.StdEncoding.EncodeToString(sum[:])
}

func ago(d time.Duration) string {
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%d min", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h", int(d.Hours()))
	default:
		return fmt.Sprintf("%d days", int(d.Hours()/24))
	}
}

// overview is what the page shows.
type overview struct {
	Release string  `json:"release,omitempty"`
	Stats   Stats   `json:"stats"`
	Groups  []Group `json:"groups"`
}

// Page shows the groups: as HTML to those who ask for text/html, else as JSON.
// The query parameters order, severity (the least), provider and limit (at most
// and by default 200) choose. It belongs behind authentication.
func (c *Collector) Page() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		q, err := parseQuery(r)
		if err != nil {
			problem.Write(w, r, err)
			return
		}
		o := overview{c.cfg.Release, c.Stats(), c.Groups(q)}
		h := w.Header()
		h.Set("Cache-Control", "no-store")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Add("Vary", "Accept")
		if strings.Contains(r.Header.Get("Accept"), "text/html") {
			h.Set("Content-Type", "text/html; charset=utf-8")
			h.Set("Content-Security-Policy", "default-src 'none'; style-src 'sha256-"+pageStyle+"'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
			_ = page.Execute(w, o) // the client has left, and what watches the response sees that
			return
		}
		h.Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(o)
	})
}

const maxPage = 200

func parseQuery(r *http.Request) (Query, error) {
	v := r.URL.Query()
	q := Query{Order: Order(v.Get("order")), Provider: v.Get("provider"), Limit: maxPage}
	switch q.Order {
	case "", ByLastSeen, ByFirstSeen, ByCount, ByRate, BySeverity, ByUsers:
	default:
		return q, &problem.Document{Status: http.StatusBadRequest, Detail: "order must be last_seen, first_seen, count, rate, severity or users."}
	}
	if err := q.MinSeverity.UnmarshalText([]byte(v.Get("severity"))); err != nil {
		return q, &problem.Document{Status: http.StatusBadRequest, Detail: "severity must be low, medium, high or critical."}
	}
	if text := v.Get("limit"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > maxPage {
			return q, &problem.Document{Status: http.StatusBadRequest, Detail: "limit must be 1 to 200."}
		}
		q.Limit = n
	}
	return q, nil
}
