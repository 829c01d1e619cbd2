package main

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sparkhttp/spark/auth"
)

// keysIn makes a file with one key, as examples/keys does, and returns the key
// and what revokes it.
func keysIn(t *testing.T, file string) (key string, revoke func()) {
	t.Helper()
	store, err := auth.OpenFile(auth.FileConfig{Path: file, Create: true})
	require.NoError(t, err)
	manager, err := auth.NewManager(auth.ManagerConfig{Store: store})
	require.NoError(t, err)
	secret, info, err := manager.Create(t.Context(), auth.KeyInfo{Owner: "someone"})
	require.NoError(t, err)
	return secret.Reveal(), func() {
		_, err := manager.Revoke(t.Context(), info.ID)
		require.NoError(t, err)
	}
}
