package errtrack_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sparkhttp/spark/errtrack"
)

var secret = []byte("0123456789abcdef")

func TestNewWebhookRefuses(t *testing.T) {
	for _, tt := range []struct{ name, url, secret, want string }{
		{"no URL", "", "0123456789abcdef", "no http or https URL"},
		{"no host", "https:///x", "0123456789abcdef", "no http or https URL"},
		{"another scheme", "ftp://example.com", "0123456789abcdef", "no http or https URL"},
		{"broken URL", "https://exa mple.com", "0123456789abcdef", "no http or https URL"},
		{"no secret", "https://example.com", "", "Secret has 0 bytes, want at least 16"},
		{"short secret", "https://example.com", "0123456789abcde", "Secret has 15 bytes, want at least 16"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := errtrack.NewWebhook(errtrack.WebhookConfig{URL: tt.url, Secret: []byte(tt.secret)})
			require.ErrorContains(t, err, tt.want)
			if tt.secret != "" {
				require.NotContains(t, err.Error(), tt.secret)
			}
		})
	}
}

func TestWebhook(t *testing.T) {
	type delivery struct {
		header http.Header
		body   []byte
	}
	got := make(chan delivery, 10)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err == nil && r.Method == http.MethodPost {
			got <- delivery{r.Header, body}
		}
		w.WriteHeader(http.StatusNoContent)
	}))
	defer s.Close()
	mine := append([]byte(nil), secret...)
	hook, err := errtrack.NewWebhook(errtrack.WebhookConfig{URL: s.URL, Secret: mine, MinSeverity: errtrack.High})
	require.NoError(t, err)
	clear(mine) // the caller's to do with what it likes

	c := newCollector(t, errtrack.Config{Release: "v1", Reporters: []errtrack.Reporter{hook}})
	c.Track(t.Context(), errtrack.Event{Message: "not worth it", Severity: errtrack.Medium})
	c.Track(t.Context(), errtrack.Event{Message: "worth it", Severity: errtrack.High, Provider: "claude"})
	require.NoError(t, c.Flush(t.Context()))
	require.Len(t, got, 1)
	d := <-got
	require.Equal(t, "application/json", d.header.Get("Content-Type"))
	require.True(t, errtrack.Verify(secret, d.header.Get("X-Spark-Signature"), d.body, 0))
	var r errtrack.Report
	require.NoError(t, json.Unmarshal(d.body, &r))
	require.Equal(t, []any{"v1", "worth it", errtrack.High, "claude"}, []any{r.Release, r.Group.Title, r.Sample.Severity, r.Sample.Provider})
}

func TestWebhookAnswers(t *testing.T) {
	for _, tt := range []struct {
		status            int
		failed, permanent bool
	}{
		{200, false, false}, {202, false, false}, {204, false, false},
		{301, true, true}, {307, true, true}, {400, true, true}, {401, true, true}, {404, true, true}, {410, true, true}, {413, true, true},
		{408, true, false}, {425, true, false}, {429, true, false}, {500, true, false}, {502, true, false}, {503, true, false},
	} {
		t.Run(http.StatusText(tt.status), func(t *testing.T) {
			requests := 0
			client := &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
				requests++
				return &http.Response{StatusCode: tt.status, Header: http.Header{"Location": {"https://evil.example"}}, Body: io.NopCloser(strings.NewReader("x")), Request: r}, nil
			})}
			hook, err := errtrack.NewWebhook(errtrack.WebhookConfig{URL: "https://hooks.example/key", Secret: secret, Client: client})
			require.NoError(t, err)
			synctest.Test(t, func(t *testing.T) {
				c := newCollector(t, errtrack.Config{Reporters: []errtrack.Reporter{hook}})
				stop := running(t, c)
				c.Track(t.Context(), text("x"))
				time.Sleep(3 * time.Second)
				stop()
				switch {
				case !tt.failed, tt.permanent:
					require.Equal(t, 1, requests)
				default:
					require.Greater(t, requests, 1)
				}
				require.Equal(t, tt.permanent, c.Stats().Failed == 1)
				require.Equal(t, tt.failed && !tt.permanent, c.Stats().Queued == 1)
			})
		})
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// The URL may be the only secret that protects the receiver.
func TestWebhookHidesItsURL(t *testing.T) {
	client := &http.Client{Transport: roundTrip(func(*http.Request) (*http.Response, error) { return nil, errors.New("refused") })}
	hook, err := errtrack.NewWebhook(errtrack.WebhookConfig{URL: "https://hooks.example/T0P/S3CRET", Secret: secret, Client: client})
	require.NoError(t, err)
	err = hook.Report(context.Background(), errtrack.Report{})
	require.ErrorContains(t, err, "refused")
	require.NotContains(t, err.Error(), "S3CRET")
}

func TestVerify(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var header string
		var body []byte
		client := &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
			header = r.Header.Get("X-Spark-Signature")
			body, _ = io.ReadAll(r.Body)
			return &http.Response{StatusCode: 200, Body: http.NoBody}, nil
		})}
		hook, err := errtrack.NewWebhook(errtrack.WebhookConfig{URL: "https://hooks.example", Secret: secret, Client: client})
		require.NoError(t, err)
		require.NoError(t, hook.Report(t.Context(), errtrack.Report{}))
		stamp, hex, ok := strings.Cut(header, ",")
		require.True(t, ok)
		for _, tt := range []struct {
			name   string
			secret []byte
			header string
			body   []byte
			want   bool
		}{
			{"good", secret, header, body, true},
			{"another secret", []byte("fedcba9876543210"), header, body, false},
			{"no secret", nil, header, body, false},
			{"another body", secret, header, append([]byte(" "), body...), false},
			{"another time", secret, "t=1," + hex, body, false},
			{"no time", secret, hex, body, false},
			{"no signature", secret, stamp, body, false},
			{"empty signature", secret, stamp + ",v1=", body, false},
			{"upper case", secret, stamp + "," + strings.ToUpper(hex), body, false},
			{"empty", secret, "", body, false},
			{"number out of range", secret, "t=99999999999999999999," + hex, body, false},
			{"more behind", secret, header + ",v1=x", body, false},
		} {
			require.Equal(t, tt.want, errtrack.Verify(tt.secret, tt.header, tt.body, 0), tt.name)
		}
		time.Sleep(5 * time.Minute)
		require.True(t, errtrack.Verify(secret, header, body, 0))
		time.Sleep(time.Second)
		require.False(t, errtrack.Verify(secret, header, body, 0), "too old")
		require.True(t, errtrack.Verify(secret, header, body, time.Hour))
	})
}

func FuzzVerify(f *testing.F) {
	f.Add("t=1,v1=00", []byte("{}"))
	f.Add("t=-1,", []byte(nil))
	f.Add(",", []byte("x"))
	f.Fuzz(func(t *testing.T, header string, body []byte) {
		require.False(t, errtrack.Verify(secret, header, body, 100*365*24*time.Hour), "nobody guesses it")
	})
}
