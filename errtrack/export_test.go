package errtrack

// Parameterize is tested by itself: what it leaves is what is kept of a message.
var Parameterize = parameterize

// StableName is tested by itself: which names there are depends on the compiler.
var StableName = stableName

// Unversioned is tested by itself: no package here has a version.
var Unversioned = unversioned

// InApp is tested by itself: a test has no build information to speak of.
func InApp(main string, modules []string, function string) bool {
	return app{main: main, modules: modules}.inApp(function)
}
