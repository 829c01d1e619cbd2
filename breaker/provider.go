package breaker

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"
)

// Provider reads what the end of a call to a provider means from the status,
// header and body of its response. status 0 stands for an error event within a
// stream, whose data is the body. [Anthropic] and [OpenAI] are Providers.
type Provider func(status int, header http.Header, body []byte) Outcome

// Anthropic judges responses of the Claude API
// (https://platform.claude.com/docs/en/api/errors).
//
//	529 overloaded_error, 5xx, 408         failure; retry, fall back
//	429                                    cooldown; retry, fall back
//	429 enforced_spend_limit_reached,
//	402, 400 for a limit or no credit      ignored, high; fall back
//	401, 403                               ignored, critical; fall back
//	501, 505, other 4xx                    success: it is the caller's error
//
// x-should-retry says otherwise about retries, except those that a quota makes
// useless.
func Anthropic(status int, header http.Header, body []byte) Outcome {
	e := parseAnthropic(body)
	quota := status == http.StatusPaymentRequired || e.kind == "billing_error" ||
		e.code == "enforced_spend_limit_reached" || e.kind == "invalid_request_error" && spent(e.message)
	if status == 0 {
		status = anthropicStatus[e.kind]
	}
	return judgeResponse(status, header, quota, anthropicCaller(status, e))
}

// anthropicStatus has the status that an error event would have had as a response.
var anthropicStatus = map[string]int{
	"invalid_request_error": 400,
	"authentication_error":  401,
	"billing_error":         402,
	"permission_error":      403,
	"not_found_error":       404,
	"request_too_large":     413,
	"rate_limit_error":      429,
	"api_error":             500,
	"timeout_error":         504,
	"overloaded_error":      statusOverloaded,
}

// statusOverloaded is what Anthropic answers when it has no capacity for anybody.
const statusOverloaded = 529

func anthropicCaller(status int, e providerError) string {
	if status == http.StatusRequestEntityTooLarge || strings.HasPrefix(e.message, "prompt is too long") {
		return "context_length"
	}
	return "caller"
}

// spent reports whether the message of a 400 is about money: such errors have no
// type of their own.
func spent(message string) bool {
	m := strings.ToLower(message)
	return strings.Contains(m, "api usage limits") || strings.Contains(m, "credit balance is too low")
}

// OpenAI judges responses of the OpenAI API
// (https://platform.openai.com/docs/guides/error-codes).
//
//	5xx, 408                               failure; retry, fall back
//	429                                    cooldown; retry, fall back
//	insufficient_quota, billing_…, 402     ignored, high; fall back
//	401, 403                               ignored, critical; fall back
//	501, 505, other 4xx                    success: it is the caller's error
//
// x-should-retry says otherwise about retries, except those that a quota makes
// useless.
func OpenAI(status int, header http.Header, body []byte) Outcome {
	e := parseOpenAI(body)
	quota := status == http.StatusPaymentRequired
	for _, name := range [...]string{e.code, e.kind} {
		switch name {
		case "insufficient_quota", "billing_hard_limit_reached", "billing_not_active", "access_terminated":
			quota = true
		}
	}
	if status == 0 {
		status = openAIStatus(e)
	}
	reason := "caller"
	switch e.code {
	case "context_length_exceeded", "string_above_max_length":
		reason = "context_length"
	case "content_filter", "content_policy_violation", "moderation_blocked":
		reason = "policy"
	}
	return judgeResponse(status, header, quota, reason)
}

func openAIStatus(e providerError) int {
	switch {
	case e.code == "rate_limit_exceeded", e.kind == "rate_limit_error":
		return http.StatusTooManyRequests
	case e.kind == "invalid_request_error":
		return http.StatusBadRequest
	default:
		return http.StatusInternalServerError
	}
}

// judgeResponse is what the tables have in common. caller is the reason for an
// error that is the caller's.
func judgeResponse(status int, header http.Header, quota bool, caller string) Outcome {
	o := Outcome{RetryAfter: retryAfter(header)}
	switch {
	case quota:
		o.Verdict, o.Reason, o.Fallback, o.Severity = Ignored, "quota", true, "high"
		return o
	case status >= 100 && status < 400:
		return o
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		o.Verdict, o.Reason, o.Fallback, o.Severity = Ignored, "auth", true, "critical"
	case status == http.StatusTooManyRequests:
		o.Verdict, o.Reason, o.Retry, o.Fallback = Cooldown, "rate_limited", true, true
	case status == http.StatusRequestTimeout, status == http.StatusGatewayTimeout:
		o.Verdict, o.Reason, o.Retry, o.Fallback = Failure, "timeout", true, true
	case status == http.StatusNotImplemented, status == http.StatusHTTPVersionNotSupported:
		o.Reason = "unsupported"
	case status == statusOverloaded, status == http.StatusServiceUnavailable:
		o.Verdict, o.Reason, o.Retry, o.Fallback = Failure, "overloaded", true, true
	case status >= 400 && status < 500:
		o.Reason = caller
	default:
		o.Verdict, o.Reason, o.Retry, o.Fallback = Failure, "server_error", true, true
	}
	switch header.Get("X-Should-Retry") {
	case "true":
		o.Retry = true
	case "false":
		o.Retry = false
	}
	return o
}

// byStatus is the table for a provider of whom nothing is known.
func byStatus(status int, header http.Header, _ []byte) Outcome {
	return judgeResponse(status, header, status == http.StatusPaymentRequired, "caller")
}

// providerError is what counts in the body of an error.
type providerError struct{ kind, code, message string }

// parseAnthropic reads {"type":"error","error":{"type":…,"message":…,"details":{"error_code":…}}}.
// Of a body that is something else, nothing is known.
func parseAnthropic(body []byte) providerError {
	var b struct {
		Error struct {
			Type    string `json:"type"`
			Message string `json:"message"`
			Details struct {
				ErrorCode string `json:"error_code"`
			} `json:"details"`
		} `json:"error"`
	}
	if json.Unmarshal(bytes.TrimSpace(body), &b) != nil {
		return providerError{}
	}
	return providerError{kind: b.Error.Type, code: b.Error.Details.ErrorCode, message: b.Error.Message}
}

// parseOpenAI reads {"error":{"message":…,"type":…,"param":…,"code":…}}, where the code may be
// null or a number.
func parseOpenAI(body []byte) providerError {
	var b struct {
		Error struct {
			Message string `json:"message"`
			Type    string `json:"type"`
			Code    any    `json:"code"`
		} `json:"error"`
	}
	if json.Unmarshal(bytes.TrimSpace(body), &b) != nil {
		return providerError{}
	}
	code, _ := b.Error.Code.(string)
	return providerError{kind: b.Error.Type, code: code, message: b.Error.Message}
}
