package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// fakeKubectl writes its arguments down, and answers with what its files say.
const fakeKubectl = `#!/bin/sh
echo "$*" >>"$FAKE/calls"
case "$*" in
"get deployment"*) cat "$FAKE/revision" ;;
"get secret generate-smoke"*) printf key | base64 ;;
"apply -f -") cat >"$FAKE/applied" ;;
"rollout status"*) exit "$(cat "$FAKE/status")" ;;
esac
`

// deployment is deploy.sh with a kubectl that only writes down.
type deployment struct {
	t   *testing.T
	dir string
}

func newDeployment(t *testing.T) deployment {
	t.Helper()
	for _, program := range []string{"bash", "curl", "jq"} {
		tool(t, program, program)
	}
	d := deployment{t: t, dir: t.TempDir()}
	require.NoError(t, os.WriteFile(filepath.Join(d.dir, "kubectl"), []byte(fakeKubectl), 0o700))
	d.set("revision", "7")
	d.set("status", "0")
	return d
}

func (d deployment) set(file, text string) {
	d.t.Helper()
	require.NoError(d.t, os.WriteFile(filepath.Join(d.dir, file), []byte(text), 0o600))
}

func (d deployment) read(file string) string {
	text, _ := os.ReadFile(filepath.Join(d.dir, file))
	return string(text)
}

func (d deployment) run(env []string, args ...string) (string, error) {
	cmd := exec.CommandContext(d.t.Context(), "deploy/deploy.sh", args...)
	cmd.Env = append(os.Environ(), "FAKE="+d.dir, "PATH="+d.dir+":"+os.Getenv("PATH"))
	cmd.Env = append(cmd.Env, env...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func TestDeployApply(t *testing.T) {
	image := "ghcr.io/sparkhttp/spark/generate@sha256:" + strings.Repeat("0a", 32)
	t.Run("an image by its digest", func(t *testing.T) {
		d := newDeployment(t)
		out, err := d.run(nil, "apply", image)
		require.NoError(t, err, out)
		require.Contains(t, d.read("applied"), "\n          image: "+image+"\n")
		require.Equal(t, "apply -f -\nrollout status deployment/generate --timeout=5m\n", d.read("calls"))
	})
	t.Run("it fails if the image never gets ready", func(t *testing.T) {
		d := newDeployment(t)
		d.set("status", "1")
		_, err := d.run(nil, "apply", image)
		require.Error(t, err)
	})
	for _, bad := range []string{"ghcr.io/sparkhttp/spark/generate:latest", image + "\nx", image + "|e", "", "$(id)@sha256:" + strings.Repeat("0", 64)} {
		t.Run(fmt.Sprintf("not %q", bad), func(t *testing.T) {
			d := newDeployment(t)
			out, err := d.run(nil, "apply", bad)
			require.Error(t, err)
			require.Contains(t, out, "is not pinned")
			require.Empty(t, d.read("calls"))
		})
	}
}

func TestDeployRollback(t *testing.T) {
	undo := "rollout undo deployment/generate --to-revision=6\nrollout status deployment/generate --timeout=5m\n"
	tests := []struct {
		name, revision, to string
		calls              string // after that for the revision
		says               string
		fails              bool
	}{
		{"to what ran before", "7", "6", undo, "", false},
		{"nothing was changed", "6", "6", "", "nothing to take back", false},
		{"the first deployment", "1", "0", "", "no revision before", true},
		{"nothing ever ran", "", "0", "", "nothing to take back", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := newDeployment(t)
			d.set("revision", tt.revision)
			out, err := d.run(nil, "rollback", tt.to)
			require.Equal(t, tt.fails, err != nil, out)
			require.Contains(t, out, tt.says)
			first, rest, _ := strings.Cut(d.read("calls"), "\n")
			require.Contains(t, first, "get deployment generate")
			require.Equal(t, tt.calls, rest)
		})
	}
	_, err := newDeployment(t).run(nil, "rollback", "--help")
	require.Error(t, err)
}

// TestDeploySmoke tries a service that works, and some that don't. The load test
// is one that says how it was called.
func TestDeploySmoke(t *testing.T) {
	tests := []struct {
		name          string
		ready, noKey  int
		load          string
		fails, loaded bool
	}{
		{"works", 200, 401, "exit 0", false, true},
		{"a threshold is broken", 200, 401, "exit 1", true, true},
		{"answers without a key", 200, 200, "exit 0", true, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				status := tt.noKey
				if r.URL.Path == "/readyz" {
					status = tt.ready
				}
				w.WriteHeader(status)
			}))
			defer srv.Close()
			d := newDeployment(t)
			load := filepath.Join(d.dir, "loadtest")
			require.NoError(t, os.WriteFile(load, []byte("#!/bin/sh\necho \"$SPARK_KEY $*\" >\"$FAKE/load\"\n"+tt.load+"\n"), 0o700))
			out, err := d.run([]string{"LOADTEST=" + load}, "smoke", srv.URL)
			require.Equal(t, tt.fails, err != nil, out)
			if !tt.loaded {
				require.Empty(t, d.read("load"))
				return
			}
			require.Contains(t, d.read("load"), "key -target "+srv.URL+"/api/spark/generate -allow-host 127.0.0.1 ")
			require.Contains(t, d.read("load"), "-max-error-rate 0 -max-limited-rate 0 -max-p95 30s smoke")
		})
	}
}

// TestDeployToken plays GitHub: what kubectl gets is the token, and the one that
// asks for it is in no argument.
func TestDeployToken(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "bearer request-token" || r.URL.Query().Get("audience") != "generate" {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		fmt.Fprint(w, `{"value":"id-token"}`)
	}))
	defer srv.Close()
	env := []string{"ACTIONS_ID_TOKEN_REQUEST_TOKEN=request-token", "ACTIONS_ID_TOKEN_REQUEST_URL=" + srv.URL + "/?v=1", "KUBE_AUDIENCE=generate"}
	out, err := newDeployment(t).run(env, "token")
	require.NoError(t, err, out)
	require.Contains(t, out, `"kind": "ExecCredential"`)
	require.Contains(t, out, `"token": "id-token"`)

	d := newDeployment(t)
	config := filepath.Join(d.dir, "config")
	out, err = d.run([]string{"KUBECONFIG=" + config, "KUBE_SERVER=https://k8s.example", "KUBE_CA=Q0E=", "KUBE_NAMESPACE=spark"}, "login")
	require.NoError(t, err, out)
	require.Contains(t, d.read("config"), `"server": "https://k8s.example"`)
	require.NotContains(t, d.read("config"), "id-token")
}
