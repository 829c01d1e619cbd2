package errtrack

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// version begins each fingerprint. It changes when the rules do, so that old and
// new groups are never taken for each other.
const version = "v1:"

// maxErrors bounds how many errors of a tree are looked at.
const maxErrors = 128

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
//
// Types that carry a text and nothing else, as of [errors.New], are no types to
// speak of, nor are those that say what but not where: [syscall.Errno],
// [context.DeadlineExceeded]. What wraps them counts.
//
// A [Collector] knows better which functions are the program's own: it obeys
// [Config].InApp.
func Fingerprint(e Event) (id, title string) {
	a, _ := readBuild(nil)
	return a.fingerprint(&e)
}

// fingerprint also gives e the stack that its error carries.
func (a app) fingerprint(e *Event) (id, title string) {
	if len(e.Stack) == 0 {
		e.Stack = stackOf(e.Err)
	}
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
	// With its length before each part, no two lists of parts are the same text.
	var buf []byte
	for _, part := range parts {
		buf = strconv.AppendInt(buf, int64(len(part)), 10)
		buf = append(append(buf, ':'), part...)
	}
	sum := sha256.Sum256(buf)
	return version + hex.EncodeToString(sum[:8]), title
}

// parts are what makes a group, the first of which says by which rule.
func (a app) parts(e *Event) (parts []string, title string) {
	if e.Provider != "" && e.Class != "" {
		return []string{"provider", e.Provider, e.Class}, e.Provider + ": " + e.Class
	}
	causes := deepest(e.Err)
	title = titleOf(causes)
	if len(causes) == 0 {
		title = plain(e)
	}
	kind := "error"
	if e.Panic {
		kind, title = "panic", "panic: "+title
	}
	if functions := a.own(e.Stack); len(functions) > 0 {
		parts = []string{"stack", kind}
		for _, c := range causes {
			parts = append(parts, c.id)
		}
		return append(append(parts, "in"), functions...), title + " in " + short(functions[0])
	}
	if len(causes) == 0 {
		return []string{"message", title}, title
	}
	parts = []string{"cause", kind}
	for _, c := range causes {
		parts = append(parts, c.id, c.text)
	}
	return parts, title
}

// plain returns the message of an event whose errors have no types. Of joined
// errors the order doesn't count: it is often one of chance.
func plain(e *Event) string {
	joined, ok := e.Err.(interface{ Unwrap() []error }) //nolint:errorlint // this one and no other
	if !ok || typeName(e.Err) != "*errors.joinError" {
		return parameterize(message(e))
	}
	var texts []string
	for _, err := range joined.Unwrap() {
		if len(texts) < maxErrors {
			texts = append(texts, parameterize(textOf(err)))
		}
	}
	slices.Sort(texts)
	return strings.Join(slices.Compact(texts), "; ")
}

func message(e *Event) string {
	if e.Err != nil {
		return textOf(e.Err)
	}
	return e.Message
}

// textOf returns the text of err. That of a nil pointer may panic.
func textOf(err error) (text string) {
	defer func() {
		if recover() != nil {
			text = fmt.Sprintf("%T without a text", err)
		}
	}()
	return err.Error()
}

// cause is an error that has a type, below which there is none.
type cause struct{ id, name, text string }

// deepest returns the causes in the tree of err, each one once, in an order that
// is not one of chance.
func deepest(err error) []cause {
	var found []cause
	walk(err, new(int), func(e error, below bool) {
		if below || !typed(e) {
			return
		}
		if c := (cause{typeID(e), typeName(e), describe(e)}); !slices.Contains(found, c) {
			found = append(found, c)
		}
	})
	slices.SortFunc(found, func(a, b cause) int { return strings.Compare(a.id+": "+a.text, b.id+": "+b.text) })
	return found
}

func titleOf(causes []cause) string {
	var b strings.Builder
	for i, c := range causes {
		if i > 0 {
			b.WriteString("; ")
		}
		b.WriteString(c.name + ": " + c.text)
	}
	return b.String()
}

// describe returns the text of a cause without its variable parts. Where a type
// says which part is a path, that is not left to guessing.
func describe(err error) string {
	switch e := err.(type) { //nolint:errorlint // of this very error
	case *fs.PathError:
		if e != nil && e.Err != nil {
			return parameterize(e.Op + " <path>: " + textOf(e.Err))
		}
	case *os.LinkError:
		if e != nil && e.Err != nil {
			return parameterize(e.Op + " <path>: " + textOf(e.Err))
		}
	}
	return parameterize(textOf(err))
}

// walk calls f with the errors of a tree, the inner ones first, and with whether
// there is a typed one below. It reports whether there was any. seen counts them.
func walk(err error, seen *int, f func(e error, below bool)) bool {
	if *seen++; err == nil || *seen > maxErrors {
		return false
	}
	several, one := unwrap(err)
	below := walk(one, seen, f)
	for _, child := range several {
		below = walk(child, seen, f) || below
	}
	f(err, below)
	return below || typed(err)
}

// unwrap returns what err wraps. A nil pointer, which as a rule panics, wraps
// nothing.
func unwrap(err error) (several []error, one error) {
	defer func() { _ = recover() }()
	switch e := err.(type) { //nolint:errorlint // this is what walks the tree
	case interface{ Unwrap() error }:
		return nil, e.Unwrap()
	case interface{ Unwrap() []error }:
		return e.Unwrap(), nil
	}
	return nil, nil
}

// is is [errors.Is] for errors that may be broken: it neither panics nor goes
// round in circles.
func is(err, target error) bool {
	found := false
	walk(err, new(int), func(e error, _ bool) { found = found || same(e, target) })
	return found
}

func same(err, target error) bool {
	defer func() { _ = recover() }()
	if reflect.TypeOf(target).Comparable() && err == target { //nolint:errorlint // of this very error
		return true
	}
	e, ok := err.(interface{ Is(error) bool }) //nolint:errorlint // as above
	return ok && e.Is(target)
}

// typed reports whether the type of err says anything.
func typed(err error) bool {
	switch typeName(err) {
	case "*errors.errorString", "*errors.joinError", "*fmt.wrapError", "*fmt.wrapErrors", // the standard library's
		"*errors.fundamental", "*errors.withMessage", "*errors.withStack", // of github.com/pkg/errors
		"context.deadlineExceededError", "syscall.Errno", "*poll.DeadlineExceededError", "*net.timeoutError", "*http.timeoutError":
		return false
	}
	return true
}

// typeName returns the type of err for people: *net.OpError.
func typeName(err error) string {
	if err == nil {
		return ""
	}
	return reflect.TypeOf(err).String()
}

// typeID returns the type of err with the path of its package, without the major
// version of that, nor the numbers of types that functions declare.
func typeID(err error) string {
	t, stars := reflect.TypeOf(err), ""
	for t.Kind() == reflect.Pointer && t.Name() == "" {
		t, stars = t.Elem(), stars+"*"
	}
	if t.Name() == "" {
		return stars + t.String()
	}
	return stars + unversioned(t.PkgPath()) + "." + unnumbered(t.Name())
}

// unnumbered drops the numbers that the compiler gives to the types in functions
// where they are type arguments: "Of[example.com/app.item·2]".
func unnumbered(name string) string {
	before, rest, ok := strings.Cut(name, "·")
	for ok {
		rest = strings.TrimLeft(rest, "0123456789")
		var part string
		part, rest, ok = strings.Cut(rest, "·")
		before += part
	}
	return before
}

// unversioned returns the path of a package without the major version at its end.
func unversioned(pkg string) string {
	if i := strings.LastIndex(pkg, "/v"); i > 0 && digits(pkg[i+len("/v"):]) {
		return pkg[:i]
	}
	return pkg
}

// outerType returns the type of the outermost error in a tree that has one to
// speak of.
func outerType(err error) string {
	name := typeName(err)
	walk(err, new(int), func(e error, _ bool) {
		if typed(e) {
			name = typeName(e)
		}
	})
	return name
}

// hasType reports whether an error in the tree of err has the type.
func hasType(err error, name string) bool {
	found := false
	walk(err, new(int), func(e error, _ bool) { found = found || typeName(e) == name })
	return found
}
