package errtrack

import (
	"runtime"
	"strings"
)

// maxFrames bounds the stacks that are looked at.
const maxFrames = 64

// Frame is a function in the stack of an error.
type Frame struct {
	Function string `json:"function"`
	InApp    bool   `json:"in_app"`
}

// app knows which functions are the program's own.
type app struct {
	custom  func(string) bool
	foreign []string // module paths
}

// inApp reports whether function is the program's own.
func (a app) inApp(function string) bool {
	if a.custom != nil {
		return a.custom(function)
	}
	pkg := packageOf(function)
	first, _, _ := strings.Cut(pkg, "/")
	if pkg == "main" {
		return true
	}
	if !strings.Contains(first, ".") {
		return false // the standard library
	}
	const ours = "github.com/sparkhttp/spark"
	if within(pkg, ours) && !within(pkg, ours+"/examples") && !strings.HasSuffix(pkg, "_test") {
		return false
	}
	for _, module := range a.foreign {
		if module != ours && within(pkg, module) {
			return false
		}
	}
	return true
}

func within(pkg, module string) bool {
	rest, ok := strings.CutPrefix(pkg, module)
	return ok && (rest == "" || rest[0] == '/')
}

// packageOf returns the path of the package of a function as the runtime names it.
func packageOf(function string) string {
	slash := strings.LastIndexByte(function, '/')
	if dot := strings.IndexByte(function[slash+1:], '.'); dot >= 0 {
		return function[:slash+1+dot]
	}
	return function
}

// own returns the program's own functions in a stack, innermost first, by names
// that don't change when code above them does: closures count as the function
// they stand in, and what repeats by recursion counts once.
func (a app) own(stack []uintptr) []string {
	var names []string
	for _, f := range a.frames(stack) {
		if !f.InApp {
			continue
		}
		name := stableName(f.Function)
		if len(names) == 0 || names[len(names)-1] != name {
			names = append(names, name)
		}
	}
	return names
}

func (a app) frames(stack []uintptr) []Frame {
	if len(stack) == 0 {
		return nil
	}
	var out []Frame
	frames := runtime.CallersFrames(stack[:min(len(stack), maxFrames)])
	for {
		f, more := frames.Next()
		if f.Function != "" {
			out = append(out, Frame{f.Function, a.inApp(f.Function)})
		}
		if !more {
			return out
		}
	}
}

// stableName drops what the compiler numbers: "app.(*T).Do.func1.2" and
// "app.Do[...]" are app.(*T).Do and app.Do.
func stableName(function string) string {
	slash := strings.LastIndexByte(function, '/') + 1
	head, name := function[:slash], function[slash:]
	name = strings.ReplaceAll(name, "[...]", "")
	for {
		dot := strings.LastIndexByte(name, '.')
		if dot < 0 {
			break
		}
		last := name[dot+1:]
		if strings.TrimLeft(last, "0123456789") != "" && !numbered(last, "func") && !numbered(last, "gowrap") && !numbered(last, "deferwrap") && last != "-fm" {
			break
		}
		name = name[:dot]
	}
	return head + strings.TrimSuffix(name, "-fm")
}

func numbered(word, prefix string) bool {
	rest, ok := strings.CutPrefix(word, prefix)
	return ok && rest != "" && strings.Trim(rest, "0123456789-") == ""
}

// short returns a function without the path of its package.
func short(function string) string {
	return function[strings.LastIndexByte(function, '/')+1:]
}

// stackOf returns the stack that an error in the tree of err carries.
func stackOf(err error) []uintptr {
	var stack []uintptr
	visit(err, 0, func(e error) bool {
		if s, ok := e.(interface{ StackTrace() []uintptr }); ok { //nolint:errorlint // visit unwraps
			stack = s.StackTrace() // the innermost one is nearest to the cause
		}
		return true
	})
	return stack
}

// visit calls f with the errors of a tree, from outside in, until f returns false.
func visit(err error, depth int, f func(error) bool) bool {
	if err == nil || depth > maxDepth {
		return true
	}
	if !f(err) {
		return false
	}
	switch e := err.(type) { //nolint:errorlint // this is what walks the tree
	case interface{ Unwrap() error }:
		return visit(e.Unwrap(), depth+1, f)
	case interface{ Unwrap() []error }:
		for _, child := range e.Unwrap()[:min(maxDepth, len(e.Unwrap()))] {
			if !visit(child, depth+1, f) {
				return false
			}
		}
	}
	return true
}

// callers returns the stack of the caller's caller: called by a deferred
// function, it has what panicked below the runtime's own functions.
func callers() []uintptr {
	pcs := make([]uintptr, maxFrames)
	return pcs[:runtime.Callers(3, pcs)]
}
