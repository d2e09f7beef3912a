package remote

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/shale-cloud/shale/kernel/piece"
)

const (
	// tellAfter is how long nothing comes before somebody is told, and tellEvery how often then.
	tellAfter = 2 * time.Second
	tellEvery = time.Second
)

// Waiting, if set before a source is opened, is told of a server from which nothing has come for a time, about once a
// second as long as that lasts. It must not block.
var Waiting func(host string, since time.Duration)

// A wait tells how long the requests to a server have been waiting for its next byte.
type wait struct {
	host string
	told func(host string, since time.Duration) // or nil
	mu   sync.Mutex
	// under is how many requests are under way, last when a byte came, or the first of them began.
	under int
	last  time.Time
	ended chan struct{}
}

// begin counts a request until the function that it returns is called.
func (w *wait) begin() (end func()) {
	if w.told == nil {
		return func() {}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.under++; w.under == 1 {
		w.last, w.ended = time.Now(), make(chan struct{})
		go w.tell(w.ended)
	}
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.under--; w.under == 0 {
			close(w.ended)
		}
	}
}

func (w *wait) heard() {
	if w.told == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.last = time.Now()
}

func (w *wait) tell(ended <-chan struct{}) {
	ticker := time.NewTicker(tellEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ended:
			return
		case <-ticker.C:
		}
		w.mu.Lock()
		since := time.Since(w.last)
		w.mu.Unlock()
		if since >= tellAfter {
			w.told(w.host, since)
		}
	}
}

// places are the requests under way to each server.
var places sync.Map // of chan struct{}, by host

func placesAt(host string) chan struct{} {
	at, _ := places.LoadOrStore(host, make(chan struct{}, parallel))
	return at.(chan struct{})
}

// versions counts how often a server has changed what it answers with: from the version that was opened, and back to it.
type versions struct {
	count atomic.Uint64 // odd while the last answer was of another version
}

func (v *versions) note(err error) {
	now := v.count.Load()
	if other := errors.Is(err, errChanged); (other || err == nil) && other != (now%2 == 1) {
		v.count.CompareAndSwap(now, now+1)
	}
}

// State is the count of versions, which tells of a change that the server admits. It vouches for nothing: a server may have
// other bytes at any time, and send them under the mark of those before.
func (s *Source) State() (piece.State, bool) {
	return piece.VersionState(s.versions.count.Load()), false
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
