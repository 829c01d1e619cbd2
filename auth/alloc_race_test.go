//go:build race

package auth_test

// allocsCounted says that allocations can't be counted: the race detector makes
// some, and a sync.Pool forgets at random.
const allocsCounted = false
