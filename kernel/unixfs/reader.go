package unixfs

import (
	"fmt"
	"io"
	"sort"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/shale-cloud/shale/kernel/piece"
)

// Verify says when the bytes of a leaf are compared with its CID.
type Verify uint8

const (
	FirstTouch Verify = iota // before the first byte of it is given out
	Always                   // each time that it comes from the source
	Never
)

// ParseVerify reads the values of the --verify option.
func ParseVerify(s string) (Verify, error) {
	for i, name := range [...]string{"first-touch", "always", "never"} {
		if s == name {
			return Verify(i), nil
		}
	}
	return 0, fmt.Errorf("verify %q: first-touch, always or never", s)
}

// A Fault is a read that cannot be answered truthfully.
type Fault struct {
	Source string
	Path   string
	CID    cid.Cid
	Offset int64  // of the block in the source; -1 if it isn't there
	Kind   string // "missing", "corrupt" or "unreadable"; "changed" of a source whose bytes may be others now
	Reason string
}

func (f *Fault) Error() string {
	if f.Kind == Changed {
		return f.Source + ": " + f.Reason
	}
	return fmt.Sprintf("%s: offset %d: %s: block %s is %s", f.Source, f.Offset, f.Path, f.CID, f.Reason)
}

// A Reader reads the files of a tree. It is safe for concurrent use and closes nothing. A leaf that was verified is taken
// for sound only while its source is in the state in which it was: see epoch.
type Reader struct {
	// OnFault, if set before the first read, is told of the first fault in each leaf, again after a minute and after a
	// change, and of changes. It must not block.
	OnFault func(*Fault)
	// OnChange, if set before the first read, is told that what others keep of the files may not be what the source holds.
	// It must not block.
	OnChange func()

	src     piece.Source
	parts   []piece.Source
	tree    *Tree
	verify  Verify
	cache   *leafCache
	current atomic.Pointer[epoch]
	turning sync.Mutex // from one epoch to the next
	// toldChange is when a change was told last, by the clock of epochs; 0 before. It is guarded by turning.
	toldChange time.Duration
}

func NewReader(src piece.Source, tree *Tree, verify Verify) *Reader {
	largest := 0
	for i := range tree.leaves {
		largest = max(largest, int(tree.leaves[i].size))
	}
	r := &Reader{src: src, parts: piece.Parts(src), tree: tree, verify: verify, cache: newLeafCache(largest)}
	r.current.Store(r.newEpoch())
	return r
}

// ReadAt reads a file as io.ReaderAt does. An error other than io.EOF is a *Fault: nothing of the leaf in which it lies
// was given out.
func (r *Reader) ReadAt(e *Entry, p []byte, off int64) (int, error) {
	if off >= e.Size {
		return 0, io.EOF
	}
	var atEnd error
	if left := e.Size - off; int64(len(p)) > left {
		p, atEnd = p[:left], io.EOF
	}
	// The last extent that begins at off or before it.
	i := sort.Search(len(e.extents), func(i int) bool { return e.extents[i].at > off }) - 1
	for n := 0; n < len(p); i++ {
		x := e.extents[i]
		end := e.Size
		if i+1 < len(e.extents) {
			end = e.extents[i+1].at
		}
		within := off + int64(n) - x.at
		part := p[n:min(int64(len(p)), int64(n)+end-x.at-within)]
		if fault := r.readLeaf(int(x.leaf), part, within); fault != nil {
			fault.Path = e.Path()
			if r.current.Load().tells(int(x.leaf)) {
				r.tell(fault)
			}
			return n, fault
		}
		n += len(part)
	}
	return len(p), atEnd
}

// readLeaf fills p from a leaf's file bytes.
func (r *Reader) readLeaf(number int, p []byte, within int64) *Fault {
	l := &r.tree.leaves[number]
	if l.offset == missing {
		return r.fault(l, "missing", "missing")
	}
	within += int64(l.start)
	if l.hash == identity {
		copy(p, r.tree.inline[l.offset+within:])
		return nil
	}
	if r.verify == Never {
		return r.fetch(l, p, within)
	}
	if now := r.current.Load(); r.verify == FirstTouch && now.verified.has(number) {
		if r.cache.copy(number, p, within) {
			return nil
		}
		fault := r.fetch(l, p, within)
		// Whatever was changed before these bytes were read, shows now.
		if r.stands(now, l.offset) {
			return fault
		}
		clear(p)
	}
	if len(p) == int(l.size) {
		// All of the block is asked for: it is verified where it is wanted, and nothing of it left when it is bad.
		fault := r.fetchVerified(number, l, p)
		if fault != nil {
			clear(p)
		}
		return fault
	}
	return r.cache.load(number, p, within, func(buf []byte) ([]byte, *Fault) {
		if cap(buf) < int(l.size) {
			buf = make([]byte, l.size)
		}
		buf = buf[:l.size]
		return buf, r.fetchVerified(number, l, buf)
	})
}

// fetchVerified reads the whole block.
func (r *Reader) fetchVerified(number int, l *leaf, block []byte) *Fault {
	now, at := r.current.Load(), time.Now()
	if fault := r.fetch(l, block, 0); fault != nil {
		return fault
	}
	if !l.verifies(block) {
		return r.fault(l, "corrupt", "corrupt")
	}
	if now.lasts(r.partAt(l.offset), at) {
		now.verified.set(number)
	}
	return nil
}

// fetch reads the block's bytes from the source, all of p or a fault: what is short must not become zeros.
func (r *Reader) fetch(l *leaf, p []byte, within int64) *Fault {
	if n, err := r.src.ReadAt(p, l.offset+within); n < len(p) {
		return r.fault(l, "unreadable", fmt.Sprintf("unreadable: %v", err))
	}
	return nil
}

func (r *Reader) tell(f *Fault) {
	if r.OnFault != nil {
		r.OnFault(f)
	}
}

func (r *Reader) fault(l *leaf, kind, reason string) *Fault {
	part, offset := piece.Locate(r.src, l.offset)
	return &Fault{Source: part.Name(), CID: l.cid(), Offset: offset, Kind: kind, Reason: reason}
}
