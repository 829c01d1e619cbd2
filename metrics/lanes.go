package metrics

import (
	"net/http"
	"reflect"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// observation is what is measured of one request.
type observation struct {
	s                 *series
	took              time.Duration
	request, response int64 // bytes
}

// lane keeps what is measured of requests until it is counted: when there is a
// batch of it, or when somebody looks. There are several, so that processors
// seldom meet in one; and to count a batch under one lock takes less than six
// atomic additions for each request, in memory that all processors write to.
type lane struct {
	watchers [len(known)]watcher // of its requests, by method
	_        [64]byte            // what follows is written

	began [len(known)]atomic.Int64 // requests, by method
	_     [64]byte                 // what follows is written later

	mu    sync.Mutex
	n     int // observations that are not counted yet
	ended [len(known)]int64
	kept  [32]observation
	_     [64]byte
}

// lanes are a power of two of them, so that one is picked by masking bits.
type lanes []lane

func newLanes(q *requests) lanes {
	n := 4
	for n < 4*runtime.GOMAXPROCS(0) && n < 256 {
		n *= 2
	}
	all := make(lanes, n)
	for i := range all {
		for method := range all[i].watchers {
			all[i].watchers[method] = watcher{q, &all[i], method}
		}
	}
	return all
}

// at returns the lane for a request by where its ResponseWriter, which is made
// for it, lies. The allocator gives each processor pages of its own to take
// memory from, so that tells processors apart: a hint, but one that costs nothing.
func (all lanes) at(w http.ResponseWriter) *lane {
	const page = 13 // bits
	v := reflect.ValueOf(w)
	if v.Kind() != reflect.Pointer {
		return &all[0]
	}
	return &all[int(v.Pointer()>>page)&(len(all)-1)] // #nosec G115 -- masked
}

// add keeps o of a request of the given method that ended.
func (l *lane) add(method int, o observation, counting *sync.Mutex) {
	l.mu.Lock()
	l.ended[method]++
	l.kept[l.n] = o
	l.n++
	if l.n == len(l.kept) {
		l.countLocked(counting)
	}
	l.mu.Unlock()
}

// countLocked counts what was kept. counting guards all histograms it may be in.
func (l *lane) countLocked(counting *sync.Mutex) {
	counting.Lock()
	for i := range l.kept[:l.n] {
		o := &l.kept[i]
		o.s.duration.addLocked(o.took.Seconds())
		if o.s.requestSize != nil {
			o.s.requestSize.addIntLocked(o.request)
			o.s.responseSize.addIntLocked(o.response)
		}
	}
	counting.Unlock()
	l.n = 0
}

// settle counts all that was kept, and returns how many requests of each method
// are being served. A request that begins and ends meanwhile may be among them.
func (all lanes) settle(counting *sync.Mutex) (active [len(known)]int64) {
	for i := range all {
		l := &all[i]
		l.mu.Lock()
		l.countLocked(counting)
		for method, n := range l.ended {
			active[method] -= n
		}
		l.mu.Unlock()
	}
	// Last, so that none has ended that did not begin.
	for i := range all {
		for method := range active {
			active[method] += all[i].began[method].Load()
		}
	}
	return active
}
