package auth_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/json"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sparkhttp/spark/auth"
)

func TestParsePeppers(t *testing.T) {
	sixteen := []byte("0123456789abcdef")
	tests := []struct {
		name, text string
		want       []auth.Pepper
		err        string
	}{
		{name: "none", text: " "},
		{name: "one", text: "1:MDEyMzQ1Njc4OWFiY2RlZg==", want: []auth.Pepper{{Version: 1, Secret: sixteen}}},
		{name: "no padding, spaces", text: " 2:MDEyMzQ1Njc4OWFiY2RlZg , 0: ", want: []auth.Pepper{{Version: 2, Secret: sixteen}, {}}},
		{name: "standard alphabet", text: "1:++++++++++++++++//////==", want: []auth.Pepper{{Version: 1, Secret: []byte("\xfb\xef\xbe\xfb\xef\xbe\xfb\xef\xbe\xfb\xef\xbe\xff\xff\xff\xff")}}},
		{name: "URL alphabet", text: "1:----------------______", want: []auth.Pepper{{Version: 1, Secret: []byte("\xfb\xef\xbe\xfb\xef\xbe\xfb\xef\xbe\xfb\xef\xbe\xff\xff\xff\xff")}}},
		{name: "no version", text: "MDEyMzQ1Njc4OWFiY2RlZg==", err: "auth: pepper 1 is not of the form version:base64"},
		{name: "no base64", text: "0:,1:hunter2!", err: "auth: pepper 2 is not of the form version:base64"},
		{name: "negative", text: "-1:MDEyMzQ1Njc4OWFiY2RlZg==", err: "auth: pepper 1 is not of the form version:base64"},
		{name: "odd spelling", text: "+1:MDEyMzQ1Njc4OWFiY2RlZg==", err: "auth: pepper 1 is not of the form version:base64"},
		{name: "large", text: "2147483648:MDEyMzQ1Njc4OWFiY2RlZg==", err: "auth: pepper 1 is not of the form version:base64"},
		{name: "short", text: "1:MDEy", err: "auth: Peppers[0] has a secret of 3 bytes, want 16 to 1024"},
		{name: "twice", text: "1:MDEyMzQ1Njc4OWFiY2RlZg,1:MDEyMzQ1Njc4OWFiY2RlZg", err: "auth: Peppers[1] has version 1, which another one has too"},
		{name: "same secret", text: "1:MDEyMzQ1Njc4OWFiY2RlZg,2:MDEyMzQ1Njc4OWFiY2RlZg", err: "auth: Peppers[1] has the secret of another one"},
		{name: "secret for none", text: "0:MDEyMzQ1Njc4OWFiY2RlZg", err: "auth: Peppers[0] has version 0, which means no secret, and a secret"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := auth.ParsePeppers(tt.text)
			if tt.err != "" {
				require.EqualError(t, err, tt.err)
				return
			}
			require.NoError(t, err)
			require.Len(t, got, len(tt.want))
			for i, w := range tt.want {
				require.Equal(t, w.Version, got[i].Version)
				require.Equal(t, string(w.Secret), string(got[i].Secret))
			}
		})
	}
}

// What is stored is what it is said to be, made by others.
func TestHashes(t *testing.T) {
	secret := []byte("a pepper of some length")
	for _, peppers := range [][]auth.Pepper{nil, {{Version: 3, Secret: secret}}} {
		store := auth.NewMemory()
		m, err := auth.NewManager(auth.ManagerConfig{Store: store, Peppers: peppers})
		require.NoError(t, err)
		key, info, err := m.Create(t.Context(), auth.KeyInfo{Owner: "ada"})
		require.NoError(t, err)
		rec, err := store.Lookup(t.Context(), info.ID)
		require.NoError(t, err)
		body := key.Reveal()[:len(key.Reveal())-6]
		if peppers == nil {
			require.Equal(t, auth.Hash{Version: 0, Sum: sha256.Sum256([]byte(body))}, rec.Current)
			continue
		}
		mac := hmac.New(sha256.New, secret)
		mac.Write([]byte(body))
		require.Equal(t, auth.Hash{Version: 3, Sum: [32]byte(mac.Sum(nil))}, rec.Current)
		stored, err := json.Marshal(rec)
		require.NoError(t, err)
		require.NotContains(t, string(stored), key.Reveal()[25:])
	}
}

// Peppers are replaced without a key being replaced: the old one verifies, the
// new one is written as keys are used, and then the old one can go.
func TestPepperRotation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		one := auth.Pepper{Version: 1, Secret: []byte(strings.Repeat("1", 32))}
		two := auth.Pepper{Version: 2, Secret: []byte(strings.Repeat("2", 32))}
		store := auth.NewMemory()
		m, err := auth.NewManager(auth.ManagerConfig{Store: store, Peppers: []auth.Pepper{one}})
		require.NoError(t, err)
		old, info, err := m.Create(t.Context(), auth.KeyInfo{Owner: "ada"})
		require.NoError(t, err)
		current, _, err := m.Rotate(t.Context(), info.ID, time.Hour)
		require.NoError(t, err)
		idle, _, err := m.Create(t.Context(), auth.KeyInfo{Owner: "bob"})
		require.NoError(t, err)
		valid := func(key auth.Key, peppers ...auth.Pepper) bool {
			gate, err := auth.New(auth.Config{Store: store, Peppers: peppers})
			require.NoError(t, err)
			ctx, stop := context.WithCancel(t.Context())
			done := make(chan error)
			go func() { done <- gate.Run(ctx) }()
			synctest.Wait()
			_, err = gate.Authenticate(requestWith(key))
			stop()
			require.NoError(t, <-done)
			return err == nil
		}
		require.False(t, valid(current, two), "its pepper is not there")
		require.False(t, valid(current), "a hash with a pepper is not one without")
		require.True(t, valid(current, two, one))
		require.True(t, valid(old, two, one))
		require.True(t, valid(current, two, one), "written anew, with the old one still there")
		require.True(t, valid(current, two), "written anew when it was used")
		require.True(t, valid(old, two), "written anew when it was used")
		require.False(t, valid(idle, two), "was not used")
		require.True(t, valid(idle, two, one))
		require.True(t, valid(idle, two))
		rec, err := store.Lookup(t.Context(), info.ID)
		require.NoError(t, err)
		require.Equal(t, 2, rec.Current.Version)
		require.Equal(t, 2, rec.Previous.Version)
	})
}

func TestHashText(t *testing.T) {
	h := auth.Hash{Version: 12, Sum: sha256.Sum256(nil)}
	text, err := h.MarshalText()
	require.NoError(t, err)
	require.Equal(t, "12:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU", string(text))
	var got auth.Hash
	require.NoError(t, got.UnmarshalText(text))
	require.Equal(t, h, got)
	for _, bad := range []string{"", "12", ":", "12:", "12:AAAA", "x:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU", "-1:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU", "012:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU", "12:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFV"} {
		require.Error(t, got.UnmarshalText([]byte(bad)), bad)
	}
}
