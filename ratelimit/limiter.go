package ratelimit

import (
	"context"
	"math"
	"time"
)

// A Limiter keeps the buckets. [Memory] keeps them in this process; one that
// keeps them where several processes find them implements the same two methods.
// Package ratelimittest tests implementations.
//
// Its methods may be called by several goroutines at the same time. They must
// return when ctx ends, since the request waits for them, and they must not keep the
// Hold, which is used again.
type Limiter interface {
	// Take charges all that h asks for, or nothing if a policy that is enforced
	// has too little left: as one atomic decision, which is what it returns. It
	// fills in what a [Charge] says it does, whatever the decision. An error
	// means that there is no decision, and nothing was charged.
	Take(ctx context.Context, h *Hold) (bool, error)

	// Settle changes what was charged to h from Cost to Actual, and then sets
	// each Cost to Actual, so that doing it again changes nothing. More than
	// Cost is charged even if it isn't there: the bucket is in debt then. An
	// Actual of 0 gives back the permit that h has of a policy of [Concurrency],
	// if its lease has not run out before.
	Settle(ctx context.Context, h *Hold) error
}

// A Hold is what a [Limiter] is asked to decide on at once.
type Hold struct {
	// Key is who is charged. It is of any length and may hold any byte.
	Key string
	// ID tells the holds of a key apart. It is 0 if there is nothing to settle.
	ID uint64
	// Lease is how long permits are held if nobody gives them back.
	Lease time.Duration
	// MaxWait is how far in the future units may be that are taken now. It is
	// for those who wait until then (see [Charge.Wait]).
	MaxWait time.Duration
	// Charges are the policies with what is taken from each. No two have the
	// same name.
	Charges []Charge
}

// A Charge is the part of one policy in a [Hold].
type Charge struct {
	// Policy must not be changed. A policy that is off is passed over. One that
	// is a shadow is charged if it has enough left, and never stops the others.
	Policy *Policy
	// Cost is how many units to take. With 0, a bucket in debt refuses and any
	// other doesn't.
	Cost int64
	// Actual is what [Limiter.Settle] is to put in place of Cost.
	Actual int64

	// Refused is set by Take: the policy has too little left, or is a shadow
	// that would refuse.
	Refused bool
	// Remaining is set by Take: how many whole units are left after it.
	Remaining int64
	// Next is set by Take: in how long there is more than Remaining. Zero if
	// nobody knows, as with permits.
	Next time.Duration
	// Wait is set by Take: in how long Cost is there, 0 if it is there now or if
	// nobody knows, [Never] if Cost is more than the bucket holds.
	Wait time.Duration
}

// Never is the Wait of a [Charge] that can't ever be granted.
const Never time.Duration = math.MaxInt64

// maxPolicies is how many policies one set may have.
const maxPolicies = 8
