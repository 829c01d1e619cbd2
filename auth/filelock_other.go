//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd)

package auth

// lockFile does nothing: package syscall has no lock for this system.
func lockFile(string) (unlock func(), err error) { return func() {}, nil }
