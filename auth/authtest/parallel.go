package authtest

import (
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/sparkhttp/spark/auth"
)

// How much happens at once.
const (
	workers = 8
	rounds  = 20
)

// atomic checks that no update is lost when many change one record at once.
func (t *test) atomic() {
	r := t.record()
	r.Metadata = map[string]string{"count": "0"}
	if !t.put(r) {
		return
	}
	errs := parallel(func(int) error {
		for range rounds {
			err := t.update(r.ID, func(old *auth.Record) (*auth.Record, error) {
				n, err := strconv.Atoi(old.Metadata["count"])
				old.Metadata["count"] = strconv.Itoa(n + 1)
				return old, err
			})
			if err != nil {
				return err
			}
			if _, err := t.store.Lookup(t.ctx, r.ID); err != nil {
				return err
			}
		}
		return nil
	})
	for _, err := range errs {
		t.errorf("Update of one record by many at once: %w", err)
	}
	if len(errs) == 0 {
		r.Metadata["count"] = strconv.Itoa(workers * rounds)
		t.has("a record that was counted up by many at once", r)
	}
}

// race checks that of many who create one record at once, one succeeds.
func (t *test) race() {
	for range 5 {
		r := t.record()
		var created atomic.Int64
		errs := parallel(func(i int) error {
			mine := false
			err := t.writer.Update(t.ctx, func(old *auth.Record) (*auth.Record, error) {
				if mine = old == nil; !mine {
					return old, nil
				}
				made := r.Clone()
				made.Plan = strconv.Itoa(i)
				return made, nil
			}, r.ID)
			if mine && err == nil {
				created.Add(1)
			}
			return err
		})
		for _, err := range errs {
			t.errorf("creating one record by many at once: %w", err)
		}
		if n := created.Load(); n != 1 && len(errs) == 0 {
			t.errorf("one record was created %d times", n)
		}
	}
}

// parallel runs work on many goroutines and returns the errors.
func parallel(work func(i int) error) []error {
	var wg sync.WaitGroup
	var mu sync.Mutex
	var errs []error
	for i := range workers {
		wg.Go(func() {
			if err := work(i); err != nil {
				mu.Lock()
				defer mu.Unlock()
				errs = append(errs, err)
			}
		})
	}
	wg.Wait()
	return errs
}
