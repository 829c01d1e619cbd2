package provider

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
	"github.com/openai/openai-go/v3/packages/ssestream"
)

// OpenAI asks OpenAI's Chat Completions API.
type OpenAI struct {
	client openai.Client
	model  string
}

// NewOpenAI returns the provider for a key, like [NewClaude].
func NewOpenAI(key, base, model string, client *http.Client) *OpenAI {
	opts := []option.RequestOption{option.WithAPIKey(key), option.WithHTTPClient(client), option.WithMaxRetries(0)}
	if base != "" {
		opts = append(opts, option.WithBaseURL(base))
	}
	if model == "" {
		model = openai.ChatModelGPT5_4Mini
	}
	return &OpenAI{client: openai.NewClient(opts...), model: model}
}

// Model implements [Provider].
func (o *OpenAI) Model() string { return o.model }

// Generate implements [Provider].
func (o *OpenAI) Generate(ctx context.Context, ask Ask, emit func(string) error) (Answer, error) {
	params := openai.ChatCompletionNewParams{
		Model:               ask.Model,
		MaxCompletionTokens: openai.Int(int64(ask.MaxTokens)),
		Messages:            []openai.ChatCompletionMessageParamUnion{openai.UserMessage(ask.Prompt)},
	}
	if ask.Temperature != nil {
		params.Temperature = openai.Float(*ask.Temperature)
	}
	if ask.Stream {
		return o.stream(ctx, params, emit)
	}
	done, err := o.client.Chat.Completions.New(ctx, params)
	if err != nil {
		return Answer{}, openaiError(ctx, err)
	}
	if len(done.Choices) == 0 {
		return Answer{}, errCut
	}
	if text := done.Choices[0].Message.Content; text != "" {
		if err := emit(text); err != nil {
			return Answer{}, err
		}
	}
	return Answer{
		done.Model, done.Choices[0].FinishReason,
		Usage{int(done.Usage.PromptTokens), int(done.Usage.CompletionTokens)},
	}, nil
}

func (o *OpenAI) stream(ctx context.Context, params openai.ChatCompletionNewParams, emit func(string) error) (Answer, error) {
	var answer Answer
	params.StreamOptions.IncludeUsage = openai.Bool(true)
	stream := o.client.Chat.Completions.NewStreaming(ctx, params)
	defer func() { _ = stream.Close() }()
	for stream.Next() {
		chunk := stream.Current()
		answer.Model = chunk.Model
		if chunk.Usage.TotalTokens > 0 {
			answer.Usage = Usage{int(chunk.Usage.PromptTokens), int(chunk.Usage.CompletionTokens)}
		}
		if len(chunk.Choices) == 0 {
			continue
		}
		if reason := chunk.Choices[0].FinishReason; reason != "" {
			answer.FinishReason = reason
		}
		if text := chunk.Choices[0].Delta.Content; text != "" {
			if err := emit(text); err != nil {
				return answer, err
			}
		}
	}
	switch err := stream.Err(); {
	case err != nil:
		return answer, openaiError(ctx, err)
	case answer.FinishReason == "":
		return answer, broken(ctx, errCut)
	default:
		return answer, nil
	}
}

func openaiError(ctx context.Context, err error) error {
	if e, ok := errors.AsType[*openai.Error](err); ok {
		return fromResponse(e.StatusCode, e.Response, e.RawJSON())
	}
	if e, ok := errors.AsType[*ssestream.StreamError](err); ok {
		return &Error{Body: e.Event.Data}
	}
	return broken(ctx, err)
}

// fromResponse makes an Error of what an SDK says of a response. A status of
// 200 is that of a stream which failed later.
func fromResponse(status int, resp *http.Response, body string) *Error {
	e := &Error{Body: []byte(body)}
	if status >= 400 {
		e.Status = status
	}
	if resp != nil {
		e.Header = resp.Header
	}
	return e
}

// timeLeft is the time until the deadline of ctx, an hour if it has none.
func timeLeft(ctx context.Context) time.Duration {
	if deadline, ok := ctx.Deadline(); ok {
		return time.Until(deadline)
	}
	return time.Hour
}
