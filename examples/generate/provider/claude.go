package provider

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/anthropics/anthropic-sdk-go"
	"github.com/anthropics/anthropic-sdk-go/option"
)

// Claude asks Anthropic's Messages API.
type Claude struct {
	client anthropic.Client
	model  string
}

// NewClaude returns the provider for a key. base overrides the API's address,
// model the default model, if not empty. Retries are the caller's, not the SDK's.
func NewClaude(key, base, model string, client *http.Client) *Claude {
	opts := []option.RequestOption{option.WithAPIKey(key), option.WithHTTPClient(client), option.WithMaxRetries(0)}
	if base != "" {
		opts = append(opts, option.WithBaseURL(base))
	}
	return &Claude{anthropic.NewClient(opts...), cmp.Or(model, anthropic.ModelClaudeSonnet5_5)}
}

// Model implements [Provider].
func (c *Claude) Model() string { return c.model }

// Generate implements [Provider].
func (c *Claude) Generate(ctx context.Context, ask Ask, emit func(string) error) (Answer, error) {
	params := anthropic.MessageNewParams{
		Model:     ask.Model,
		MaxTokens: int64(ask.MaxTokens),
		Messages:  []anthropic.MessageParam{anthropic.NewUserMessage(anthropic.NewTextBlock(ask.Prompt))},
	}
	if ask.Temperature != nil {
		params.Temperature = anthropic.Float(*ask.Temperature)
	}
	if ask.Stream {
		return c.stream(ctx, params, emit)
	}
	// The SDK refuses long answers that are no streams, unless it is told of a timeout.
	timeout := time.Hour
	if deadline, ok := ctx.Deadline(); ok {
		timeout = time.Until(deadline)
	}
	msg, err := c.client.Messages.New(ctx, params, option.WithRequestTimeout(timeout))
	if err != nil {
		return Answer{}, claudeError(ctx, err)
	}
	for _, block := range msg.Content {
		if block.Type == "text" && block.Text != "" {
			if err := emit(block.Text); err != nil {
				return Answer{}, err
			}
		}
	}
	answer := Answer{msg.Model, claudeReason(msg.StopReason), Usage{int(msg.Usage.InputTokens), int(msg.Usage.OutputTokens)}}
	if answer.FinishReason == "" {
		return answer, errCut
	}
	return answer, nil
}

func (c *Claude) stream(ctx context.Context, params anthropic.MessageNewParams, emit func(string) error) (answer Answer, err error) {
	stream := c.client.Messages.NewStreaming(ctx, params)
	defer func() { _ = stream.Close() }()
	for stream.Next() {
		switch event := stream.Current(); event.Type {
		case "message_start":
			answer.Model = event.Message.Model
			answer.Usage.Input = int(event.Message.Usage.InputTokens)
		case "content_block_delta":
			if event.Delta.Text != "" {
				if err := emit(event.Delta.Text); err != nil {
					return answer, err
				}
			}
		case "message_delta":
			answer.FinishReason = claudeReason(event.Delta.StopReason)
			answer.Usage.Output = int(event.Usage.OutputTokens)
		case "message_stop":
			if answer.FinishReason != "" {
				return answer, nil
			}
		}
	}
	if err := stream.Err(); err != nil {
		return answer, claudeError(ctx, err)
	}
	return answer, broken(ctx, errCut)
}

func claudeError(ctx context.Context, err error) error {
	if e, ok := errors.AsType[*anthropic.Error](err); ok {
		return fromResponse(e.StatusCode, e.Response)
	}
	return broken(ctx, err)
}

func claudeReason(reason anthropic.StopReason) string {
	switch reason {
	case anthropic.StopReasonEndTurn, anthropic.StopReasonStopSequence:
		return "stop"
	case anthropic.StopReasonMaxTokens:
		return "length"
	default:
		return string(reason)
	}
}
