// Package provider calls the AI providers that the generate server stands on.
package provider

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/sparkhttp/spark/problem"
)

// Ask is what a provider is asked for.
type Ask struct {
	Prompt      string
	Model       string // empty: the provider's default
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
	// Model is the model used where an Ask names none.
	Model() string
	// Generate passes the text of the answer to emit, piece by piece as it
	// comes, and returns the rest; after an error too, as far as it is known.
	// If emit fails, Generate stops and returns that error. A provider that
	// answers with an error is an *Error, one that breaks off in the middle is
	// [io.ErrUnexpectedEOF].
	Generate(ctx context.Context, ask Ask, emit func(text string) error) (Answer, error)
}

// Error is what a provider answered in place of an answer.
type Error struct {
	Status int // 0 if the error came as an event of a stream that began well
	Header http.Header
	Body   []byte
}

// Error says no more than the status: the body may repeat the prompt.
func (e *Error) Error() string {
	if e.Status == 0 {
		return "provider sent an error event"
	}
	return fmt.Sprintf("provider answered with status %d", e.Status)
}

// Problem implements [problem.Shower]: whose fault it was decides the status,
// and what the provider said stays inside.
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

// errCut is the end of a stream that said nothing of ending.
var errCut error = cutError{}

type cutError struct{}

func (cutError) Error() string { return "provider broke off its answer" }
func (cutError) Unwrap() error { return io.ErrUnexpectedEOF }
func (cutError) Problem() *problem.Document {
	return &problem.Document{Status: http.StatusBadGateway, Detail: "The provider broke off its answer. Try again."}
}

// broken makes the error of a call that failed on the way an error that says
// no more of the request than what went wrong.
func broken(ctx context.Context, err error) error {
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return errCut
	default:
		return err
	}
}
