package unixfs

import (
	"sync/atomic"
	"time"

	"github.com/shale-cloud/shale/kernel/piece"
)

// Changed is the kind of a fault that is of a whole source: its bytes, or the file of its name, may be others now.
const Changed = "changed"

// toldAgain is after how long a fault in a leaf is told again: whoever was told may have mended it, or thought so.
const toldAgain = time.Minute

// quiet is how long a change that was told keeps later ones from being told: a file that is being written changes all the time.
const quiet = time.Second

// An epoch is a time in which no source changed, as far as we saw: what was verified in it stands while the sources' states
// are those in which it began. Whoever reads verified bytes without verifying them again asks for the state after that.
type epoch struct {
	states   []piece.State // of each part, at its beginning
	known    []bool        // whether a part's state tells of every change
	verified bitmap
	reported bitmap
	cleared  atomic.Int64 // when reported was, by the clock below
}

// began is what times are counted from, so that setting the clock changes nothing.
var began = time.Now()

func (r *Reader) newEpoch() *epoch {
	e := &epoch{verified: newBitmap(len(r.tree.leaves)), reported: newBitmap(len(r.tree.leaves))}
	e.cleared.Store(int64(time.Since(began)))
	for _, part := range r.parts {
		state, ok := piece.StateOf(part)
		e.states, e.known = append(e.states, state), append(e.known, ok)
	}
	return e
}

// lasts reports whether what was read of a part, and verified, at a time may be taken for sound later on.
func (e *epoch) lasts(part int, at time.Time) bool {
	return e.known[part] && e.states[part].Settled(at)
}

// tells reports whether a fault in a leaf is to be told of.
func (e *epoch) tells(leaf int) bool {
	since, now := e.cleared.Load(), int64(time.Since(began))
	if now-since > int64(toldAgain) && e.cleared.CompareAndSwap(since, now) {
		e.reported.clear()
	}
	return e.reported.set(leaf)
}

// partAt is the part in which a place lies.
func (r *Reader) partAt(off int64) int {
	if len(r.parts) == 1 {
		return 0
	}
	part, _ := piece.PartAt(r.src, off)
	return part
}

// stands reports whether the part at a place is as it was when the epoch began. If not, the next one begins.
func (r *Reader) stands(e *epoch, off int64) bool {
	part := r.partAt(off)
	if state, ok := piece.StateOf(r.parts[part]); ok && state == e.states[part] {
		return true
	}
	r.turn(e)
	return false
}

// Look looks whether a source has changed: who reads nothing learns of it by that.
func (r *Reader) Look() {
	now := r.current.Load()
	for i, part := range r.parts {
		if state, ok := piece.StateOf(part); ok != now.known[i] || state != now.states[i] {
			r.turn(now)
			return
		}
	}
}

// Forget has every leaf verified anew, and every fault told again. A change until now is known, and not told.
func (r *Reader) Forget() { r.begin(r.current.Load(), false) }

// turn begins the epoch after e, unless somebody has, and tells of what has changed.
func (r *Reader) turn(e *epoch) { r.begin(e, true) }

func (r *Reader) begin(e *epoch, tell bool) {
	r.turning.Lock()
	if r.current.Load() != e {
		r.turning.Unlock()
		return
	}
	next := r.newEpoch()
	r.current.Store(next)
	var faults []*Fault
	for i, part := range r.parts {
		if reason := next.since(e, i); reason != "" {
			faults = append(faults, &Fault{Source: part.Name(), Offset: -1, Kind: Changed, Reason: reason})
		}
	}
	if now := time.Since(began); tell && len(faults) > 0 && (r.toldChange == 0 || now-r.toldChange > quiet) {
		r.toldChange = now
	} else {
		faults = nil
	}
	r.turning.Unlock()
	r.cache.drop()
	if r.OnChange != nil {
		r.OnChange()
	}
	for _, fault := range faults {
		r.tell(fault)
	}
}

// since says what has become of the content of a part since an epoch, or nothing.
func (e *epoch) since(before *epoch, part int) string {
	switch {
	case before.known[part] && !e.known[part]:
		return "cannot be looked at any more: each block is verified at each read"
	case !before.states[part].SameContent(e.states[part]):
		return "was changed while it is mounted: each block is verified anew"
	}
	return ""
}
