package main

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/sparkhttp/spark/problem"
)

// readJSON decodes the body, which a middleware has bounded and found to be one
// JSON value. A field that nobody knows is refused: it would be ignored, and the
// client believe the contrary.
func readJSON(r *http.Request, v any) error {
	dec := json.NewDecoder(r.Body)
	dec.DisallowUnknownFields()
	err := dec.Decode(v)
	var wrong *json.UnmarshalTypeError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &wrong) && wrong.Field != "":
		return invalid(wrong.Field, "must not be "+article(wrong.Value))
	case errors.As(err, &wrong), errors.Is(err, io.EOF):
		return &problem.Document{Status: http.StatusBadRequest, Detail: "The body must be a JSON object."}
	case strings.HasPrefix(err.Error(), "json: unknown field "):
		name, _ := strconv.Unquote(strings.TrimPrefix(err.Error(), "json: unknown field "))
		return &problem.Document{
			Status: http.StatusBadRequest, Detail: "The body has a field that is not known here.",
			Members: map[string]any{"field": name[:min(len(name), 64)]},
		}
	default:
		return &problem.Document{Status: http.StatusBadRequest, Detail: "The body is no valid JSON."}
	}
}

func article(kind string) string {
	if kind == "object" || kind == "array" {
		return "an " + kind
	}
	kind, _, _ = strings.Cut(kind, " ") // "number 1e99" would repeat what the client sent
	return "a " + kind
}

// invalid says what is wrong with a field.
func invalid(field, must string) error {
	return &problem.Document{
		Status: http.StatusUnprocessableEntity, Detail: "The field " + field + " " + must + ".",
		Members: map[string]any{"field": field},
	}
}

func writeJSON(w http.ResponseWriter, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)+1))
	_, _ = w.Write(append(body, '\n')) // what watches the response sees if it fails
	return nil
}

// setRetryAfter sets the headers of the errors that have some.
func setRetryAfter(h http.Header, err error) {
	var with interface{ SetHeader(http.Header) }
	if errors.As(err, &with) {
		with.SetHeader(h)
	}
}
