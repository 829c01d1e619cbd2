package main

import (
	"encoding/json"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"strings"
	"unicode"

	"github.com/sparkhttp/spark/problem"
)

// exportRequest is the body of POST /api/export.
type exportRequest struct {
	Title   string `json:"title"`
	Content string `json:"content"`
	Format  string `json:"format"`
}

// exportFormats are the kinds of file that can be asked for.
var exportFormats = map[string]struct {
	contentType, extension string
	render                 func(exportRequest) ([]byte, error)
}{
	"markdown": {"text/markdown; charset=utf-8", "md", func(e exportRequest) ([]byte, error) {
		return fmt.Appendf(nil, "# %s\n\n%s\n", e.Title, e.Content), nil
	}},
	"html": {"text/html; charset=utf-8", "html", exportHTML},
	"json": {"application/json", "json", func(e exportRequest) ([]byte, error) {
		return json.MarshalIndent(map[string]string{"title": e.Title, "content": e.Content}, "", "  ")
	}},
	"text": {"text/plain; charset=utf-8", "txt", func(e exportRequest) ([]byte, error) {
		return fmt.Appendf(nil, "%s\n\n%s\n", e.Title, e.Content), nil
	}},
}

var exportPage = template.Must(template.New("export").Parse(`<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="default-src 'none'"><title>{{.Title}}</title></head>
<body><h1>{{.Title}}</h1><pre>{{.Content}}</pre></body>
</html>
`))

func exportHTML(e exportRequest) ([]byte, error) {
	var page strings.Builder
	err := exportPage.Execute(&page, e)
	return []byte(page.String()), err
}

// export answers with a file to save. A browser that is sent there must never
// run what is in it: it is an attachment, in a sandbox, without a type to sniff.
func export(w http.ResponseWriter, r *http.Request) {
	var e exportRequest
	if err := readJSON(r, &e); err != nil {
		problem.Write(w, r, err)
		return
	}
	e.Title = oneLine(e.Title)
	format, ok := exportFormats[e.Format]
	switch {
	case !ok:
		problem.Write(w, r, invalid("format", "must be markdown, html, json or text"))
		return
	case e.Title == "":
		problem.Write(w, r, invalid("title", "must not be empty"))
		return
	case e.Content == "":
		problem.Write(w, r, invalid("content", "must not be empty"))
		return
	}
	file, err := format.render(e)
	if err != nil {
		problem.Write(w, r, err)
		return
	}
	h := w.Header()
	h.Set("Content-Type", format.contentType)
	h.Set("Content-Disposition", disposition(e.Title, format.extension))
	h.Set("Content-Security-Policy", "default-src 'none'; sandbox")
	_, _ = w.Write(file)
}

// oneLine makes a title that can't open a second line anywhere.
func oneLine(title string) string {
	return strings.Join(strings.FieldsFunc(title, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }), " ")
}

// disposition names the file after the title (RFC 6266), in ASCII for those who
// read no more, and as it is (RFC 8187) for the others.
func disposition(title, extension string) string {
	name := []rune(strings.Map(func(r rune) rune {
		if unicode.In(r, unicode.Letter, unicode.Digit, unicode.Mark) || strings.ContainsRune(" .-_()", r) {
			return r
		}
		return '-'
	}, title))
	base := strings.Trim(string(name[:min(len(name), 80)]), " .-")
	if base == "" {
		base = "export"
	}
	full := base + "." + extension
	ascii := strings.Map(func(r rune) rune {
		if r > unicode.MaxASCII {
			return '-'
		}
		return r
	}, full)
	if ascii == full {
		return `attachment; filename="` + full + `"`
	}
	return `attachment; filename="` + ascii + `"; filename*=UTF-8''` + url.PathEscape(full)
}
