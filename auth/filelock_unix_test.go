//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package auth_test

import (
	"context"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sparkhttp/spark/auth"
)

// Another process that has the lock and hangs holds up those who write, for as long
// as they like to wait, and nobody who reads: what it wrote before is noticed.
func TestFileLockedByAnother(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys.json")
	open := func() (*auth.File, *auth.Manager) {
		f, err := auth.OpenFile(auth.FileConfig{Path: path, Create: true, CheckEvery: 1})
		require.NoError(t, err)
		m, err := auth.NewManager(auth.ManagerConfig{Store: f})
		require.NoError(t, err)
		return f, m
	}
	server, servers := open()
	_, info, err := servers.Create(t.Context(), auth.KeyInfo{Owner: "ada"})
	require.NoError(t, err)
	_, others := open()
	_, err = others.Revoke(t.Context(), info.ID)
	require.NoError(t, err)
	lock, err := os.OpenFile(path+".lock", os.O_RDWR, 0)
	require.NoError(t, err)
	require.NoError(t, syscall.Flock(int(lock.Fd()), syscall.LOCK_EX))

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error)
	waiting := make(chan struct{})
	go func() {
		close(waiting)
		_, _, err := servers.Create(ctx, auth.KeyInfo{Owner: "bob"})
		done <- err
	}()
	<-waiting
	var rec *auth.Record
	for range 100 { // some of them while the other one waits
		rec, err = server.Lookup(t.Context(), info.ID)
		require.NoError(t, err)
	}
	require.False(t, rec.Revoked.IsZero())
	cancel()
	require.ErrorIs(t, <-done, context.Canceled)
	require.NoError(t, lock.Close())
	_, _, err = servers.Create(t.Context(), auth.KeyInfo{Owner: "bob"})
	require.NoError(t, err)
}
