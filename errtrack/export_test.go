package errtrack

// Parameterize is tested by itself: what it leaves is what is kept of a message.
var Parameterize = parameterize

// StableName is tested by itself: which names there are depends on the compiler.
var StableName = stableName
