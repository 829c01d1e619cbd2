// Package provider calls the AI providers that the generate server stands on.
package provider

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/sparkhttp/spark/problem"
)

// Ask is what a provider is asked for.
type Ask struct {
	Prompt      string
	Model       string
	MaxTokens   int
	Temperature *float64 // nil: the provider's default
	Stream      bool     // ask the provider to stream
}

// Answer is what a provider says beside the text.
type Answer struct {
	Model        string `json:"model"`
	FinishReason string `json:"finish_reason"` // stop, length, or what the provider said
	Usage        Usage  `json:"usage"`
}

// Usage counts tokens.
type Usage struct {
	Input  int `json:"input_tokens"`
	Output int `json:"output_tokens"`
}

// Provider produces answers.
type Provider interface {
	// Model is the model to ask for where a client names none.
	Model() string
	// Generate passes the text of the answer to emit, piece by piece as it
	// comes, and returns the rest; after an error too, as far as it is known.
	// If emit fails, Generate stops and returns that error. A provider that
	// answers with an error is an *Error, one that breaks off in the middle is
	// [io.ErrUnexpectedEOF].
	Generate(ctx context.Context, ask Ask, emit func(text string) error) (Answer, error)
}

// Owner returns the provider that has the model of a name, if that can be told.
func Owner(model string) string {
	for prefix, owner := range map[string]string{
		"claude": "claude", "gpt": "openai", "chatgpt": "openai", "o1": "openai", "o3": "openai", "o4": "openai",
	} {
		if strings.HasPrefix(model, prefix) {
			return owner
		}
	}
	return ""
}

// Error is what a provider answered in place of an answer. What it said is not
// kept: it may repeat the prompt.
type Error struct {
	Status     int    // 0 if the error came as an event of a stream that began well
	RetryAfter string // seconds, if the provider said so
}

// fromResponse makes an Error of a response. A status of 200 is that of a stream
// which failed later.
func fromResponse(status int, resp *http.Response) *Error {
	e := &Error{}
	if status >= 400 {
		e.Status = status
	}
	if resp != nil {
		if n, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && n > 0 {
			e.RetryAfter = strconv.Itoa(n)
		}
	}
	return e
}

func (e *Error) Error() string {
	if e.Status == 0 {
		return "provider sent an error event"
	}
	return fmt.Sprintf("provider answered with status %d", e.Status)
}

// SetHeader sets what the provider said about another try.
func (e *Error) SetHeader(h http.Header) {
	if e.RetryAfter != "" {
		h.Set("Retry-After", e.RetryAfter)
	}
}

// Problem implements [problem.Shower]: whose fault it was decides the status.
func (e *Error) Problem() *problem.Document {
	switch e.Status {
	case http.StatusBadRequest, http.StatusNotFound, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity:
		return &problem.Document{Status: http.StatusUnprocessableEntity, Detail: "The provider does not accept this request. Check the model and its limits."}
	case http.StatusTooManyRequests, http.StatusServiceUnavailable, 529:
		return &problem.Document{Status: http.StatusServiceUnavailable, Detail: "The provider is overloaded. Try again soon."}
	default:
		return &problem.Document{Status: http.StatusBadGateway, Detail: "The provider failed to answer."}
	}
}

// errCut is the end of an answer that said nothing of ending.
var errCut = problem.With(fmt.Errorf("provider broke off its answer: %w", io.ErrUnexpectedEOF),
	&problem.Document{Status: http.StatusBadGateway, Detail: "The provider broke off its answer. Try again."})

// broken makes the error of a call that failed on the way an error that clients
// may see: the provider could not be reached, or what it sent is no answer.
func broken(ctx context.Context, err error) error {
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return errCut
	default:
		return problem.With(err, &problem.Document{Status: http.StatusBadGateway, Detail: "The provider failed to answer."})
	}
}
