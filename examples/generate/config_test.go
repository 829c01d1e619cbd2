package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sparkhttp/spark/sanitize"
)

func env(pairs ...string) func(string) string {
	return func(name string) string {
		for i := 0; i < len(pairs); i += 2 {
			if pairs[i] == name {
				return pairs[i+1]
			}
		}
		return ""
	}
}

func TestConfig(t *testing.T) {
	tests := []struct {
		name string
		args []string
		env  []string
		want func(t *testing.T, c config)
	}{
		{"defaults", nil, nil, func(t *testing.T, c config) {
			require.Equal(t, "localhost:8080", c.addr)
			require.Equal(t, []string{"local"}, c.providers)
			require.Equal(t, sanitize.ModeBlock, c.sanitize)
			require.False(t, c.exemptMaster)
		}},
		{"providers with a key", nil, []string{"OPENAI_API_KEY", "o", "ANTHROPIC_API_KEY", "a"}, func(t *testing.T, c config) {
			require.Equal(t, []string{"claude", "openai"}, c.providers)
		}},
		{"order", []string{"-providers", "openai, claude"}, []string{"OPENAI_API_KEY", "o", "ANTHROPIC_API_KEY", "a"}, func(t *testing.T, c config) {
			require.Equal(t, []string{"openai", "claude"}, c.providers)
		}},
		{"environment", nil, []string{"SPARK_CACHE_TTL", "5s", "SPARK_ADDR", ":1", "SPARK_SANITIZE", "shadow"}, func(t *testing.T, c config) {
			require.Equal(t, 5*time.Second, c.cacheTTL)
			require.Equal(t, ":1", c.addr)
			require.Equal(t, sanitize.ModeShadow, c.sanitize)
		}},
		{"flags before the environment", []string{"-addr", ":2"}, []string{"SPARK_ADDR", ":1"}, func(t *testing.T, c config) {
			require.Equal(t, ":2", c.addr)
		}},
		{"proxies", []string{"-trusted-proxies", "10.0.0.0/8, 192.0.2.1"}, nil, func(t *testing.T, c config) {
			require.Equal(t, "[10.0.0.0/8 192.0.2.1/32]", fmt.Sprint(c.trustedProxies))
		}},
		{"master keys", nil, []string{"SPARK_MASTER_KEYS", "one,, two"}, func(t *testing.T, c config) {
			require.Equal(t, []string{"one", "two"}, c.masterKeys)
		}},
		{"all calls fail", []string{"-local-hang"}, nil, func(t *testing.T, c config) { require.Zero(t, c.local.Spared) }},
		{"no call fails", []string{"-local-share", "0"}, nil, func(t *testing.T, c config) { require.InDelta(t, 1, c.local.Spared, 0) }},
		{"overload", []string{"-local-overload"}, nil, func(t *testing.T, c config) { require.Equal(t, 529, c.local.Status) }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, err := parseConfig(tt.args, env(tt.env...), io.Discard)
			require.NoError(t, err)
			tt.want(t, c)
		})
	}
}

func TestConfigRefuses(t *testing.T) {
	tests := []struct {
		name string
		args []string
		err  string
	}{
		{"provider without a key", []string{"-providers", "claude"}, "ANTHROPIC_API_KEY is not set"},
		{"another one", []string{"-providers", "openai,local"}, "OPENAI_API_KEY is not set"},
		{"unknown provider", []string{"-providers", "gemini"}, `names "gemini"`},
		{"twice", []string{"-providers", "local,local"}, "names local twice"},
		{"no requests", []string{"-requests-per-minute", "0"}, "want at least 1"},
		{"no time", []string{"-provider-timeout", "0"}, "-provider-timeout is 0s, want more than 0"},
		{"time without end", []string{"-provider-timeout", "2562047h"}, "at most 24h"},
		{"no window", []string{"-breaker-window", "0"}, "want more than 0"},
		{"no time to recover", []string{"-breaker-open", "0"}, "want more than 0"},
		{"cache", []string{"-cache-ttl", "-1s"}, "-cache-ttl is -1s, want at least 0"},
		{"shutdown", []string{"-shutdown-timeout", "-1s"}, "want at least 0"},
		{"no requests at once", []string{"-concurrent-requests", "0"}, "want at least 1"},
		{"no tokens", []string{"-tokens-per-minute", "0"}, "want at least 1"},
		{"no answer", []string{"-max-tokens", "0"}, "want at least 1"},
		{"latency", []string{"-local-latency", "-1s"}, "want at least 0"},
		{"gap", []string{"-local-gap", "-1s"}, "want at least 0"},
		{"cut", []string{"-local-cut", "-1"}, "want at least 0"},
		{"status that is no error", []string{"-local-status", "200"}, "want 400 to 599, or 0"},
		{"status that is none", []string{"-local-status", "600"}, "want 400 to 599, or 0"},
		{"share", []string{"-local-share", "2"}, "-local-share is 2, want 0 to 1"},
		{"share that is no number", []string{"-local-share", "NaN"}, "want 0 to 1"},
		{"proxies", []string{"-trusted-proxies", "proxy"}, "neither a network"},
		{"sanitize", []string{"-sanitize", "maybe"}, "want off, shadow, warn or block"},
		{"argument", []string{"now"}, "unexpected argument"},
		{"flag", []string{"-nonsense"}, "not defined"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := parseConfig(tt.args, env(), io.Discard)
			require.ErrorContains(t, err, tt.err)
		})
	}
	for name, value := range map[string]string{
		"SPARK_CACHE_TTL": "soon", "SPARK_SANITIZE": "maybe", "SPARK_TRUSTED_PROXIES": "proxy",
		"ANTHROPIC_BASE_URL": "::", "OPENAI_BASE_URL": "api.openai.com/v1",
	} {
		_, err := parseConfig(nil, env(name, value), io.Discard)
		require.ErrorContains(t, err, name)
	}
}

func TestPrices(t *testing.T) {
	file := filepath.Join(t.TempDir(), "prices.json")
	for _, wrong := range []string{`{"lokal":[]}`, `{"local":[{"Nmae":"echo-1","Input":1}]}`, `{"local":`, `[]`} {
		require.NoError(t, os.WriteFile(file, []byte(wrong), 0o600))
		c, err := parseConfig([]string{"-prices", file}, env(), io.Discard)
		require.NoError(t, err)
		_, err = newServer(c, slog.New(slog.DiscardHandler))
		require.ErrorContains(t, err, file, wrong)
	}
	require.NoError(t, os.WriteFile(file, []byte(`{"local":[{"Name":"echo-1","Input":1000000,"Output":2000000}]}`), 0o600))
	c := start(t, nil, "-prices", file)
	r := c.prompt("hello") // 2 tokens in, 3 out
	require.Equal(t, http.StatusOK, r.StatusCode)
	require.InDelta(t, 2+2*3, c.metric("spark_gen_ai_cost_usd_total"), 0.01)
}

// buffer is a Writer that can be read while it is written to.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// What the program prints at its start works when it is pasted.
func TestGreeting(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	var out, logs buffer
	ended := make(chan error, 1)
	go func() { ended <- run(ctx, []string{"-addr", "127.0.0.1:0"}, env(), &out, &logs) }()
	line := regexp.MustCompile(`curl (\S+) -H "Authorization: Bearer (\S+)" -H 'Content-Type: application/json' -d '(.*)'\n`)
	eventually(t, func() bool { return line.MatchString(out.String()) }, "it greets")
	m := line.FindStringSubmatch(out.String())
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, m[1], strings.NewReader(m[3]))
	require.NoError(t, err)
	req.Header.Set("Authorization", "Bearer "+m[2])
	req.Header.Set("Content-Type", "application/json")
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	require.NoError(t, err)
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Contains(t, string(body), `"text":"You said: Hello, SPARK!"`)
	stop()
	require.NoError(t, <-ended)
	require.NotContains(t, logs.String(), m[2], "a key is never logged")
	require.NotContains(t, logs.String(), "Hello, SPARK", "nor is a prompt")
	require.Contains(t, logs.String(), `"request_id":"`)
}

// The program, as a process: SIGTERM lets a stream end, and a second one ends the
// program whatever runs.
func TestSignals(t *testing.T) {
	for _, tt := range []struct {
		name, gap, again string
	}{{name: "SIGTERM", gap: "20ms"}, {name: "twice", gap: "1h", again: "yes"}} {
		t.Run(tt.name, func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-addr", "127.0.0.1:0", "-local-gap", tt.gap, "-provider-timeout", "24h")
			cmd.Env = append(os.Environ(), "GENERATE_TEST=run", "SPARK_MASTER_KEYS=a-master-key")
			var out, logs buffer
			cmd.Stdout, cmd.Stderr = &out, &logs
			require.NoError(t, cmd.Start())
			address := regexp.MustCompile(`Listening on (\S+) `)
			eventually(t, func() bool { return address.MatchString(out.String()) }, "it listens")
			c := &service{t: t, url: address.FindStringSubmatch(out.String())[1], key: "a-master-key"}
			c.client = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
			resp := c.stream(t.Context(), "one two three")
			_, err := io.ReadFull(resp.Body, make([]byte, len("event: delta")))
			require.NoError(t, err)
			require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
			eventually(t, func() bool { return strings.Contains(logs.String(), "shutting down") }, "it is told")
			if tt.again != "" {
				require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
				_, err := io.ReadAll(resp.Body)
				require.Error(t, err)
				require.ErrorContains(t, cmd.Wait(), "terminated")
			} else {
				text, err := io.ReadAll(resp.Body)
				require.NoError(t, err)
				require.Contains(t, string(text), "event: done")
				require.NoError(t, cmd.Wait())
			}
			require.NoError(t, resp.Body.Close())
		})
	}
}

// A port that somebody else has is an error at start.
func TestPortInUse(t *testing.T) {
	c := start(t, nil)
	err := run(t.Context(), []string{"-addr", strings.TrimPrefix(c.url, "http://")}, env(), io.Discard, io.Discard)
	require.ErrorContains(t, err, "address already in use")
}
