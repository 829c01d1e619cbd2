// Command scan runs the prompt check of package sanitize over a corpus.
//
// It reads JSON lines {"text": …} on standard input, or with -plain lines of
// text, and writes for each of them, in order, a JSON line with
//
//	id       the id of the input line, if it has one
//	flagged  whether the text would be refused
//	score    how likely the text is an attack, 0 to 1
//	rules    the ids of the rules that speak against it
//	us       microseconds that it took
//	cleaned  the text without hidden characters, if that is another one
//	error    why the line could not be read; nothing else is meaningful then
//
// and a summary on standard error:
//
//	go run ./examples/scan < corpus.jsonl > results.jsonl
//
// The check has its default configuration, but no limit on the length of a
// text: a corpus is there to be judged, not to be refused.
package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/sparkhttp/spark/sanitize"
)

func main() {
	if err := run(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr); err != nil {
		if !errors.Is(err, flag.ErrHelp) {
			fmt.Fprintln(os.Stderr, "scan:", err)
		}
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, in io.Reader, out, log io.Writer) error {
	flags := flag.NewFlagSet("scan", flag.ContinueOnError)
	flags.SetOutput(log)
	plain := flags.Bool("plain", false, "read each line as a text, not as JSON")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q: texts are read from standard input", flags.Arg(0))
	}
	scanner, err := sanitize.New(sanitize.Config{Limits: sanitize.Limits{Runes: -1}})
	if err != nil {
		return err
	}
	c := corpus{scanner: scanner, plain: *plain}
	err = c.scan(ctx, bufio.NewReaderSize(in, 64<<10), bufio.NewWriter(out))
	c.summarize(log)
	if err == nil && c.unread > 0 {
		err = fmt.Errorf("%d lines could not be read", c.unread)
	}
	return err
}

// corpus scans lines and counts.
type corpus struct {
	scanner *sanitize.Scanner
	plain   bool
	lines   int
	flagged int
	unread  int
	bytes   int
	spent   time.Duration
}

// result is a line of the output.
type result struct {
	ID      json.RawMessage `json:"id,omitzero"`
	Flagged bool            `json:"flagged"`
	Score   float64         `json:"score"`
	Rules   []string        `json:"rules"`
	Micros  float64         `json:"us"`
	Cleaned *string         `json:"cleaned,omitzero"`
	Error   string          `json:"error,omitzero"`
}

func (c *corpus) scan(ctx context.Context, in *bufio.Reader, out *bufio.Writer) error {
	enc := json.NewEncoder(out)
	enc.SetEscapeHTML(false)
	var line []byte
	for {
		var err error
		line, err = readLine(in, line[:0])
		last := errors.Is(err, io.EOF)
		if err != nil && !last {
			return err
		}
		if c.wants(line, last) {
			if err := enc.Encode(c.line(ctx, line)); err != nil {
				return err
			}
		}
		// Who types lines, or pipes them slowly, sees each result at once.
		if last || in.Buffered() == 0 {
			if err := out.Flush(); err != nil {
				return err
			}
		}
		if last {
			return nil //nolint:nilerr // the input is at its end
		}
	}
}

// wants reports whether a line is to be scanned: nothing behind the last line
// break is no line, and white space is no JSON.
func (c *corpus) wants(line []byte, last bool) bool {
	if c.plain {
		return !last || len(line) > 0
	}
	return len(bytes.TrimSpace(line)) > 0
}

// readLine appends the next line, of any length, to buf, without its end.
func readLine(in *bufio.Reader, buf []byte) ([]byte, error) {
	for {
		part, err := in.ReadSlice('\n')
		buf = append(buf, part...)
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		if n := len(buf); n > 0 && buf[n-1] == '\n' {
			buf = bytes.TrimSuffix(buf[:n-1], []byte("\r"))
		}
		return buf, err
	}
}

// line scans one line of the input.
func (c *corpus) line(ctx context.Context, line []byte) result {
	c.lines++
	r := result{Rules: []string{}}
	text, id, err := c.parse(line)
	r.ID = id
	if err != nil {
		c.unread++
		r.Error = err.Error()
		return r
	}
	start := time.Now()
	found, err := c.scanner.Sanitize(ctx, text)
	took := time.Since(start)
	if err != nil {
		c.unread++
		r.Error = err.Error()
		return r
	}
	c.bytes += len(text)
	c.spent += took
	r.Micros = float64(took.Nanoseconds()) / 1e3
	r.Score = found.Score
	if r.Flagged = found.Verdict == sanitize.Block; r.Flagged {
		c.flagged++
	}
	r.Rules = rules(found.Findings)
	if found.Text != text {
		r.Cleaned = &found.Text
	}
	return r
}

// parse returns the text of a line, and its id as it is written there.
func (c *corpus) parse(line []byte) (text string, id json.RawMessage, err error) {
	if c.plain {
		return string(line), nil, nil
	}
	var in struct {
		ID   json.RawMessage `json:"id"`
		Text *string         `json:"text"`
	}
	if c.lines == 1 {
		line = bytes.TrimPrefix(line, []byte("\ufeff")) // which some programs put in front of a file
	}
	if err := json.Unmarshal(line, &in); err != nil {
		if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
			err = errors.New("found " + wrong.Value) // its own words are about our types
		}
		return "", in.ID, fmt.Errorf("line %d is not a JSON object with a text: %w", c.lines, err)
	}
	if in.Text == nil {
		return "", in.ID, fmt.Errorf(`line %d has no "text"`, c.lines)
	}
	return *in.Text, in.ID, nil
}

// rules returns the id of each rule in findings once, in their order.
func rules(findings []sanitize.Finding) []string {
	ids := make([]string, 0, len(findings))
	seen := make(map[string]bool, len(findings))
	for _, f := range findings {
		if !seen[f.Rule] {
			seen[f.Rule] = true
			ids = append(ids, f.Rule)
		}
	}
	return ids
}

func (c *corpus) summarize(log io.Writer) {
	rate := 0.0
	if c.spent > 0 {
		rate = float64(c.bytes) / 1e6 / c.spent.Seconds()
	}
	_, _ = fmt.Fprintf(log, "%d lines, %d flagged, %.1f MB/s\n", c.lines, c.flagged, rate)
}
