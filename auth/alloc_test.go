//go:build !race

package auth_test

// allocsCounted says that allocations can be counted.
const allocsCounted = true
