// Package commp computes Filecoin's piece commitment, CommP: the root of a binary tree of truncated sha256 over the
// fr32 form of a payload, padded with zeros to a power of two. It streams, hashes in parallel, and uses what the
// processor has.
package commp

import (
	"errors"
	"fmt"
	"runtime"
	"slices"

	"github.com/shale-cloud/shale/kernel/piece/fr32"
)

const (
	// MaxPayload is the most that one piece holds: what a sector of 64 GiB has room for.
	MaxPayload = fr32.Raw << 29
	// HeadSize is how many of the first bytes SetHead may replace.
	HeadSize = fr32.Raw

	// A chunk is what is hashed at one go: small enough for a core's own cache.
	chunkLevel = 13
	chunkSize  = nodeSize << chunkLevel
	// maxJobs is how many cores the copying of payload into chunks, done by one, can feed.
	maxJobs = 16
)

// A Digest is a commitment's root, with the sizes of payload and padded piece in bytes.
type Digest struct {
	Root       [nodeSize]byte
	RawSize    uint64
	PaddedSize uint64
}

// A Writer computes the commitment of what is written to it. It holds a few MiB, and nothing that has to be released.
// It is for one goroutine.
type Writer struct {
	raw     uint64
	quad    [fr32.Raw]byte // the quad under way: its first raw%127 bytes are payload
	head    [fr32.Raw]byte
	first   []byte // the first chunk, kept until the end for SetHead
	chunk   []byte // the chunk under way
	tree    tree
	jobs    int
	flying  []*job // oldest first
	keepRow bool
	row     []node // the chunks' roots, if they are kept
	digest  Digest
	settled bool
}

// A job is a whole chunk that is being hashed.
type job struct {
	chunk []byte
	root  node
	done  chan struct{}
}

// NewWriter begins a piece. Chunks are hashed beside the caller, on as many cores as there are.
func NewWriter() *Writer {
	cores := runtime.GOMAXPROCS(0)
	if cores == 1 {
		return newWriter(0)
	}
	return newWriter(min(cores, maxJobs))
}

// newWriter hashes up to jobs chunks at once beside the caller; none: the caller does it.
func newWriter(jobs int) *Writer {
	return &Writer{jobs: jobs, tree: tree{spine: chunkLevel}}
}

// Write adds payload. It fails, and takes nothing, when the piece would outgrow MaxPayload or has its Digest.
func (w *Writer) Write(p []byte) (int, error) {
	if w.settled {
		return 0, errors.New("commp: the commitment was computed already: begin another")
	}
	if uint64(len(p)) > MaxPayload-w.raw {
		return 0, fmt.Errorf("the piece is longer than %d bytes, the most that a sector holds: split it", uint64(MaxPayload))
	}
	if w.raw < HeadSize {
		copy(w.head[w.raw:], p)
	}
	taken := len(p)
	for len(p) > 0 {
		if begun := int(w.raw % fr32.Raw); begun > 0 || len(p) < fr32.Raw {
			n := copy(w.quad[begun:], p)
			w.raw, p = w.raw+uint64(n), p[n:]
			if begun+n == fr32.Raw {
				w.add(w.quad[:])
			}
			continue
		}
		n := min(len(p)/fr32.Raw, (chunkSize-len(w.chunk))/fr32.Padded) * fr32.Raw
		w.raw += uint64(n)
		w.add(p[:n])
		p = p[n:]
	}
	return taken, nil
}

// SetHead replaces the first bytes that were written, at most HeadSize of them: a format whose header is known last
// needs no second pass.
func (w *Writer) SetHead(head []byte) error {
	if w.settled {
		return errors.New("commp: the commitment was computed already: the head comes before it")
	}
	if len(head) > HeadSize || uint64(len(head)) > w.raw {
		return fmt.Errorf("commp: a head of %d bytes does not fit %d bytes of payload", len(head), w.raw)
	}
	copy(w.head[:], head)
	if w.raw < fr32.Raw {
		copy(w.quad[:], head)
		return nil
	}
	fr32.Pad(w.leftmost()[:fr32.Padded], w.head[:])
	return nil
}

// leftmost is the chunk that the payload begins with.
func (w *Writer) leftmost() []byte {
	if w.first != nil {
		return w.first
	}
	return w.chunk
}

// Digest ends the piece. Payload shorter than 127 bytes is padded to them (FRC-0069).
func (w *Writer) Digest() Digest {
	if w.settled {
		return w.digest
	}
	if begun := int(w.raw % fr32.Raw); begun > 0 || w.raw == 0 {
		clear(w.quad[begun:])
		w.add(w.quad[:])
	}
	for len(w.flying) > 0 {
		w.land()
	}
	leftmost, level := subtree(w.leftmost())
	if w.first != nil && len(w.chunk) > 0 {
		w.join(subtree(w.chunk))
	}
	if w.keepRow {
		w.row = slices.Insert(w.row, 0, raise(leftmost, level))
	}
	root, level := w.tree.root(leftmost, level)
	w.digest = Digest{root, w.raw, nodeSize << level}
	w.settled, w.first, w.chunk = true, nil, nil
	return w.digest
}

// join adds a chunk's root, each but the first's, in their order.
func (w *Writer) join(root node, level int) {
	if w.keepRow {
		w.row = append(w.row, raise(root, level))
	}
	w.tree.add(root, level)
}

// add takes whole quads, no more than the chunk under way has room for.
func (w *Writer) add(quads []byte) {
	if w.chunk == nil {
		w.chunk = make([]byte, 0, chunkSize)
	}
	begun := len(w.chunk)
	w.chunk = w.chunk[:begun+len(quads)/fr32.Raw*fr32.Padded]
	fr32.Pad(w.chunk[begun:], quads)
	if len(w.chunk) < chunkSize {
		return
	}
	switch {
	case w.first == nil:
		w.first, w.chunk = w.chunk, nil
	case w.jobs == 0:
		w.join(subtree(w.chunk))
		w.chunk = w.chunk[:0]
	default:
		w.launch()
	}
}

func (w *Writer) launch() {
	j := &job{chunk: w.chunk, done: make(chan struct{})}
	go func() {
		defer close(j.done)
		j.root, _ = subtree(j.chunk)
	}()
	w.flying, w.chunk = append(w.flying, j), nil
	if len(w.flying) > w.jobs {
		w.chunk = w.land()[:0]
	}
}

// land waits for the oldest job and hands its chunk back.
func (w *Writer) land() []byte {
	j := w.flying[0]
	w.flying = w.flying[1:]
	<-j.done
	w.join(j.root, chunkLevel)
	return j.chunk
}
