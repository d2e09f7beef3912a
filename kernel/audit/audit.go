// Package audit checks a dataset from its reader's side, knowing its root CID and its piece CID and trusting nothing that
// is answered: leaves chosen at random are read through the mount and led back to the root, and the root is led back to
// the piece.
package audit

import (
	"context"
	crand "crypto/rand"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/shale-cloud/shale/kernel/piece/inclusion"
	"github.com/shale-cloud/shale/kernel/reading"
	"github.com/shale-cloud/shale/kernel/unixfs"
)

const (
	// workers is how many leaves are on their way at once.
	workers = 16
	// MaxSample is the most leaves of one audit.
	MaxSample = 1 << 20
	// maxBlock is the most bytes of a block, as in a CAR that is indexed.
	maxBlock = 8 << 20
	// maxNodes is the most blocks between the root and a leaf: directories, shards and a file's nodes.
	maxNodes = 256
	// maxAnswered is the most bytes that are taken for one leaf, the blocks on the way to it included.
	maxAnswered = 64 << 20
)

// A Piece is one that the root may lie in. Padded is its padded size in bytes, if it is known, or 0.
type Piece struct {
	CID    cid.Cid
	Padded uint64
}

// A Claim is what is said of a dataset.
type Claim struct {
	Root   cid.Cid
	Pieces []Piece // none: nothing is claimed
}

// Options say how much is looked at.
type Options struct {
	Sample      int
	ReadTimeout time.Duration
	// Progress, if set, is called after each leaf, by one goroutine at a time.
	Progress func(done int)
}

// A Result is what was proven.
type Result struct {
	Root         string  `json:"root"`
	Piece        *string `json:"piece"` // that the root was proven to lie in
	Leaves       int     `json:"leaves"`
	Files        int     `json:"files"`      // different ones that the leaves lay in
	Bytes        int64   `json:"bytes"`      // of leaves, read through the mount
	Blocks       int     `json:"blocks"`     // between the root and the leaves, checked against their CIDs
	Milliseconds float64 `json:"ms"`         // for all leaves
	PerLeaf      float64 `json:"ms_leaf"`    // of them by their number: many are read at once
	Slowest      float64 `json:"ms_slowest"` // of one leaf's reading
}

// What a Failure is.
const (
	// Wrong is an answer that contradicts the claim.
	Wrong = "wrong"
	// Unread is no answer: what isn't there, can't be read or takes too long neither proves nor disproves it.
	Unread = "unread"
)

// A Failure is what contradicts the claim, or wasn't answered, and where.
type Failure struct {
	Kind   string `json:"kind"`
	Path   string `json:"path"` // below the dataset's folder, or of a proof
	Offset int64  `json:"offset"`
	Reason string `json:"reason"`
}

func (f *Failure) Error() string { return fmt.Sprintf("%s: offset %d: %s", f.Path, f.Offset, f.Reason) }

// Run audits a dataset through a reader. A claim that is not proven is a *Failure; another error is the reader's own or the
// context's.
func Run(ctx context.Context, reader reading.Reader, claim Claim, options Options) (*Result, error) {
	if options.Sample < 1 || options.Sample > MaxSample {
		return nil, fmt.Errorf("a sample of %d leaves: 1 to %d", options.Sample, MaxSample)
	}
	a := &auditor{reader: reader, claim: claim, options: options, nodes: map[string]*fetched{}, files: map[string]bool{}}
	result := &Result{Root: claim.Root.String()}
	if len(claim.Pieces) > 0 {
		text, err := a.membership(ctx)
		if err != nil {
			return nil, err
		}
		result.Piece = &text
	}
	began := time.Now()
	if err := a.leaves(ctx); err != nil {
		return nil, err
	}
	result.Milliseconds = milliseconds(time.Since(began))
	result.Leaves, result.Files, result.Blocks = a.done, len(a.files), int(a.blocks.Load())
	result.Bytes = a.bytes
	result.PerLeaf, result.Slowest = result.Milliseconds/float64(a.done), milliseconds(a.slowest)
	return result, nil
}

type auditor struct {
	reader  reading.Reader
	claim   Claim
	options Options
	blocks  atomic.Int64

	mu    sync.Mutex
	nodes map[string]*fetched
	kept  int // bytes of nodes
	done  int
	bytes int64
	files map[string]bool

	slowest time.Duration
}

// leaves looks at as many leaves as the options say, until the first failure.
func (a *auditor) leaves(ctx context.Context) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var left atomic.Int64
	left.Store(int64(a.options.Sample))
	var working sync.WaitGroup
	for range min(workers, a.options.Sample) {
		working.Go(func() {
			var seed [32]byte
			if _, err := crand.Read(seed[:]); err != nil {
				stop(err)
				return
			}
			random := rand.New(rand.NewChaCha8(seed))
			for left.Add(-1) >= 0 && ctx.Err() == nil {
				if err := a.leaf(ctx, random); err != nil {
					stop(err) // the first one stays
				}
			}
		})
	}
	working.Wait()
	return context.Cause(ctx)
}

// leaf descends to a leaf and reads it.
func (a *auditor) leaf(ctx context.Context, random *rand.Rand) error {
	d := &descent{auditor: a, random: random}
	if err := d.run(ctx); err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.done++
	a.slowest = max(a.slowest, d.took)
	a.bytes += int64(d.size)
	if d.isFile {
		a.files[d.path()] = true
	}
	if a.options.Progress != nil {
		a.options.Progress(a.done)
	}
	return nil
}

// membership checks that the root's block lies in one of the pieces, and says in which.
func (a *auditor) membership(ctx context.Context) (string, error) {
	const path = "piece.json"
	text, err := a.read(ctx, reading.Proofs, path, 0, inclusion.MaxJSON+1)
	if err != nil {
		return "", err
	}
	fail := func(err error) (string, error) { return "", &Failure{Wrong, "proofs/" + path, 0, err.Error()} }
	proof, err := inclusion.Parse(text)
	if err != nil {
		return fail(err)
	}
	var section []byte
	var refused error
	var named string
	for _, piece := range a.claim.Pieces {
		data, padded, err := proof.Verify(piece.CID)
		if err == nil && piece.Padded != 0 && padded != piece.Padded {
			err = fmt.Errorf("the proof is of a piece of %d padded bytes, claimed are %d", padded, piece.Padded)
		}
		if err == nil {
			section, named = data, piece.CID.String()
			break
		}
		refused = err
	}
	if section == nil {
		return fail(refused)
	}
	block, err := inclusion.BlockIn(section, a.claim.Root)
	if err == nil {
		err = unixfs.CheckBlock(a.claim.Root, block)
	}
	if err != nil {
		return fail(err)
	}
	return named, nil
}

// read asks once, and waits as long as the options say. A file that isn't readable is a failure of the claim.
func (a *auditor) read(ctx context.Context, in reading.Folder, path string, off int64, n int) ([]byte, error) {
	shown := path
	if in == reading.Proofs {
		shown = "proofs/" + path
	}
	patient, cancel := context.WithTimeout(ctx, a.options.ReadTimeout)
	defer cancel()
	data, err := a.reader.Read(patient, in, path, off, n)
	var file *reading.FileError
	switch {
	case err == nil && len(data) > n:
		return nil, &Failure{Wrong, shown, off, fmt.Sprintf("%d bytes for the %d asked for", len(data), n)}
	case err == nil:
		return data, nil
	case errors.As(err, &file):
		return nil, &Failure{Unread, shown, off, "unreadable: " + file.Reason}
	case ctx.Err() == nil && patient.Err() != nil:
		return nil, &Failure{Unread, shown, off, fmt.Sprintf("no answer within %v", a.options.ReadTimeout)}
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	}
	return nil, err
}
