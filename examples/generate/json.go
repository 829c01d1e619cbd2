package main

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"reflect"
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
	if err == nil {
		return nil
	}
	d := &problem.Document{Status: http.StatusBadRequest, Detail: "The body is no valid JSON."}
	if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok && wrong.Field != "" {
		return invalid(wrong.Field, "must be "+kinds[wrong.Type.Kind()])
	} else if ok || errors.Is(err, io.EOF) {
		d.Detail = "The body must be a JSON object."
	} else if name, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok {
		name, _ = strconv.Unquote(name)
		d.Detail = "The body has a field that is not known here."
		d.Members = map[string]any{"field": name[:min(len(name), 64)]}
	}
	return d
}

// kinds are the types of fields, in the words of clients.
var kinds = map[reflect.Kind]string{
	reflect.String: "a string", reflect.Bool: "true or false", reflect.Int: "a whole number", reflect.Float64: "a number that is not too large",
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
