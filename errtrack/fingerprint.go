package errtrack

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// version begins each fingerprint. It changes when the rules do, so that old and
// new groups are never taken for each other.
const version = "v1:"

// maxDepth bounds how deep trees of errors are looked into, and how wide.
const maxDepth = 32

// Fingerprint returns the id of the group that e belongs to, such as
// "v1:5d41402abc4b2a76", and its title. The first of these that there is
// decides:
//
//  1. Event.Fingerprint, in which "{{ default }}" stands for what follows;
//  2. Event.Provider and Event.Class;
//  3. the functions of the program's own in the stack, with the type of the error;
//  4. the types of the deepest typed causes in the tree of the error, with what
//     their messages say apart from variable parts; what wraps them doesn't count;
//  5. the message apart from its variable parts.
func Fingerprint(e Event) (id, title string) {
	return app{}.fingerprint(&e)
}

func (a app) fingerprint(e *Event) (id, title string) {
	parts, title := a.parts(e)
	if len(e.Fingerprint) > 0 {
		var own []string
		for _, part := range e.Fingerprint {
			if strings.ReplaceAll(part, " ", "") == "{{default}}" {
				own = append(own, parts...)
			} else {
				own = append(own, "explicit", part)
			}
		}
		parts = own
	}
	sum := sha256.New()
	for _, part := range parts {
		fmt.Fprintf(sum, "%d:%s", len(part), part)
	}
	return version + hex.EncodeToString(sum.Sum(nil)[:8]), title
}

// parts are what makes a group, the first of which says by which rule.
func (a app) parts(e *Event) (parts []string, title string) {
	if e.Provider != "" && e.Class != "" {
		return []string{"provider", e.Provider, e.Class}, e.Provider + ": " + e.Class
	}
	causes := deepest(e.Err)
	title = strings.Join(causes, "; ")
	if title == "" {
		title = parameterize(message(e))
	}
	if e.Panic {
		title = "panic: " + title
	}
	switch functions := a.own(e.Stack); {
	case len(functions) > 0:
		kind := "error"
		if e.Panic {
			kind = "panic"
		}
		return append([]string{"stack", kind, typeName(e.Err)}, functions...), title + " in " + short(functions[0])
	case len(causes) > 0:
		return append([]string{"cause"}, causes...), title
	default:
		return []string{"message", title}, title
	}
}

func message(e *Event) string {
	if e.Err != nil {
		return e.Err.Error()
	}
	return e.Message
}

// deepest describes the typed errors of a tree that have none below them, each
// one once. Errors that only carry text, by errors.New or fmt.Errorf, have no
// type to speak of.
func deepest(err error) []string {
	var found []string
	walk(err, 0, func(cause error) {
		text := typeName(cause) + ": " + parameterize(cause.Error())
		if !slices.Contains(found, text) {
			found = append(found, text)
		}
	})
	slices.Sort(found) // the order of joined errors is often one of chance
	return found
}

// walk calls leaf with the typed errors in the tree of err that have no typed
// one below them. It reports whether there was any.
func walk(err error, depth int, leaf func(error)) bool {
	if err == nil || depth > maxDepth {
		return false
	}
	below := false
	switch e := err.(type) { //nolint:errorlint // this is what walks the tree
	case interface{ Unwrap() error }:
		below = walk(e.Unwrap(), depth+1, leaf)
	case interface{ Unwrap() []error }:
		for _, child := range e.Unwrap()[:min(maxDepth, len(e.Unwrap()))] {
			below = walk(child, depth+1, leaf) || below
		}
	}
	if !below && typed(err) {
		leaf(err)
		return true
	}
	return below
}

// typed reports whether the type of err says anything.
func typed(err error) bool {
	switch typeName(err) {
	case "*errors.errorString", "*errors.joinError", "*fmt.wrapError", "*fmt.wrapErrors", "*fmt.fmtError":
		return false
	}
	return true
}

// typeName returns the type of err without the version of its module.
func typeName(err error) string {
	if err == nil {
		return ""
	}
	if e, ok := errors.AsType[interface {
		error
		ErrorType() string
	}](err); ok {
		return e.ErrorType()
	}
	return reflect.TypeOf(err).String()
}
