package drivers_test

import (
	"bytes"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"
	"github.com/stretchr/testify/require"
)

// server is a PostgreSQL server that only this test knows of: its data and its
// socket are in a temporary directory, and it listens on no port.
type server struct {
	dir string
	cmd *exec.Cmd
	out bytes.Buffer
}

// errNoServer says that PostgreSQL is not installed.
var errNoServer = errors.New("PostgreSQL is not installed: no initdb in PATH or /usr/lib/postgresql/*/bin")

// started starts the server once for all tests.
var started = sync.OnceValues(startServer)

func TestMain(m *testing.M) {
	code := m.Run()
	if s, _ := started(); s != nil && s.cmd != nil {
		s.stop()
	}
	os.Exit(code)
}

// postgres returns an empty database, or skips the test if there is no server
// to be had; where CI is set that is a failure.
func postgres(t *testing.T) func() *sql.DB {
	t.Helper()
	s, err := started()
	if errors.Is(err, errNoServer) && os.Getenv("CI") == "" {
		t.Skip(err)
	}
	require.NoError(t, err)
	schema := fmt.Sprintf("test_%d", time.Now().UnixNano())
	admin := s.open(t, "public")
	_, err = admin.ExecContext(t.Context(), "CREATE SCHEMA "+schema)
	require.NoError(t, err)
	return func() *sql.DB { return s.open(t, schema) }
}

func (s *server) open(t *testing.T, schema string) *sql.DB {
	t.Helper()
	db, err := sql.Open("pgx", fmt.Sprintf("host=%s user=postgres dbname=postgres search_path=%s", s.dir, schema))
	require.NoError(t, err)
	db.SetMaxOpenConns(8)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	return db
}

func startServer() (s *server, err error) {
	initdb, err := find("initdb")
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "spark-pg-")
	if err != nil {
		return nil, err
	}
	s = &server{dir: dir}
	defer func() {
		if err != nil {
			s.stop()
		}
	}()
	attr, err := owner(dir)
	if err != nil {
		return s, err
	}
	data := filepath.Join(dir, "data")
	create := exec.Command(initdb, "--pgdata="+data, "--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync")
	create.Dir, create.SysProcAttr = dir, attr
	if out, err := create.CombinedOutput(); err != nil {
		return s, fmt.Errorf("initdb: %w\n%s", err, out)
	}
	s.cmd = exec.Command(filepath.Join(filepath.Dir(initdb), "postgres"), "-D", data, "-k", dir, "-c", "listen_addresses=", "-c", "fsync=off")
	s.cmd.Dir, s.cmd.SysProcAttr, s.cmd.Stdout, s.cmd.Stderr = dir, attr, &s.out, &s.out
	if err := s.cmd.Start(); err != nil {
		s.cmd = nil
		return s, err
	}
	return s, s.wait()
}

// owner gives a directory to the user that the server runs as: it refuses to run
// as root.
func owner(dir string) (*syscall.SysProcAttr, error) {
	if os.Getuid() != 0 {
		return nil, nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		return nil, err
	}
	uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
	gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
	if err := errors.Join(err1, err2, os.Chown(dir, int(uid), int(gid))); err != nil {
		return nil, err
	}
	return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}, nil
}

// wait waits until the server answers.
func (s *server) wait() error {
	db, err := sql.Open("pgx", "host="+s.dir+" user=postgres dbname=postgres")
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	for range 600 {
		if err = db.Ping(); err == nil {
			return nil
		}
		time.Sleep(50 * time.Millisecond) // a process: there is nothing else to wait on
	}
	return fmt.Errorf("PostgreSQL doesn't answer: %w", err)
}

// stop ends the server and removes all that it had.
func (s *server) stop() {
	if s.cmd != nil {
		_ = s.cmd.Process.Signal(syscall.SIGQUIT) // at once: the data is thrown away
		_ = s.cmd.Wait()
	}
	if err := os.RemoveAll(s.dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
}

// find returns a program of PostgreSQL, of the newest version that there is.
func find(name string) (string, error) {
	if path, err := exec.LookPath(name); err == nil {
		return path, nil
	}
	paths, err := filepath.Glob("/usr/lib/postgresql/*/bin/" + name)
	if err != nil || len(paths) == 0 {
		return "", errNoServer
	}
	version := func(path string) int {
		n, _ := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(path)))) // 0 for what is none
		return n
	}
	return slices.MaxFunc(paths, func(a, b string) int { return version(a) - version(b) }), nil
}
