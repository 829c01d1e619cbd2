package sanitize

import (
	"bytes"
	"net/url"
	"strings"
)

// linkKind is how a URL is used. An image is fetched when it is shown: nobody
// has to click.
type linkKind uint8

const (
	image linkKind = iota
	link
	noLink
)

var linkRules = [...]string{image: "exfiltration.image", link: "exfiltration.link"}

// maxURL is how long a URL is waited for. Browsers take longer ones, so one that
// is not complete by then is judged as it is.
const maxURL = 2048

// linkReader follows text to where URLs begin in Markdown (CommonMark 6.5, 6.6
// and 4.7) and in the src attributes of HTML.
type linkReader struct {
	stack  [8]linkKind // of the brackets that are open
	depth  int
	closed linkKind // the bracket before was closed
	url    linkKind // a URL begins at the next byte
}

// follow takes the next byte; ctx holds the four before it.
func (l *linkReader) follow(b byte, ctx uint32) {
	closed := l.closed
	l.closed = noLink
	if l.url != noLink && (b == ' ' || b == '\t' || b == '<' || b == '"' || b == '\'') {
		return // between the bracket and the URL
	}
	l.url = noLink
	switch b {
	case '[':
		kind := link
		if ctx&0xFF == '!' {
			kind = image
		}
		if l.depth < len(l.stack) {
			l.stack[l.depth] = kind
			l.depth++
		}
	case ']':
		l.closed = link
		if l.depth > 0 {
			l.depth--
			l.closed = l.stack[l.depth]
		}
	case '(':
		l.url = closed
	case ':':
		if closed != noLink {
			l.url = image // a definition, which an image may use
		}
	case '=':
		if ctx&0xDFDFDF == 'S'<<16|'R'<<8|'C' {
			l.url = image
		}
	case '\n':
		if ctx&0xFF == '\n' {
			l.depth = 0 // a new paragraph
		}
	}
}

// url looks at the URL that text may begin with. done is true if it is none.
func (w *window) url(text []byte, final bool) (m match, done bool) {
	kind := w.links.url
	if !w.o.links[kind] {
		return match{}, true
	}
	if b := text[0]; b == ' ' || b == '\t' || b == '<' || b == '"' || b == '\'' {
		return match{}, false
	}
	short := text[:min(len(text), len("https://"))]
	if !absolute(short) {
		return match{maybe: !final && len(short) < len("https://") && beginsAbsolute(short)}, !beginsAbsolute(short) || final
	}
	end := bytes.IndexAny(text, " \t\r\n)>\"'")
	if end < 0 {
		if !final && len(text) < maxURL {
			return match{maybe: true}, false
		}
		end = len(text)
	}
	if !w.o.exfiltrates(string(text[:min(end, maxURL)]), kind) {
		return match{}, true
	}
	return match{rule: linkRules[kind], n: end}, false
}

var schemes = [...]string{"https://", "http://", "//"}

func absolute(text []byte) bool {
	for _, s := range schemes {
		if len(text) >= len(s) && strings.EqualFold(string(text[:len(s)]), s) {
			return true
		}
	}
	return false
}

func beginsAbsolute(text []byte) bool {
	for _, s := range schemes {
		if len(text) < len(s) && strings.EqualFold(string(text), s[:len(text)]) {
			return true
		}
	}
	return false
}

// exfiltrates reports whether following s tells another host something: by any
// query of an image, by a long one of a link, or by a piece of its path or host
// that is too long for a word.
func (o *Output) exfiltrates(s string, kind linkKind) bool {
	const longQuery, longPiece = 48, 40
	u, err := url.Parse(strings.ReplaceAll(s, "&amp;", "&"))
	if err != nil {
		return true // browsers are less strict
	}
	if o.allows(strings.ToLower(u.Hostname())) {
		return false
	}
	if kind == image && u.RawQuery != "" || len(u.RawQuery) >= longQuery {
		return true
	}
	for piece := range strings.FieldsFuncSeq(u.Host+u.EscapedPath(), func(r rune) bool { return strings.ContainsRune("/.-_", r) }) {
		if len(piece) >= longPiece && strings.Trim(strings.ToLower(piece), "0123456789abcdef") != "" {
			return true // and not the hash of a file
		}
	}
	return false
}

func (o *Output) allows(host string) bool {
	for _, h := range o.cfg.AllowedHosts {
		if host == h || h[0] == '.' && strings.HasSuffix(host, h) {
			return true
		}
	}
	return false
}
