package auth_test

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sparkhttp/spark/auth"
	"github.com/sparkhttp/spark/auth/authtest"
)

// opened is a File that looks at the disk with every lookup, and what it says
// of what it finds.
type opened struct {
	*auth.File
	path    string
	reports []error
}

func openFile(t *testing.T, path string) *opened {
	t.Helper()
	o := &opened{path: path}
	var err error
	o.File, err = auth.OpenFile(auth.FileConfig{Path: path, Create: true, CheckEvery: 1, OnReload: func(_ context.Context, err error) {
		o.reports = append(o.reports, err)
	}})
	require.NoError(t, err)
	return o
}

// has reports whether the store knows an id, after a moment in which it may
// look again.
func (o *opened) has(t *testing.T, id string) bool {
	t.Helper()
	time.Sleep(time.Microsecond) // CheckEvery is less than that
	_, err := o.Lookup(t.Context(), id)
	if err != nil {
		require.ErrorIs(t, err, auth.ErrNotFound)
	}
	return err == nil
}

func create(t *testing.T, store auth.Store) auth.KeyInfo {
	t.Helper()
	m, err := auth.NewManager(auth.ManagerConfig{Store: store})
	require.NoError(t, err)
	_, info, err := m.Create(t.Context(), auth.KeyInfo{Owner: "ada"})
	require.NoError(t, err)
	return info
}

func TestConformance(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys.json")
	file, err := auth.OpenFile(auth.FileConfig{Path: path, Create: true})
	require.NoError(t, err)
	cached, err := auth.NewCached(auth.CachedConfig{Store: auth.NewMemory()})
	require.NoError(t, err)
	for name, store := range map[string]auth.Store{"Memory": auth.NewMemory(), "zero Memory": new(auth.Memory), "File": file, "Cached": cached} {
		t.Run(name, func(t *testing.T) { require.NoError(t, authtest.TestStore(t.Context(), store)) })
	}
}

func TestFileOpen(t *testing.T) {
	dir := t.TempDir()
	_, err := auth.OpenFile(auth.FileConfig{})
	require.EqualError(t, err, "auth: Path is required")
	path := filepath.Join(dir, "missing.json")
	_, err = auth.OpenFile(auth.FileConfig{Path: path})
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.ErrorContains(t, err, path)
	_, err = auth.OpenFile(auth.FileConfig{Path: dir})
	require.Error(t, err, "a directory")
	file, err := auth.OpenFile(auth.FileConfig{Path: path, Create: true})
	require.NoError(t, err)
	require.NoFileExists(t, path, "opening makes nothing")
	require.Error(t, openFile(t, filepath.Join(dir, "no", "such", "dir")).Update(t.Context(), nil))
	info := create(t, file)
	again, err := auth.OpenFile(auth.FileConfig{Path: path})
	require.NoError(t, err)
	_, err = again.Lookup(t.Context(), info.ID)
	require.NoError(t, err)
}

// The file is its owner's, whatever the umask, and nothing is left beside it.
func TestFileMode(t *testing.T) {
	dir := t.TempDir()
	o := openFile(t, filepath.Join(dir, "keys.json"))
	for range 3 {
		create(t, o)
	}
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, entries, 2, "the file and its lock")
	for _, e := range entries {
		info, err := e.Info()
		require.NoError(t, err)
		require.Equal(t, fs.FileMode(0o600), info.Mode().Perm(), e.Name())
	}
	text, err := os.ReadFile(o.path)
	require.NoError(t, err)
	require.Contains(t, string(text), `"owner": "ada"`)
}

func TestFileSymlink(t *testing.T) {
	dir := t.TempDir()
	target, link := filepath.Join(dir, "target.json"), filepath.Join(dir, "link.json")
	require.NoError(t, os.WriteFile(target, []byte(`{"version":1,"keys":[]}`), 0o600))
	require.NoError(t, os.Symlink(target, link))
	info := create(t, openFile(t, link))
	require.True(t, openFile(t, target).has(t, info.ID))
	got, err := os.Readlink(link)
	require.NoError(t, err)
	require.Equal(t, target, got)
}

// What another process writes is seen; what it writes last doesn't undo what
// this one has written.
func TestFileReload(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys.json")
	a, b := openFile(t, path), openFile(t, path)
	first := create(t, a)
	require.True(t, b.has(t, first.ID))
	second := create(t, b)
	third := create(t, a)
	for _, o := range []*opened{a, b} {
		for _, info := range []auth.KeyInfo{first, second, third} {
			require.True(t, o.has(t, info.ID))
		}
		for _, err := range o.reports {
			require.NoError(t, err)
		}
	}
	require.NotEmpty(t, b.reports)
	n := len(b.reports)
	require.True(t, b.has(t, first.ID))
	require.Len(t, b.reports, n, "nothing has changed")
}

// A file that was replaced is another one, though it looks the same.
func TestFileReplaced(t *testing.T) {
	o := openFile(t, filepath.Join(t.TempDir(), "keys.json"))
	info := create(t, o)
	text, err := os.ReadFile(o.path)
	require.NoError(t, err)
	stat, err := os.Stat(o.path)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(o.path+".new", []byte(strings.Replace(string(text), "ada", "bob", 1)), 0o600))
	require.NoError(t, os.Chtimes(o.path+".new", stat.ModTime(), stat.ModTime()))
	require.NoError(t, os.Rename(o.path+".new", o.path))
	require.True(t, o.has(t, info.ID))
	rec, err := o.Lookup(t.Context(), info.ID)
	require.NoError(t, err)
	require.Equal(t, "bob", rec.Owner)
}

// A file that can't be used is reported, once, and changes nothing; nor is it
// overwritten.
func TestFileCorrupt(t *testing.T) {
	o := openFile(t, filepath.Join(t.TempDir(), "keys.json"))
	info := create(t, o)
	good, err := os.ReadFile(o.path)
	require.NoError(t, err)
	entry := string(good[strings.Index(string(good), "{\n      "):strings.LastIndex(string(good), "\n  ]")])
	tests := []struct{ name, text, want string }{
		{"empty", "", "is corrupt: EOF"},
		{"cut", string(good[:len(good)/2]), "is corrupt: unexpected EOF"},
		{"not JSON", "keys: []", "is corrupt: invalid character"},
		{"more after the end", string(good) + "{}", "there is more after its end"},
		{"no version", `{"keys":[]}`, "has version 0, want 1"},
		{"newer version", `{"version":2,"keys":[]}`, "has version 2, want 1"},
		{"unknown field", strings.Replace(string(good), `"owner"`, `"color": "red", "owner"`, 1), "unknown field"},
		{"null", `{"version":1,"keys":[null]}`, "key 1 is null"},
		{"bad id", strings.Replace(string(good), info.ID, "x", 1), `key 1: auth: ID is "x"`},
		{"no owner", strings.Replace(string(good), `"ada"`, `""`, 1), "key 1: auth: Owner is required"},
		{"bad hash", strings.Replace(string(good), `"current": "0:`, `"current": "0:!`, 1), "malformed hash"},
		{"no hash", `{"version":1,"keys":[{"id":"` + info.ID + `","prefix":"p","owner":"o","created":"2026-01-01T00:00:00Z"}]}`, "has no hash"},
		{"bad prefix", strings.Replace(string(good), `"spark_live"`, `"Spark"`, 1), "Prefix is"},
		{"twice", strings.Replace(string(good), entry, entry+","+entry, 1), "is there twice"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o.reports = nil
			require.NoError(t, os.WriteFile(o.path, []byte(tt.text), 0o600))
			for range 3 {
				require.True(t, o.has(t, info.ID))
			}
			require.Len(t, o.reports, 1)
			require.ErrorContains(t, o.reports[0], tt.want)
			err := o.Update(t.Context(), func(old *auth.Record) (*auth.Record, error) { return old, nil }, info.ID)
			require.ErrorContains(t, err, tt.want)
			now, err := os.ReadFile(o.path)
			require.NoError(t, err)
			require.Equal(t, tt.text, string(now))
			_, err = auth.OpenFile(auth.FileConfig{Path: o.path})
			require.ErrorContains(t, err, tt.want)
			require.NoError(t, os.WriteFile(o.path, good, 0o600))
			require.True(t, o.has(t, info.ID))
			require.Len(t, o.reports, 2)
			require.NoError(t, o.reports[1], "mended")
		})
	}
	t.Run("gone", func(t *testing.T) {
		o.reports = nil
		require.NoError(t, os.Remove(o.path))
		for range 3 {
			require.True(t, o.has(t, info.ID))
		}
		require.Len(t, o.reports, 1)
		require.ErrorIs(t, o.reports[0], fs.ErrNotExist)
		require.ErrorIs(t, o.Update(t.Context(), func(old *auth.Record) (*auth.Record, error) { return old, nil }, info.ID), fs.ErrNotExist)
		require.NoFileExists(t, o.path)
	})
}

// Who has the file open while it is replaced reads all of the old one, and
// nothing is left beside the new one but the lock.
func TestFileReplacedAsAWhole(t *testing.T) {
	dir := t.TempDir()
	o := openFile(t, filepath.Join(dir, "keys.json"))
	create(t, o)
	before, err := os.ReadFile(o.path)
	require.NoError(t, err)
	reader, err := os.Open(o.path)
	require.NoError(t, err)
	defer func() { require.NoError(t, reader.Close()) }()
	create(t, o)
	read, err := io.ReadAll(reader)
	require.NoError(t, err)
	require.Equal(t, string(before), string(read))
	after, err := os.ReadFile(o.path)
	require.NoError(t, err)
	require.Greater(t, len(after), len(before))
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	for _, e := range entries {
		require.Contains(t, []string{"keys.json", "keys.json.lock"}, e.Name())
	}
}

// If the new file can't be put in place, all stays as it was.
func TestFileUpdateFails(t *testing.T) {
	dir := t.TempDir()
	o := openFile(t, filepath.Join(dir, "keys.json"))
	info := create(t, o)
	errChange := errors.New("no")
	before, err := os.ReadFile(o.path)
	require.NoError(t, err)
	calls := 0
	err = o.Update(t.Context(), func(old *auth.Record) (*auth.Record, error) {
		if calls++; calls == 2 {
			return nil, errChange
		}
		old.Owner = "bob"
		return old, nil
	}, info.ID, info.ID)
	require.ErrorIs(t, err, errChange)
	after, err := os.ReadFile(o.path)
	require.NoError(t, err)
	require.Equal(t, before, after, "all or none")
	rec, err := o.Lookup(t.Context(), info.ID)
	require.NoError(t, err)
	require.Equal(t, "ada", rec.Owner)
}

// helper is set where the test binary is one of several processes that write
// one file.
const helper = "AUTH_TEST_FILE"

// Several processes that write at once lose nothing.
func TestFileProcesses(t *testing.T) {
	const each = 20
	if path := os.Getenv(helper); path != "" {
		o := openFile(t, path)
		for range each {
			create(t, o)
		}
		return
	}
	path := filepath.Join(t.TempDir(), "keys.json")
	var wg sync.WaitGroup
	outs, errs := make([]string, 3), make([]error, 3)
	for i := range outs {
		wg.Go(func() {
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestFileProcesses$", "-test.count="+strconv.Itoa(1))
			cmd.Env = append(os.Environ(), helper+"="+path)
			out, err := cmd.CombinedOutput()
			outs[i], errs[i] = string(out), err
		})
	}
	wg.Wait()
	for i, err := range errs {
		require.NoError(t, err, outs[i])
	}
	n := 0
	for _, err := range openFile(t, path).List(t.Context()) {
		require.NoError(t, err)
		n++
	}
	require.Equal(t, len(outs)*each, n)
}

// Readers never wait for writers, and see the old or the new state.
func TestFileParallel(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys.json")
	a, err := auth.OpenFile(auth.FileConfig{Path: path, Create: true, CheckEvery: 1})
	require.NoError(t, err)
	info := create(t, a)
	b, err := auth.OpenFile(auth.FileConfig{Path: path, CheckEvery: 1})
	require.NoError(t, err)
	done := make(chan struct{})
	var wg sync.WaitGroup
	for _, f := range []*auth.File{a, b} {
		wg.Go(func() {
			for seen := ""; ; {
				rec, err := f.Lookup(t.Context(), info.ID)
				require.NoError(t, err)
				require.GreaterOrEqual(t, len(rec.Plan), len(seen))
				seen = rec.Plan
				select {
				case <-done:
					return
				default:
				}
			}
		})
	}
	for range 50 {
		require.NoError(t, a.Update(t.Context(), func(old *auth.Record) (*auth.Record, error) {
			old.Plan += "x"
			return old, nil
		}, info.ID))
	}
	close(done)
	wg.Wait()
}
