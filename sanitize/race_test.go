//go:build race

package sanitize_test

const raceEnabled = true
