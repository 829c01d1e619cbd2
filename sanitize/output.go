package sanitize

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/sparkhttp/spark/internal/response"
	"github.com/sparkhttp/spark/problem"
)

// Action is what an [Output] does about a leak.
type Action uint8

// The actions.
const (
	// Redact overwrites the leak with asterisks, as many as it has bytes, so that
	// the length of the response and its framing stay.
	Redact Action = iota
	// Abort ends the response: with a problem document (502) if nothing of it
	// has been sent, else by breaking it off, so that it looks truncated.
	Abort
	// Observe tells OnLeak, and nothing else.
	Observe
	// Ignore does not look.
	Ignore
)

// String returns "redact", "abort", "observe" or "ignore".
func (a Action) String() string {
	switch a {
	case Redact:
		return "redact"
	case Abort:
		return "abort"
	case Observe:
		return "observe"
	case Ignore:
		return "ignore"
	}
	return "action " + strconv.Itoa(int(a))
}

// OutputConfig configures an [Output]. The zero value redacts secrets and links
// that carry data away.
type OutputConfig struct {
	// Action chooses what is done about leaks in the response to a request. Nil
	// means Redact.
	Action func(*http.Request) Action
	// Canaries are strings that no answer may hold, such as a random word that
	// was put into the system prompt; at least 8 bytes each. Case makes no
	// difference.
	Canaries []string
	// Prompts are confidential texts, such as system prompts. An answer leaks
	// one if it repeats 40 or more letters and digits of it in a row, whatever
	// their case and what is between them. At least 40 each: use Canaries for
	// what is shorter.
	Prompts []string
	// AllowedHosts are hosts that links and images may carry data to; one that
	// begins with a dot stands for all its subdomains. Default none.
	AllowedHosts []string
	// Members are names of members that hold text in the events of a stream,
	// besides those of the APIs of Anthropic and OpenAI ("text", "content",
	// "delta" and the like).
	Members []string
	// Disabled lists rules that are not looked for: see [Leak].
	Disabled []string
	// OnLeak is told of every leak, whatever the action. Nil means nobody is.
	OnLeak func(context.Context, Leak)
	// ErrorHandler answers for a response that was aborted before anything of it
	// was sent. Nil writes a problem document ([problem.Write]).
	ErrorHandler func(http.ResponseWriter, *http.Request, error)
}

// Leak is something that should not leave. It says where, and never repeats
// what is there.
type Leak struct {
	// Rule is one of "secret.openai", "secret.anthropic", "secret.aws",
	// "secret.github", "secret.gitlab", "secret.google", "secret.slack",
	// "secret.stripe", "secret.npm", "secret.huggingface", "secret.private-key",
	// "exfiltration.image", "exfiltration.link", "prompt.canary" and
	// "prompt.text".
	Rule string
	// Offset is the byte offset of the leak in the body.
	Offset int64
	// Length is how many bytes of it were recognised at once. More may follow,
	// and is treated like them.
	Length int
	// Action is what is done about it.
	Action Action
}

// Output is a middleware that looks at responses for what should not leave:
// secrets, links and images that carry data to other hosts when they are shown,
// and confidential prompts.
//
// It keeps streams streaming: only what may be the beginning of a leak is held
// back until that is decided, at most a few KiB. Text is followed across writes,
// and in server-sent events across events, in whose JSON it is split into
// tokens. Responses are looked at if they are text, JSON or events by their
// Content-Type, and have no Content-Encoding.
type Output struct {
	cfg     OutputConfig
	secrets []secret
	begins  [256]uint8 // which bytes secrets begin with: atWord, anywhere
	links   [2]bool    // by linkKind: images, links
	prompts []prompt
	grams   map[uint64][]gramAt
	filter  *[1024]uint64 // of bits for the keys of grams
}

// NewOutput returns an Output, or an error that names the field of cfg that is
// wrong.
func NewOutput(cfg OutputConfig) (*Output, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	if cfg.ErrorHandler == nil {
		cfg.ErrorHandler = problem.Write
	}
	o := &Output{cfg: cfg}
	for _, s := range secrets {
		o.addSecret(s)
	}
	for _, c := range cfg.Canaries {
		o.addSecret(secret{rule: ruleCanary, prefix: lowerASCII(c), fold: true})
	}
	for kind, id := range linkRules {
		o.links[kind] = !slices.Contains(cfg.Disabled, id)
	}
	for _, p := range cfg.Prompts {
		if err := o.addPrompt(p); err != nil {
			return nil, err
		}
	}
	return o, nil
}

func (cfg *OutputConfig) check() error {
	for _, id := range cfg.Disabled {
		if !outputRule(id) {
			return fmt.Errorf("sanitize: Disabled names %q, which is no rule for output", id)
		}
	}
	for _, c := range cfg.Canaries {
		if len(c) < 8 {
			return fmt.Errorf("sanitize: Canaries holds one of %d bytes, want at least 8", len(c))
		}
	}
	for _, m := range cfg.Members {
		if m == "" || len(m) >= maxMember {
			return fmt.Errorf("sanitize: Members holds a name of %d bytes, want 1 to %d", len(m), maxMember-1)
		}
	}
	for _, h := range cfg.AllowedHosts {
		if h == "" || h != strings.ToLower(h) || strings.ContainsAny(h, "/:@ ") {
			return fmt.Errorf("sanitize: AllowedHosts holds %q, want a host in lower case without port", h)
		}
	}
	return nil
}

// addSecret looks for s, too, unless its rule is disabled.
func (o *Output) addSecret(s secret) {
	if slices.Contains(o.cfg.Disabled, s.rule) {
		return
	}
	o.secrets = append(o.secrets, s)
	b := s.prefix[0]
	if !s.fold {
		o.begins[b] |= atWord
		return
	}
	o.begins[b] |= anywhere
	if b >= 'a' && b <= 'z' {
		o.begins[b-0x20] |= anywhere
	}
}

// outputRule reports whether there is a rule for output with this id.
func outputRule(id string) bool {
	if id == ruleCanary || id == rulePrompt || id == linkRules[image] || id == linkRules[link] {
		return true
	}
	return slices.ContainsFunc(secrets, func(s secret) bool { return s.rule == id })
}

// Scan returns text with its leaks overwritten by asterisks, and the leaks.
func (o *Output) Scan(text string) (string, []Leak) {
	var leaks []Leak
	w := newWindow(o, plainText, Redact, func(l Leak) { leaks = append(leaks, l) })
	w.feed([]byte(text))
	w.finish()
	if len(leaks) == 0 {
		return text, nil
	}
	return string(w.raw), leaks
}

// Handler looks at what next answers.
func (o *Output) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		action := Redact
		if o.cfg.Action != nil {
			action = o.cfg.Action(r)
		}
		if action == Ignore {
			next.ServeHTTP(w, r)
			return
		}
		out := &outputWriter{w: w, r: r, o: o, action: action}
		next.ServeHTTP(out, r)
		out.finish()
	})
}

// leakError is why a response was aborted.
type leakError struct{ rule string }

func (e *leakError) Error() string { return "sanitize: response aborted: " + e.rule }

// Problem implements [problem.Shower].
func (*leakError) Problem() *problem.Document {
	return &problem.Document{Status: http.StatusBadGateway, Detail: "The answer was withheld because it held something confidential."}
}

// outputWriter passes a response on as far as it is known to be harmless.
type outputWriter struct {
	w      http.ResponseWriter
	r      *http.Request
	o      *Output
	action Action
	win    *window // nil if the response is not looked at
	status int     // 0 until the handler has chosen one
	header http.Header
	sent   bool // the header is
	err    error
}

// Header implements [http.ResponseWriter].
func (o *outputWriter) Header() http.Header { return o.w.Header() }

// Unwrap is for [http.ResponseController].
func (o *outputWriter) Unwrap() http.ResponseWriter { return o.w }

// WriteHeader implements [http.ResponseWriter].
func (o *outputWriter) WriteHeader(status int) {
	if status >= 100 && status < 200 && status != http.StatusSwitchingProtocols {
		o.w.WriteHeader(status)
		return
	}
	if o.status != 0 {
		return
	}
	o.begin(status)
	if o.action != Abort || o.win == nil {
		o.send()
	}
}

// begin notes the status, and decides by the header whether to look at the body.
func (o *outputWriter) begin(status int) {
	o.status = status
	h := o.w.Header()
	f, ok := framingOf(h)
	if !ok {
		return
	}
	o.win = newWindow(o.o, f, o.action, o.leak)
	if o.action == Abort {
		o.header = h.Clone() // what is set from now on is too late
	}
}

// send sends the header that was noted.
func (o *outputWriter) send() {
	if o.sent {
		return
	}
	o.sent = true
	o.restore()
	o.w.WriteHeader(o.status)
}

// restore undoes what was set after the header was noted, trailers aside.
func (o *outputWriter) restore() {
	if o.header == nil {
		return
	}
	h := o.w.Header()
	for name := range h {
		if _, ok := o.header[name]; !ok && !strings.HasPrefix(name, http.TrailerPrefix) {
			delete(h, name)
		}
	}
	maps.Copy(h, o.header)
}

// Write implements [http.ResponseWriter].
func (o *outputWriter) Write(p []byte) (int, error) {
	if o.status == 0 {
		if h := o.w.Header(); h.Get("Content-Type") == "" && h.Get("Content-Encoding") == "" && len(p) > 0 {
			h.Set("Content-Type", http.DetectContentType(p)) // of the whole, not of what is let through first
		}
		o.begin(http.StatusOK)
		if o.action != Abort || o.win == nil {
			o.send()
		}
	}
	if o.err != nil {
		return 0, o.err
	}
	if o.win == nil {
		return o.w.Write(p)
	}
	for rest := p; o.err == nil && len(rest) > 0; {
		part := rest
		if o.action != Abort { // which can still answer with a problem document if it sees all of a short response first
			part = rest[:min(len(rest), maxPart)]
		}
		o.win.feed(part)
		if o.err == nil {
			o.pass()
		}
		rest = rest[len(part):]
	}
	if o.err != nil {
		return 0, o.err
	}
	return len(p), nil
}

// maxPart is how many bytes are looked at together: that takes some 20 times as many.
const maxPart = 16 << 10

// pass writes what is known to be harmless.
func (o *outputWriter) pass() {
	if safe := o.win.safe(); len(safe) > 0 {
		o.send()
		_, o.err = o.w.Write(safe)
		o.win.release(len(safe))
	}
}

// Flush implements [http.Flusher].
func (o *outputWriter) Flush() { _ = o.FlushError() }

// FlushError is Flush for [http.ResponseController]. What is held back stays.
func (o *outputWriter) FlushError() error {
	if o.status == 0 {
		o.begin(http.StatusOK)
	}
	if o.err != nil {
		return o.err
	}
	o.send()
	return http.NewResponseController(o.w).Flush()
}

// finish lets go what was held back: the response is at its end.
func (o *outputWriter) finish() {
	if o.status == 0 || o.err != nil {
		return
	}
	if o.win != nil {
		o.win.finish()
		if o.err == nil {
			o.pass()
		}
	}
	if o.err == nil {
		o.send()
	}
}

// leak is told of a leak by the window.
func (o *outputWriter) leak(l Leak) {
	if o.o.cfg.OnLeak != nil {
		o.o.cfg.OnLeak(o.r.Context(), l)
	}
	if o.action != Abort || o.err != nil {
		return
	}
	err := &leakError{l.Rule}
	o.err = err
	if !o.sent {
		o.sent = true
		o.restore()
		o.o.cfg.ErrorHandler(o.w, o.r, err)
		return
	}
	if rec := response.Of(o.w); rec != nil {
		rec.Fail(err)
	}
	panic(http.ErrAbortHandler)
}
