package provider

import (
	"context"
	"math/rand/v2"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/sparkhttp/spark/breaker"
)

// Local answers from the prompt alone, the same each time, and needs nothing.
// Its faults show what a service does when a provider is in trouble.
type Local struct{ faults Faults }

// Faults are the troubles that Local can have. The zero value has none.
type Faults struct {
	Latency  time.Duration // before the first token
	Gap      time.Duration // between tokens
	Status   int           // answer with this status, such as 503, or 529 for an overload
	CutAfter int           // break off after so many tokens
	Hang     bool          // say nothing until the caller gives up
	Spared   float64       // the share of calls that Status, CutAfter and Hang do not strike
}

// NewLocal returns a provider with the given faults.
func NewLocal(f Faults) *Local { return &Local{f} }

// Model implements [Provider].
func (*Local) Model() string { return "echo-1" }

// Generate implements [Provider].
func (l *Local) Generate(ctx context.Context, ask Ask, emit func(string) error) (Answer, error) {
	faults := l.faults
	if rand.Float64() < faults.Spared { // #nosec G404 -- a fault may be guessed
		faults.Status, faults.CutAfter, faults.Hang = 0, 0, false
	}
	if faults.Hang {
		<-ctx.Done()
		return Answer{}, context.Cause(ctx)
	}
	if err := pause(ctx, faults.Latency); err != nil {
		return Answer{}, err
	}
	if faults.Status != 0 {
		// There is no response that a transport could judge.
		return Answer{}, breaker.WithOutcome(&Error{Status: faults.Status}, breaker.Anthropic(faults.Status, nil, nil))
	}
	answer := Answer{Model: ask.Model, FinishReason: "stop", Usage: Usage{Input: EstimateTokens(ask.Prompt)}}
	for i, token := range tokens(ask.Prompt) {
		switch {
		case faults.CutAfter > 0 && i == faults.CutAfter:
			return answer, errCut
		case i == ask.MaxTokens:
			answer.FinishReason = "length"
			return answer, nil
		case i > 0:
			if err := pause(ctx, faults.Gap); err != nil {
				return answer, err
			}
		}
		if err := emit(token); err != nil {
			return answer, err
		}
		answer.Usage.Output++
	}
	return answer, nil
}

// tokens is the answer to a prompt.
func tokens(prompt string) []string {
	return strings.SplitAfter("You said: "+strings.TrimSpace(prompt), " ")
}

func pause(ctx context.Context, d time.Duration) error {
	if d > 0 {
		timer := time.NewTimer(d)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
		}
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return nil
}

// EstimateTokens guesses how many tokens a provider will count for text, rather
// too many than too few: a token of English is about four characters.
func EstimateTokens(text string) int {
	return utf8.RuneCountInString(text)/3 + 1
}
