package ratelimit

import (
	"context"
	"errors"
	"hash/maphash"
	"maps"
	"math/bits"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sparkhttp/spark/ratelimit/internal/gcra"
	"github.com/sparkhttp/spark/ratelimit/internal/table"
)

const (
	defaultBuckets = 1 << 20
	maxShards      = 256
	shardBuckets   = 64 // fewer in a shard would fill unevenly
	maxNames       = 1<<table.PolicyBits - 1
)

// Memory is a [Limiter] that keeps its buckets in this process, in bounded
// memory and without a goroutine. It may be used by several goroutines at once.
//
// A key takes 22 to 32 bytes for each policy that it has used and that is not
// full again, whatever the length of the key: buckets are found by a hash of 62
// bits with a secret seed. So two keys can share a bucket, but of a million keys
// any two do with a probability below one in a million. Permits take more, but
// there are only as many as there are requests being served.
//
// If there is no place for a new key, it looks at some, and forgets those whose
// buckets are full again, which changes nothing for them, else the one that has used
// the least.
// A bucket that is more than half used is never forgotten, so that a flood of new
// keys can't fill it again; if there are only such, new keys are refused.
type Memory struct {
	epoch  time.Time
	seed   maphash.Seed
	shift  int // of a hash, for the number of its shard
	shards []shard
	names  atomic.Pointer[registry]
	mu     sync.Mutex // for adding names
}

// registry numbers the policies by name. It is replaced, never changed.
type registry struct {
	byName   map[string]*name
	byNumber []*name
}

// name is what is known of the policies of one name.
type name struct {
	number int
	depth  atomic.Int64 // ticks until an empty bucket is full: the latest one seen
}

type shard struct {
	mu      sync.Mutex
	buckets table.Table
	permits permits
	_       [56]byte // fills two cache lines: the lock and its buckets are in the first
}

var errNames = errors.New("ratelimit: more than 1023 names of policies in one Memory")

// NewMemory returns a Memory that holds at most maxBuckets buckets: a key has one
// for each policy that it uses. 0 or less means a million (1<<20), at most 24 MB.
// As they are spread over 256 shards, the first may be forgotten a few percent
// before there are so many.
func NewMemory(maxBuckets int) *Memory {
	if maxBuckets <= 0 {
		maxBuckets = defaultBuckets
	}
	n := 1
	for n < maxShards && n*2*shardBuckets <= maxBuckets {
		n *= 2
	}
	m := &Memory{epoch: time.Now(), seed: maphash.MakeSeed(), shards: make([]shard, n)}
	m.shift = 64 - bits.TrailingZeros(uint(n))
	for i := range m.shards {
		m.shards[i].buckets.Max = maxBuckets / n
		m.shards[i].permits.max = maxBuckets / n
	}
	m.names.Store(&registry{byNumber: make([]*name, 1)}) // no policy is number 0
	return m
}

// Len returns how many buckets are held now: those of keys that were active
// lately, and full ones whose place was not needed yet.
func (m *Memory) Len() int {
	n := 0
	for i := range m.shards {
		s := &m.shards[i]
		s.mu.Lock()
		n += s.buckets.Len() + len(s.permits.held)
		s.mu.Unlock()
	}
	return n
}

// A change is what a charge does to a bucket.
type change struct {
	id     uint64
	bucket gcra.Bucket
	from   int64 // when the bucket is full again without the charge
	full   int64 // and with it
	new    bool  // it needs a place in the table
}

// Take implements [Limiter]. It returns an error only for more than 8 charges, or
// for the 1024th name of a policy.
func (m *Memory) Take(_ context.Context, h *Hold) (bool, error) {
	var changes [maxPolicies]change
	hash, err := m.resolve(h, &changes)
	if err != nil {
		return false, err
	}
	s := &m.shards[hash>>m.shift]
	s.mu.Lock()
	now := m.now()
	granted, added := s.decide(h, &changes, now)
	if granted && added > 0 && !s.buckets.Reserve(added, hash, now, m.fill) {
		granted = refuseNew(h, &changes)
	}
	s.charge(h, &changes, now, granted)
	s.mu.Unlock()
	return granted, nil
}

// decide changes nothing yet. added is how many buckets need a new place.
func (s *shard) decide(h *Hold, changes *[maxPolicies]change, now int64) (granted bool, added int) {
	granted = true
	for i := range h.Charges {
		c, ch := &h.Charges[i], &changes[i]
		switch {
		case c.Policy.Mode == Off:
			continue
		case c.Policy.Unit == Concurrency:
			s.permits.check(ch.id, c, now)
		default:
			ch.from = s.buckets.Get(ch.id)
			check(c, ch, now, h.MaxWait)
			if ch.new = ch.from == 0 && ch.full > now && !c.Refused; ch.new {
				added++
			}
		}
		granted = granted && (!c.Refused || c.Policy.Mode == Shadow)
	}
	return granted, added
}

// charge does what was decided, and notes what remains.
func (s *shard) charge(h *Hold, changes *[maxPolicies]change, now int64, granted bool) {
	for i := range h.Charges {
		c, ch := &h.Charges[i], &changes[i]
		switch {
		case c.Policy.Mode == Off:
		case c.Policy.Unit == Concurrency:
			s.permits.take(ch.id, h, c, now, granted && !c.Refused)
		default:
			state := ch.from
			if granted && !c.Refused && ch.full > now {
				state = ch.full
				s.buckets.Set(ch.id, state, now)
			}
			left, next := ch.bucket.Remaining(state, now)
			c.Remaining, c.Next = left, gcra.Duration(next)
		}
	}
}

// check decides about one bucket.
func check(c *Charge, ch *change, now int64, maxWait time.Duration) {
	full, wait, ok := ch.bucket.Take(ch.from, now, c.Cost)
	ch.full, c.Wait = full, gcra.Duration(wait)
	c.Refused = !ok || wait > gcra.Ticks(maxWait)
	if !ok {
		c.Wait = Never
	}
}

// refuseNew refuses a new key for which there is no place, unless none but
// shadows would need one.
func refuseNew(h *Hold, changes *[maxPolicies]change) (granted bool) {
	granted = true
	for i := range h.Charges {
		if c := &h.Charges[i]; changes[i].new {
			c.Refused, c.Wait = true, time.Second
			granted = granted && c.Policy.Mode == Shadow
		}
	}
	return granted
}

// Settle implements [Limiter]. It returns an error for what Take does.
func (m *Memory) Settle(_ context.Context, h *Hold) error {
	var changes [maxPolicies]change
	hash, err := m.resolve(h, &changes)
	if err != nil {
		return err
	}
	s := &m.shards[hash>>m.shift]
	s.mu.Lock()
	defer s.mu.Unlock()
	now := m.now()
	for i := range h.Charges {
		c, ch := &h.Charges[i], &changes[i]
		switch {
		case c.Policy.Mode == Off || c.Actual == c.Cost:
			continue
		case c.Policy.Unit == Concurrency:
			if c.Actual == 0 {
				s.permits.release(ch.id, h.ID)
			}
		default:
			from := s.buckets.Get(ch.id)
			full := ch.bucket.Adjust(from, now, c.Cost, c.Actual)
			// A debt for which there is no place is one of a key that was forgotten
			// because it had used little: it is forgiven.
			if from != 0 || full > now && s.buckets.Reserve(1, hash, now, m.fill) {
				s.buckets.Set(ch.id, full, now)
			}
		}
		c.Cost = c.Actual
	}
	return nil
}

// resolve finds the buckets of h. It is done before the lock is taken.
func (m *Memory) resolve(h *Hold, changes *[maxPolicies]change) (hash uint64, err error) {
	if len(h.Charges) > maxPolicies {
		return 0, errors.New("ratelimit: more than 8 charges in one Hold")
	}
	hash = maphash.String(m.seed, h.Key)
	names := m.names.Load().byName
	for i := range h.Charges {
		p := h.Charges[i].Policy
		n := names[p.Name]
		if n == nil {
			if err := m.register(p.Name); err != nil {
				return 0, err
			}
			names = m.names.Load().byName
			n = names[p.Name]
		}
		if p.Unit != Concurrency {
			b := p.bucket()
			if n.depth.Load() != b.Depth {
				n.depth.Store(b.Depth)
			}
			changes[i].bucket = b
		}
		changes[i].id = table.ID(hash, n.number)
		for j := range i {
			if changes[j].id == changes[i].id {
				return 0, errors.New("ratelimit: two charges of one Hold have the same policy name")
			}
		}
	}
	return hash, nil
}

// register gives numbers to those names that have none yet.
func (m *Memory) register(names ...string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	old := m.names.Load()
	next := &registry{byName: make(map[string]*name, len(old.byName)+len(names)), byNumber: slices.Clone(old.byNumber)}
	maps.Copy(next.byName, old.byName)
	for _, s := range names {
		if next.byName[s] != nil {
			continue
		}
		if len(next.byName) == maxNames {
			return errNames
		}
		n := &name{number: len(next.byNumber)}
		next.byName[s] = n
		next.byNumber = append(next.byNumber, n)
	}
	m.names.Store(next)
	return nil
}

// fill tells how much of a bucket is used that gets full in left ticks.
func (m *Memory) fill(policy int, left int64) float64 {
	n := m.names.Load().byNumber[policy]
	return float64(left) / float64(max(1, n.depth.Load()))
}

func (m *Memory) now() int64 { return gcra.Ticks(time.Since(m.epoch)) }
