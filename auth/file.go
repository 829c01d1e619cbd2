package auth

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// fileVersion is that of the form of the file.
const fileVersion = 1

// FileConfig says where a [File] is and who is told about it.
type FileConfig struct {
	// Path is the file. Required.
	Path string
	// Create lets the file be missing when it is opened: it is made by the
	// first Update. Otherwise a missing file is an error, as a mistyped path
	// should be.
	Create bool
	// CheckEvery is how often a lookup looks whether the file has changed, and
	// so, besides the time to read it, the longest time until a change by
	// another process is noticed. Default: 1 second. Negative: never.
	CheckEvery time.Duration
	// OnReload is told when the file was read again, and with an error, once per
	// change, when what it holds now can't be used. Optional.
	OnReload func(context.Context, error)
}

// File is a [Store] in a JSON file, for up to some thousands of keys: they are
// all in memory, and every Update writes them all.
//
// The file is replaced as a whole, so that a reader finds the old or the new
// state, whatever happens, and only its owner may read it (mode 0600). It may be
// changed by several processes, as by a server and a command: they wait for each
// other with a lock on a file beside it, Path + ".lock" (not on Windows, Solaris
// and AIX, where only one process may write). They have to run as one user, since
// whoever writes the file owns it afterwards. A changed file is read again. If
// it can't be read, or if anything in it is wrong, the last good state stays in
// force, OnReload is told, and nothing is written until the file is mended.
//
// A File is safe for use by several goroutines.
type File struct {
	cfg     FileConfig
	start   time.Time
	next    atomic.Int64 // when to look at the file again, in ns after start
	state   atomic.Pointer[fileState]
	writing chan struct{} // holds one while an Update is at work or waits for another process
	mu      sync.Mutex    // held while the file is read or written
	tried   stamp         // what was read last, for good or bad; guarded by mu
	bad     error         // what was wrong with it; guarded by mu
}

// fileState is what the file held. It isn't changed, but replaced.
type fileState struct{ records map[string]*Record }

// stamp tells one version of a file from another.
type stamp struct {
	info fs.FileInfo // nil if there is no file
}

func (s stamp) same(t stamp) bool {
	if s.info == nil || t.info == nil {
		return s.info == nil && t.info == nil
	}
	return os.SameFile(s.info, t.info) && s.info.Size() == t.info.Size() && s.info.ModTime().Equal(t.info.ModTime())
}

// document is the form of the file.
type document struct {
	Version int       `json:"version"`
	Keys    []*Record `json:"keys"`
}

// OpenFile reads the file. It fails if there is no file, unless Create is set,
// and if anything in it is wrong.
func OpenFile(cfg FileConfig) (*File, error) {
	if cfg.Path == "" {
		return nil, errors.New("auth: Path is required")
	}
	if cfg.CheckEvery == 0 {
		cfg.CheckEvery = time.Second
	}
	f := &File{cfg: cfg, start: time.Now(), writing: make(chan struct{}, 1)}
	f.state.Store(&fileState{})
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, err := f.readLocked(); err != nil {
		return nil, err
	}
	if f.tried.info == nil && !cfg.Create {
		return nil, fmt.Errorf("auth: no file of keys: %w", &fs.PathError{Op: "open", Path: cfg.Path, Err: fs.ErrNotExist})
	}
	f.next.Store(int64(max(0, cfg.CheckEvery)))
	return f, nil
}

// Lookup implements [KeyStore]. It never fails otherwise than with [ErrNotFound].
func (f *File) Lookup(ctx context.Context, id string) (*Record, error) {
	f.check(ctx)
	rec := f.state.Load().records[id]
	if rec == nil {
		return nil, ErrNotFound
	}
	return rec, nil
}

// List implements [Store].
func (f *File) List(ctx context.Context) iter.Seq2[*Record, error] {
	return func(yield func(*Record, error) bool) {
		f.check(ctx)
		listRecords(ctx, slices.Collect(maps.Values(f.state.Load().records)), yield)
	}
}

// Update implements [Store]. It changes all records or none, and writes the file
// once. It fails if the file can't be written, and if what it holds can't be
// read: then it is not overwritten.
func (f *File) Update(ctx context.Context, change func(*Record) (*Record, error), ids ...string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	// Not with f.mu held: while this waits, the file is still looked at.
	select {
	case f.writing <- struct{}{}:
		defer func() { <-f.writing }()
	case <-ctx.Done():
		return ctx.Err()
	}
	unlock, err := lockFile(ctx, f.target()+".lock")
	if err != nil {
		return fmt.Errorf("auth: locking the file of keys: %w", err)
	}
	f.mu.Lock()
	news, bad := f.readLocked()
	if err = bad; err == nil {
		err = f.updateLocked(change, ids)
	}
	f.mu.Unlock()
	unlock()
	if news {
		f.report(ctx, bad)
	}
	return err
}

func (f *File) updateLocked(change func(*Record) (*Record, error), ids []string) error {
	records := f.state.Load().records
	changed, err := changeAll(func(id string) *Record { return records[id] }, change, ids)
	if err != nil {
		return err
	}
	next := maps.Clone(records)
	if next == nil {
		next = make(map[string]*Record)
	}
	for id, rec := range changed {
		if rec == nil {
			delete(next, id)
		} else {
			next[id] = rec
		}
	}
	info, err := writeFile(f.target(), next)
	if err != nil {
		return fmt.Errorf("auth: writing the file of keys: %w", err)
	}
	f.state.Store(&fileState{next})
	f.tried = stamp{info}
	return nil
}

// check reads the file again if it has changed, once in a while. Whoever comes
// while another one does goes on with what there is.
func (f *File) check(ctx context.Context) {
	next, now := f.next.Load(), int64(time.Since(f.start))
	if now < next || f.cfg.CheckEvery < 0 || !f.mu.TryLock() {
		return
	}
	f.next.Store(now + int64(f.cfg.CheckEvery))
	news, err := f.readLocked()
	f.mu.Unlock()
	if news {
		f.report(ctx, err)
	}
}

func (f *File) report(ctx context.Context, err error) {
	if f.cfg.OnReload != nil {
		f.cfg.OnReload(ctx, err)
	}
}

// readLocked reads the file if it is another than the one that was read last. An
// error is about the file as it is now; if it isn't news, it was found before.
func (f *File) readLocked() (news bool, err error) {
	found, data, err := readStamped(f.cfg.Path, f.tried)
	var records map[string]*Record
	switch {
	case err != nil:
		err = fmt.Errorf("auth: reading the file of keys: %w", err)
		found = stamp{}
	case found.same(f.tried):
		return false, f.bad
	case found.info == nil:
		err = fmt.Errorf("auth: the file of keys is gone: %w", fs.ErrNotExist)
	default:
		records, err = decodeFile(data)
	}
	if news = f.bad == nil || err == nil || f.bad.Error() != err.Error(); news {
		f.bad = err
	}
	f.tried = found
	if err == nil {
		f.state.Store(&fileState{records})
	}
	return news, f.bad
}

// readStamped reads a file, unless it is the known one. No file is no error.
func readStamped(path string, known stamp) (stamp, []byte, error) {
	file, err := os.Open(path) // #nosec G304 G703 -- the path is the operator's
	if errors.Is(err, fs.ErrNotExist) {
		return stamp{}, nil, nil
	}
	if err != nil {
		return stamp{}, nil, err
	}
	defer func() { _ = file.Close() }() // it was only read
	info, err := file.Stat()
	if err != nil || known.same(stamp{info}) {
		return stamp{info}, nil, err
	}
	data, err := io.ReadAll(file)
	return stamp{info}, data, err
}

func decodeFile(data []byte) (map[string]*Record, error) {
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields() // else the next Update would lose them
	var doc document
	if err := d.Decode(&doc); err != nil {
		return nil, fmt.Errorf("auth: the file of keys is corrupt: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("auth: the file of keys is corrupt: there is more after its end")
	}
	if doc.Version != fileVersion {
		return nil, fmt.Errorf("auth: the file of keys has version %d, want %d", doc.Version, fileVersion)
	}
	records := make(map[string]*Record, len(doc.Keys))
	for i, rec := range doc.Keys {
		if rec == nil {
			return nil, fmt.Errorf("auth: the file of keys is corrupt: key %d is null", i+1)
		}
		if err := rec.Validate(); err != nil {
			return nil, fmt.Errorf("auth: the file of keys is corrupt: key %d: %w", i+1, err)
		}
		if records[rec.ID] != nil {
			return nil, fmt.Errorf("auth: the file of keys is corrupt: %s is there twice", rec.ID)
		}
		records[rec.ID] = rec
	}
	return records, nil
}

// target returns the file that Path leads to: a symbolic link is kept.
func (f *File) target() string {
	if path, err := filepath.EvalSymlinks(f.cfg.Path); err == nil {
		return path
	}
	return f.cfg.Path
}

// writeFile replaces a file in one step, which lasts if the machine stops.
// It returns what tells the new file from others.
func writeFile(path string, records map[string]*Record) (info fs.FileInfo, err error) {
	doc := document{Version: fileVersion, Keys: slices.SortedFunc(maps.Values(records), byID)}
	if doc.Keys == nil {
		doc.Keys = []*Record{}
	}
	data, err := json.MarshalIndent(doc, "", "  ")
	if err != nil {
		return nil, err
	}
	file, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*") // mode 0600
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(file.Name()) // what failed is told already
		}
	}()
	_, err = file.Write(append(data, '\n'))
	if err == nil {
		err = file.Sync()
	}
	if err == nil {
		info, err = file.Stat()
	}
	if err = errors.Join(err, file.Close()); err != nil {
		return nil, err
	}
	if err = os.Rename(file.Name(), path); err != nil {
		return nil, err
	}
	syncDir(filepath.Dir(path))
	return info, nil
}

// syncDir makes a rename last. Not every system can do that, and the file is in
// place without it.
func syncDir(dir string) {
	if d, err := os.Open(dir); err == nil { // #nosec G304 -- the directory of the operator's file
		_ = d.Sync()
		_ = d.Close()
	}
}
