package cache

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/jellydator/ttlcache/v3"
)

// MemoryConfig says how much a [Memory] may hold.
type MemoryConfig struct {
	// MaxEntries bounds the number of entries. 0 means 100,000.
	MaxEntries int
	// MaxBytes bounds the memory that the entries take, with keys and all that
	// the store needs to find them (see [Memory.Usage]). 0 means 256 MiB.
	MaxBytes int64
	// OnEvict is told when entries had to go: the least recently used because a
	// bound was reached, or those whose time was over. It is called with no
	// lock held, on the goroutine that caused it. Optional.
	OnEvict func(ctx context.Context, entries int, bytes int64)
}

// Memory is a [Store] in the memory of the process, on ttlcache. Reading an
// entry makes it the most recently used but does not prolong it. It is safe for
// concurrent use.
//
// Expired entries are never returned. They are removed by Run, or else when the
// room is needed.
type Memory struct {
	cfg   MemoryConfig
	items *ttlcache.Cache[string, []byte]

	// mu is held by everything that changes items, so that what follows agrees
	// with it. ttlcache reports what it removes on a goroutine for each item,
	// which would be a hundred thousand of them at once; so the bytes are
	// booked by the second in which they expire instead.
	mu       sync.Mutex
	bytes    int64
	expiring map[int64]int64 // bytes by unix second
	swept    int64           // the second of the last sweep
	evicted  uint64
}

// entryOverhead is what an entry takes beside its value and key: the item, its
// place in the map, in the list by use and in the queue by expiry. It is
// measured by TestMemoryBytesAreReal.
const entryOverhead = 250

// NewMemory returns an empty store.
func NewMemory(cfg MemoryConfig) (*Memory, error) {
	if cfg.MaxEntries < 0 {
		return nil, fmt.Errorf("cache: MaxEntries is %d, want at least 1, or 0 for the default", cfg.MaxEntries)
	}
	if cfg.MaxBytes < 0 {
		return nil, fmt.Errorf("cache: MaxBytes is %d, want at least 1, or 0 for the default", cfg.MaxBytes)
	}
	if cfg.MaxEntries == 0 {
		cfg.MaxEntries = 100_000
	}
	if cfg.MaxBytes == 0 {
		cfg.MaxBytes = 256 << 20
	}
	return &Memory{
		cfg: cfg,
		items: ttlcache.New(
			ttlcache.WithDisableTouchOnHit[string, []byte](),
			ttlcache.WithCapacity[string, []byte](uint64(cfg.MaxEntries)),
		),
		expiring: make(map[int64]int64),
	}, nil
}

// Get implements [Store].
func (m *Memory) Get(_ context.Context, key string) ([]byte, error) {
	if item := m.items.Get(key); item != nil {
		return item.Value(), nil
	}
	return nil, nil
}

// Set implements [Store]. A value that alone is larger than MaxBytes is refused
// with an error.
func (m *Memory) Set(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	size := cost(key, value)
	if size > m.cfg.MaxBytes {
		return fmt.Errorf("cache: an entry takes %d bytes, more than MaxBytes %d", size, m.cfg.MaxBytes)
	}
	m.mu.Lock()
	if item, ok := m.items.GetAndDelete(key); ok {
		m.bookLocked(item, -1)
	}
	count, bytes := m.makeRoomLocked(size)
	m.bookLocked(m.items.Set(key, value, ttl), 1)
	m.mu.Unlock()
	m.tell(ctx, count, bytes)
	return nil
}

// Delete implements [Store].
func (m *Memory) Delete(ctx context.Context, pattern string) (int, error) {
	m.mu.Lock()
	count, bytes := m.sweepLocked(time.Now()) // what has expired has to be gone as well
	removed := 0
	for _, key := range m.items.Keys() {
		if !matches(pattern, key) {
			continue
		}
		if item, ok := m.items.GetAndDelete(key); ok {
			m.bookLocked(item, -1)
			removed++
		}
	}
	m.mu.Unlock()
	m.tell(ctx, count, bytes)
	return removed, nil
}

// Run removes entries as they expire, until ctx is done.
func (m *Memory) Run(ctx context.Context) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-tick.C:
			m.mu.Lock()
			count, bytes := m.sweepLocked(now)
			m.mu.Unlock()
			m.tell(ctx, count, bytes)
		}
	}
}

// Usage returns how many entries there are, the memory that they take, in
// bytes, and how many had to go so far. Entries that have expired count until
// they are removed. The bytes are measured to be right within a tenth; those of
// an entry that has expired count up to a second longer than the entry.
func (m *Memory) Usage() (entries int, bytes int64, evicted uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.lenLocked(), m.bytes, m.evicted
}

func (m *Memory) tell(ctx context.Context, entries int, bytes int64) {
	if entries > 0 && m.cfg.OnEvict != nil {
		m.cfg.OnEvict(ctx, entries, bytes)
	}
}

// cost is the memory that an entry takes.
func cost(key string, value []byte) int64 {
	return int64(len(key) + cap(value) + entryOverhead)
}

// bookLocked adds or takes the bytes of an item.
func (m *Memory) bookLocked(item *ttlcache.Item[string, []byte], sign int64) {
	size := sign * cost(item.Key(), item.Value())
	second := item.ExpiresAt().Unix()
	m.bytes += size
	m.expiring[second] += size
	if m.expiring[second] == 0 {
		delete(m.expiring, second)
	}
}

// lenLocked counts what takes memory. Len of ttlcache leaves out the expired,
// and walks through them for that.
func (m *Memory) lenLocked() int {
	n := m.items.Metrics()
	return int(n.Insertions - n.Evictions) // #nosec G115 -- no more than MaxEntries
}

// makeRoomLocked evicts until one more entry of this size fits: the expired
// first, then the least recently used.
func (m *Memory) makeRoomLocked(size int64) (count int, bytes int64) {
	full := func() bool { return m.lenLocked() >= m.cfg.MaxEntries || m.bytes+size > m.cfg.MaxBytes }
	if !full() {
		return 0, 0
	}
	if now := time.Now(); now.Unix() != m.swept {
		count, bytes = m.sweepLocked(now)
	}
	for full() {
		var oldest *ttlcache.Item[string, []byte]
		m.items.RangeBackwards(func(item *ttlcache.Item[string, []byte]) bool {
			oldest = item
			return false
		})
		if oldest == nil { // what is left has expired this very moment
			n, size := m.sweepLocked(time.Now())
			count, bytes = count+n, bytes+size
			if m.lenLocked() == 0 {
				bytes += m.bytes
				m.bytes = 0
				clear(m.expiring)
			}
			continue
		}
		m.items.Delete(oldest.Key())
		m.bookLocked(oldest, -1)
		m.evicted++
		count++
		bytes += cost(oldest.Key(), oldest.Value())
	}
	return count, bytes
}

// sweepLocked removes what has expired.
func (m *Memory) sweepLocked(now time.Time) (count int, bytes int64) {
	before := m.lenLocked()
	m.items.DeleteExpired()
	count = before - m.lenLocked()
	m.evicted += uint64(count) // #nosec G115 -- not negative: nothing is added meanwhile
	m.swept = now.Unix()
	for second, size := range m.expiring {
		if second < m.swept {
			bytes += size
			delete(m.expiring, second)
		}
	}
	m.bytes -= bytes
	return count, bytes
}
