package sanitize

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"github.com/sparkhttp/spark/problem"
)

// Mode is what a [Guard] does with its verdicts. Whatever the mode, texts are
// cleaned and limits hold.
type Mode uint8

// The modes.
const (
	// ModeBlock refuses texts with the verdict Block and notes those with Warn
	// on the context.
	ModeBlock Mode = iota
	// ModeWarn refuses no text for its verdict: Block becomes Warn.
	ModeWarn
	// ModeShadow tells OnText what ModeBlock would do, and nothing else.
	ModeShadow
	// ModeOff does not detect.
	ModeOff
)

// String returns "block", "warn", "shadow" or "off".
func (m Mode) String() string {
	switch m {
	case ModeBlock:
		return "block"
	case ModeWarn:
		return "warn"
	case ModeShadow:
		return "shadow"
	case ModeOff:
		return "off"
	}
	return "mode " + strconv.Itoa(int(m))
}

// GuardConfig configures a [Guard]. Fields is required.
type GuardConfig struct {
	// Fields are JSON pointers (RFC 6901) to where text of users lives in the
	// bodies of requests, such as "/prompt" and "/messages/*/content"; a "*"
	// stands for any member or element. Required, at most 64.
	//
	// A field may be a string, or an array or object of parts as the APIs of
	// Anthropic and OpenAI have them: then the strings in their members text,
	// content, output, title and context are meant, and in source if that is
	// text. Names are compared without regard to case, as encoding/json does. A
	// field that is missing, or something else, is not an error.
	Fields []string
	// Sanitizer looks at each text. Nil means a [Scanner] with its defaults.
	Sanitizer Sanitizer
	// Mode chooses the mode for a request, by its route for example. Nil means
	// ModeBlock.
	Mode func(*http.Request) Mode
	// StrictRoles are roles of messages and types of parts in whose texts
	// nobody has a reason to give orders: there, the verdict Warn counts as
	// Block. Nil means those of tool results ("tool", "tool_result",
	// "function_call_output" and the like); an empty list means none.
	StrictRoles []string
	// InsecureExemptRoles are roles, such as "system", whose texts are cleaned
	// and limited but not judged. It is insecure where clients choose the role:
	// then an attack only has to call itself a system message. Default none.
	InsecureExemptRoles []string
	// Body reads and checks the body of requests. Nil means a [BodyLimit] with
	// its defaults. A body that a BodyLimit further out has read is not read
	// again.
	Body *BodyLimit
	// OnText is told what was found in each text, whatever the mode. Nil means
	// nobody is told.
	OnText func(context.Context, TextEvent)
	// ErrorHandler answers refused requests. Nil writes problem documents
	// ([problem.Write]).
	ErrorHandler func(http.ResponseWriter, *http.Request, error)
}

// TextEvent tells what a [Guard] found in one text. It holds nothing of the
// text but how long it is.
type TextEvent struct {
	// Pointer is where the text is (see [Passage]), and Role whose it is.
	Pointer, Role string
	// Mode is that of the request, and Verdict what the text deserved: in
	// ModeShadow and ModeWarn it may be Block though the request passed.
	Mode    Mode
	Verdict Verdict
	Score   float64
	// Findings and Removed are those of the [Result].
	Findings []Finding
	Removed  []Removal
	// Bytes is the length of the text.
	Bytes int
	// Err is why the text could not be looked at, such as a [*LimitError], or
	// why the Judge gave no opinion.
	Err error
}

// Guard is a middleware that sanitizes the texts of users in JSON requests: the
// handler reads them cleaned, and everything else in the body byte for byte as
// the client sent it.
//
// A body that is not JSON is refused as [BodyLimit] describes it; a request
// without one passes. Refused texts are answered with a 422 that names the
// family of the attack, and nothing that would help to get past.
type Guard struct {
	cfg      GuardConfig
	patterns []pattern
	roles    roles
	judged   bool // the Sanitizer may ask a Judge
}

// NewGuard returns a Guard, or an error that names the field of cfg that is
// wrong.
func NewGuard(cfg GuardConfig) (*Guard, error) {
	if len(cfg.Fields) == 0 || len(cfg.Fields) > maxPatterns {
		return nil, fmt.Errorf("sanitize: Fields holds %d pointers, want 1 to %d", len(cfg.Fields), maxPatterns)
	}
	g := &Guard{cfg: cfg, roles: roles{exempt: cfg.InsecureExemptRoles, strict: cfg.StrictRoles}}
	for _, f := range cfg.Fields {
		p, err := parsePattern(f)
		if err != nil {
			return nil, err
		}
		g.patterns = append(g.patterns, p)
	}
	if g.roles.strict == nil {
		g.roles.strict = defaultStrict
	}
	var err error
	if g.cfg.Sanitizer == nil {
		if g.cfg.Sanitizer, err = New(Config{}); err != nil {
			return nil, err
		}
	}
	scanner, ok := g.cfg.Sanitizer.(*Scanner)
	g.judged = !ok || scanner.cfg.Judge != nil
	if g.cfg.Body == nil {
		if g.cfg.Body, err = NewBodyLimit(BodyLimitConfig{}); err != nil {
			return nil, err
		}
	}
	if g.cfg.ErrorHandler == nil {
		g.cfg.ErrorHandler = problem.Write
	}
	return g, nil
}

// Check sanitizes the texts in body, a JSON document, and returns the body to
// pass on and what there is to say about it. It returns body itself if no text
// changed. The error is a [*Refusal], a [*LimitError] or another one that
// implements [problem.Shower], or one of the Sanitizer's.
func (g *Guard) Check(ctx context.Context, body []byte, mode Mode) ([]byte, Report, error) {
	f := finder{patterns: g.patterns, roles: &g.roles}
	if err := g.cfg.Body.document(body, &f); err != nil {
		return nil, Report{}, err
	}
	if g.judged {
		ctx = context.WithValue(ctx, budgetKey{}, new(budget))
	}
	var report Report
	var out []byte
	from := 0
	for i := range f.texts {
		t := &f.texts[i]
		text := string(unescape(body[t.at.start:t.at.end]))
		r, err := g.text(ctx, &f, t, text, mode)
		if err != nil {
			return nil, report, err
		}
		report.add(&f, t, r, mode)
		if len(r.Removed) > 0 || r.Text != text {
			out = append(out, body[from:t.at.start-1]...)
			out = appendString(out, r.Text)
			from = t.at.end + 1
		}
	}
	if from == 0 {
		return body, report, nil
	}
	return append(out, body[from:]...), report, nil
}

// Handler lets next read requests with cleaned texts, with what there is to say
// about them on the context ([FromContext]).
func (g *Guard) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, report, err := g.request(r)
		if err != nil {
			refuseBody(w, r, err)
			g.cfg.ErrorHandler(w, r, err)
			return
		}
		serveBody(NewContext(r.Context(), report), w, r, next, body)
	})
}

func (g *Guard) request(r *http.Request) (*checkedBody, Report, error) {
	body, err := g.cfg.Body.read(r, false)
	if err != nil || body == nil {
		return nil, Report{}, err
	}
	if !body.json {
		return nil, Report{}, errMediaType // a handler that reads it as JSON would read it unchecked
	}
	mode := ModeBlock
	if g.cfg.Mode != nil {
		mode = g.cfg.Mode(r)
	}
	data, report, err := g.Check(r.Context(), body.data, mode)
	if err != nil {
		return nil, report, err
	}
	if &data[0] != &body.data[0] { // a BodyLimit further out has the other one
		body = &checkedBody{data: data, json: true}
	}
	return body, report, nil
}

// text looks at one text and decides about it.
func (g *Guard) text(ctx context.Context, f *finder, t *passage, text string, mode Mode) (Result, error) {
	detect := mode != ModeOff && (!t.exempt || t.roles == 0 || t.strict)
	r, err := g.sanitize(ctx, text, detect)
	if limit, ok := errors.AsType[*LimitError](err); ok {
		located := *limit
		located.Pointer = f.pointer(t)
		err = &located
	}
	if t.strict && r.Verdict == Warn && !r.Judged {
		r.Verdict = Block
	}
	if g.cfg.OnText != nil {
		e := TextEvent{
			Pointer: f.pointer(t), Role: t.role, Mode: mode, Verdict: r.Verdict, Score: r.Score,
			Findings: r.Findings, Removed: r.Removed, Bytes: len(text), Err: err,
		}
		if err == nil {
			e.Err = r.JudgeErr
		}
		g.cfg.OnText(ctx, e)
	}
	if err == nil && r.Verdict == Block && mode == ModeBlock {
		err = &Refusal{Family: r.Family(), Pointer: f.pointer(t), Result: r}
	}
	return r, err
}

// sanitize cleans text, and judges it if that is wanted.
func (g *Guard) sanitize(ctx context.Context, text string, detect bool) (Result, error) {
	if detect {
		return g.cfg.Sanitizer.Sanitize(ctx, text)
	}
	if c, ok := g.cfg.Sanitizer.(interface{ Clean(string) (Result, error) }); ok {
		return c.Clean(text)
	}
	cleaned, removed := Clean(text)
	return Result{Text: cleaned, Removed: removed}, Limits{}.withDefaults().check(text)
}

// Refusal is the error for a text with the verdict Block. Its problem document
// has the status 422 and the family as member "family".
type Refusal struct {
	// Family is that of the weightiest finding. It may be empty.
	Family string
	// Pointer is where the text is (see [Passage]).
	Pointer string
	// Result is what was found. It is not for the client.
	Result Result
}

func (e *Refusal) Error() string { return "sanitize: text refused: " + e.Family }

// Problem implements [problem.Shower].
func (e *Refusal) Problem() *problem.Document {
	d := &problem.Document{
		Status: http.StatusUnprocessableEntity,
		Detail: "The text was refused because it looks like an attack on the model.",
	}
	if e.Family != "" {
		d.Members = map[string]any{"family": e.Family}
	}
	return d
}
