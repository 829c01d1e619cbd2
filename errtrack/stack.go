package errtrack

import (
	"runtime"
	"runtime/debug"
	"slices"
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
	main    string   // the path of the program's module
	modules []string // the paths of those that it requires
}

// readBuild returns what the build information says of the program: its modules
// and its release.
func readBuild(inApp func(string) bool) (a app, release string) {
	a.custom = inApp
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return a, ""
	}
	a.main, release = info.Main.Path, info.Main.Version
	for _, dep := range info.Deps {
		a.modules = append(a.modules, dep.Path)
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			release = s.Value
		}
	}
	return a, release
}

// inApp reports whether function is the program's own.
func (a app) inApp(function string) bool {
	if a.custom != nil {
		return a.custom(function)
	}
	pkg := packageOf(function)
	if pkg == "main" || within(pkg, a.main) && a.main != "" {
		// A module may lie within the path of another one.
		return !slices.ContainsFunc(a.modules, func(m string) bool { return len(m) > len(a.main) && within(pkg, m) })
	}
	if first, _, _ := strings.Cut(pkg, "/"); !strings.Contains(first, ".") {
		return false // the standard library
	}
	return !slices.ContainsFunc(a.modules, func(m string) bool { return within(pkg, m) })
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
		if name := stableName(f.Function); f.InApp && !slices.Contains(names, name) {
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
			// By its name, what was inlined belongs to the package that did.
			foreign := a.custom == nil && (strings.Contains(f.File, "@v") || strings.Contains(f.File, "/vendor/"))
			out = append(out, Frame{f.Function, !foreign && a.inApp(f.Function)})
		}
		if !more {
			return out
		}
	}
}

// stableName drops what the compiler numbers: "app.(*T).Do.func1.2" and
// "app.Do[...]-range1" are app.(*T).Do and app.Do. It also drops where a method
// was inlined, which differs from build to build: the closure that is called
// "app.Make.(*T).Do.func1" for that reason is of app.(*T).Do too.
func stableName(function string) string {
	slash := strings.LastIndexByte(function, '/') + 1
	head, name := function[:slash], strings.ReplaceAll(function[slash:], "[...]", "")
	for {
		if i := strings.LastIndex(name, "-range"); i > 0 && digits(name[i+len("-range"):]) {
			name = name[:i]
		}
		dot := strings.LastIndexByte(name, '.')
		if dot < 0 || !numbered(name[dot+1:]) {
			break
		}
		name = name[:dot]
	}
	if pkg, method := strings.IndexByte(name, '.'), strings.LastIndex(name, ".("); pkg >= 0 && method > pkg {
		name = name[:pkg] + name[method:]
	}
	return head + strings.TrimSuffix(name, "-fm")
}

// numbered reports whether a part of a name is the compiler's: "", "3", "func1".
func numbered(part string) bool {
	for _, prefix := range [...]string{"func", "gowrap", "deferwrap"} {
		if rest, ok := strings.CutPrefix(part, prefix); ok {
			return digits(rest)
		}
	}
	return part == "" || digits(part)
}

func digits(s string) bool { return s != "" && all(s, digit) }

// short returns a function without the path of its package.
func short(function string) string {
	return function[strings.LastIndexByte(function, '/')+1:]
}

// stackOf returns the stack that an error in the tree of err carries. The
// innermost one is nearest to the cause.
func stackOf(err error) (stack []uintptr) {
	walk(err, new(int), func(e error, _ bool) {
		if stack == nil {
			stack = traceOf(e)
		}
	})
	return stack
}

// traceOf returns the stack of this very error. A nil pointer has none.
func traceOf(err error) []uintptr {
	defer func() { _ = recover() }()
	if s, ok := err.(interface{ StackTrace() []uintptr }); ok { //nolint:errorlint // walk unwraps
		return s.StackTrace()
	}
	return nil
}

// callers returns the stack of the caller's caller: called by a deferred
// function, it has what panicked below the runtime's own functions.
func callers() []uintptr {
	pcs := make([]uintptr, maxFrames)
	return pcs[:runtime.Callers(3, pcs)]
}
