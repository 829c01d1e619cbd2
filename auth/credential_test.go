package auth_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sparkhttp/spark/auth"
)

// Whatever a request holds, it is let in only if it holds one valid key and
// nothing else, and if it isn't the answer is one of a few.
func FuzzCredential(f *testing.F) {
	s := newService(f)
	good := s.keys["good"]
	gate, err := auth.New(auth.Config{Store: s.store, MasterKeys: func() []string { return []string{masterKey} }, FailedAttempts: -1})
	require.NoError(f, err)
	f.Add("Bearer "+good, "")
	f.Add("bearer  "+masterKey, "")
	f.Add("", good)
	f.Add("Bearer "+good, good)
	f.Add("Basic YTpi", masterKey)
	f.Add("Bearer", "")
	f.Add("Bearer "+good+",Bearer "+good, "")
	f.Add("Bearer\t"+good, "\x00")
	f.Add("Bearer "+s.keys["revoked"], "")
	f.Fuzz(func(t *testing.T, authorization, apiKey string) {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		if authorization != "" {
			r.Header["Authorization"] = []string{authorization}
		}
		if apiKey != "" {
			r.Header["X-Api-Key"] = []string{apiKey}
		}
		id, err := gate.Authenticate(r)
		if err == nil {
			scheme, token, _ := strings.Cut(authorization, " ")
			key := strings.TrimLeft(token, " ") + apiKey
			require.True(t, authorization == "" || apiKey == "" && strings.EqualFold(scheme, "Bearer"))
			require.True(t, key == masterKey && id.Master || (key == good || key == s.keys["rotated"] || key == s.keys["superseded"]) && !id.Master)
			return
		}
		e, ok := errors.AsType[*auth.Error](err)
		require.True(t, ok)
		require.Contains(t, []int{400, 401}, e.Problem().Status)
		require.Equal(t, authorization != "" && apiKey != "", e.Reason == auth.TwoKeys)
		require.Equal(t, auth.Identity{}, id)
	})
}
