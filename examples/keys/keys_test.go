package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sparkhttp/spark/auth"
)

// call runs the command and returns what it writes.
func call(t *testing.T, code int, args ...string) (out, errs string) {
	t.Helper()
	return callEnv(t, code, "", args...)
}

func callEnv(t *testing.T, code int, peppers string, args ...string) (string, string) {
	t.Helper()
	var out, errs strings.Builder
	got := run(t.Context(), args, func(name string) string {
		return map[string]string{"SPARK_PEPPERS": peppers}[name]
	}, &out, &errs)
	require.Equal(t, code, got, "%s%s", out.String(), errs.String())
	return out.String(), errs.String()
}

// valid reports whether a server with the store of a place lets a key in.
func valid(t *testing.T, p place, key string, peppers ...auth.Pepper) bool {
	t.Helper()
	store, done, err := p.open(t.Context(), false)
	require.NoError(t, err)
	defer func() { require.NoError(t, done()) }()
	gate, err := auth.New(auth.Config{Store: store, Peppers: peppers})
	require.NoError(t, err)
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Header.Set("Authorization", "Bearer "+key)
	_, err = gate.Authenticate(r)
	return err == nil
}

func TestLife(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "odd ?name#%")
	require.NoError(t, os.Mkdir(dir, 0o700))
	for flag, p := range map[string]place{
		"-file": {file: filepath.Join(dir, "keys.json")}, "-sqlite": {sqlite: filepath.Join(dir, "keys.db")},
	} {
		t.Run(flag, func(t *testing.T) {
			path := p.file + p.sqlite
			_, errs := call(t, 1, flag, path, "list")
			require.NotEmpty(t, errs, "a mistyped path makes no store")
			require.NoFileExists(t, path)

			out, errs := call(t, 0, flag, path, "create", "-owner", "ada", "-name", "my laptop", "-plan", "pro", "-scopes", "read,write", "-meta", "team=7", "-ttl", "24h")
			key, table, _ := strings.Cut(out, "\n\n")
			require.Contains(t, errs, "can't be shown again")
			parsed, err := auth.ParseKey(key)
			require.NoError(t, err)
			require.Contains(t, table, parsed.ID())
			require.NotContains(t, table, key[30:])
			require.True(t, valid(t, p, key))

			out, _ = call(t, 0, flag, path, "list")
			require.NotContains(t, out, key[30:])
			for _, want := range []string{"OWNER", "ada", "my laptop", "pro", "read,write", "active"} {
				require.Contains(t, out, want)
			}

			out, _ = call(t, 0, flag, path, "-json", "rotate", "-overlap", "1h", parsed.ID())
			var rotated entry
			require.NoError(t, json.Unmarshal([]byte(out), &rotated))
			require.Equal(t, parsed.ID(), rotated.ID)
			require.WithinDuration(t, time.Now().Add(time.Hour), rotated.PreviousExpires, time.Minute)
			require.True(t, valid(t, p, key))
			require.True(t, valid(t, p, rotated.Key))

			call(t, 0, flag, path, "create", "-owner", "bob")
			out, _ = call(t, 0, "list", "-owner", "ada", "-json", flag, path)
			var listed entry
			require.NoError(t, json.Unmarshal([]byte(out), &listed), "one only")
			require.Equal(t, "active", listed.Status)
			require.Equal(t, map[string]string{"team": "7"}, listed.Metadata)
			require.Empty(t, listed.Key)
			require.NotContains(t, out, "current", "nor hashes")

			out, _ = call(t, 0, flag, path, "revoke", parsed.ID())
			require.Contains(t, out, "revoked")
			require.False(t, valid(t, p, key))
			require.False(t, valid(t, p, rotated.Key))
			_, errs = call(t, 1, flag, path, "rotate", parsed.ID())
			require.Contains(t, errs, "is revoked")
			_, errs = call(t, 1, flag, path, "revoke", "0123456789AB")
			require.Equal(t, "keys: auth: no such key\n", errs)
		})
	}
}

func TestPeppers(t *testing.T) {
	p := place{file: filepath.Join(t.TempDir(), "keys.json")}
	const text = "1:MDEyMzQ1Njc4OWFiY2RlZg=="
	out, _ := callEnv(t, 0, text, "-file", p.file, "-prefix", "spark_live", "-json", "create", "-owner", "ada")
	var made entry
	require.NoError(t, json.Unmarshal([]byte(out), &made))
	peppers, err := auth.ParsePeppers(text)
	require.NoError(t, err)
	require.True(t, valid(t, p, made.Key, peppers...))
	require.False(t, valid(t, p, made.Key))
	_, errs := callEnv(t, 1, "1:hunter2!", "-file", p.file, "list")
	require.Equal(t, "keys: SPARK_PEPPERS: auth: pepper 1 is not of the form version:base64\n", errs)
}

func TestMisused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys.json")
	tests := []struct {
		name string
		code int
		args []string
		want string
	}{
		{"help", 0, []string{"-help"}, "Usage: keys [flags] command"},
		{"help of a command", 0, []string{"-file", path, "create", "-help"}, "Usage: keys [flags] create"},
		{"nothing", 2, nil, "want a command"},
		{"unknown command", 2, []string{"-file", path, "destroy"}, "want a command"},
		{"unknown flag", 2, []string{"-fil", path, "list"}, "flag provided but not defined"},
		{"no place", 2, []string{"list"}, "want one of -file, -sqlite and -postgres"},
		{"two places", 2, []string{"-file", path, "-sqlite", path, "list"}, "want one of -file, -sqlite and -postgres"},
		{"no owner", 2, []string{"-file", path, "create"}, "want an -owner"},
		{"bad metadata", 2, []string{"-file", path, "create", "-owner", "ada", "-meta", "x"}, "want name=value"},
		{"negative ttl", 2, []string{"-file", path, "create", "-owner", "ada", "-ttl", "-1h"}, "want an -owner, a -ttl"},
		{"bad scope", 1, []string{"-file", path, "create", "-owner", "ada", "-scopes", "a b"}, `scope "a b" is not`},
		{"bad prefix", 1, []string{"-file", path, "-prefix", "A", "create", "-owner", "ada"}, `Prefix is "A"`},
		{"unreachable", 1, []string{"-postgres", "postgres://127.0.0.1:1/x?connect_timeout=1", "list"}, "keys: sqlstore: "},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			out, errs := call(t, tt.code, tt.args...)
			require.Contains(t, errs, tt.want)
			require.Empty(t, out)
		})
	}
	require.NoError(t, os.WriteFile(path, []byte(`{"version":1,"keys":[]}`), 0o600))
	for _, args := range [][]string{{"rotate"}, {"revoke", "x"}, {"revoke", "0123456789AB", "0123456789AB"}} {
		_, errs := call(t, 2, append([]string{"-file", path}, args...)...)
		require.Contains(t, errs, "want one id of a key")
	}
	_, errs := call(t, 2, "-file", path, "list", "more")
	require.Contains(t, errs, "want nothing after the flags")
	out, _ := call(t, 0, "-file", path, "-json", "list")
	require.Empty(t, out)
}
