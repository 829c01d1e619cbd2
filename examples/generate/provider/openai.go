package provider

import (
	"cmp"
	"context"
	"errors"
	"net/http"

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
	return &OpenAI{openai.NewClient(opts...), cmp.Or(model, openai.ChatModelGPT5_4Mini)}
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
	if len(done.Choices) == 0 || done.Choices[0].FinishReason == "" {
		return Answer{}, errCut
	}
	choice := done.Choices[0]
	if text := cmp.Or(choice.Message.Content, choice.Message.Refusal); text != "" {
		if err := emit(text); err != nil {
			return Answer{}, err
		}
	}
	return Answer{
		done.Model, openaiReason(choice.FinishReason, choice.Message.Refusal),
		Usage{int(done.Usage.PromptTokens), int(done.Usage.CompletionTokens)},
	}, nil
}

func (o *OpenAI) stream(ctx context.Context, params openai.ChatCompletionNewParams, emit func(string) error) (answer Answer, err error) {
	params.StreamOptions.IncludeUsage = openai.Bool(true)
	stream := o.client.Chat.Completions.NewStreaming(ctx, params)
	defer func() { _ = stream.Close() }()
	refusal := ""
	for stream.Next() {
		chunk := stream.Current()
		answer.Model = chunk.Model
		if chunk.Usage.TotalTokens > 0 {
			answer.Usage = Usage{int(chunk.Usage.PromptTokens), int(chunk.Usage.CompletionTokens)}
		}
		if len(chunk.Choices) == 0 {
			continue
		}
		choice := chunk.Choices[0]
		refusal = cmp.Or(refusal, choice.Delta.Refusal)
		answer.FinishReason = cmp.Or(answer.FinishReason, choice.FinishReason)
		if text := cmp.Or(choice.Delta.Content, choice.Delta.Refusal); text != "" {
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
		answer.FinishReason = openaiReason(answer.FinishReason, refusal)
		return answer, nil
	}
}

// openaiReason is the reason that OpenAI gives, but for refusals, which it ends
// like answers.
func openaiReason(reason, refusal string) string {
	if refusal != "" {
		return "refusal"
	}
	return reason
}

func openaiError(ctx context.Context, err error) error {
	if e, ok := errors.AsType[*openai.Error](err); ok {
		return fromResponse(e.StatusCode, e.Response)
	}
	if _, ok := errors.AsType[*ssestream.StreamError](err); ok {
		return &Error{}
	}
	return broken(ctx, err)
}
