package piece

import (
	"bytes"
	"cmp"
	"context"
	crand "crypto/rand"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"

	"github.com/ipfs/go-cid"

	"github.com/shale-cloud/shale/kernel/piece/commp"
)

// maxProblems is how many problems are described; the rest is counted.
const maxProblems = 100

// A Problem is what is wrong with a source, and where.
type Problem struct {
	Offset int64  `json:"offset"`
	Reason string `json:"reason"`
}

// Checked is what VerifyBlocks found.
type Checked struct {
	Header   Header
	Blocks   int // that the CAR has, up to where it is broken
	Verified int // of those looked at, that are what their CIDs say
	Faults   int // all of them
	Problems []Problem
}

// note records a problem. Blocks are verified side by side: of those found the ones that stand first are kept, in order.
func (c *Checked) note(offset int64, reason string) {
	c.Faults++
	at, _ := slices.BinarySearchFunc(c.Problems, offset, func(p Problem, offset int64) int { return cmp.Compare(p.Offset, offset) })
	if c.Problems = slices.Insert(c.Problems, at, Problem{offset, reason}); len(c.Problems) > maxProblems {
		c.Problems = c.Problems[:maxProblems]
	}
}

// A section is a block to be verified.
type section struct {
	id    cid.Cid
	block Block
}

// VerifyBlocks compares the blocks of a CAR with their CIDs: all, or, if sample isn't 0, as many chosen at random, which
// nobody can foresee. What is wrong with the source is found, not an error; a source that is no CAR at all is.
func VerifyBlocks(ctx context.Context, src Source, sample int) (Checked, error) {
	return verifyBlocks(ctx, src, sample, 64)
}

// verifyBlocks has as many blocks wait as queue says.
func verifyBlocks(ctx context.Context, src Source, sample, queue int) (Checked, error) {
	v := &verifier{src: src, queue: make(chan section, queue)}
	var workers sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), 8) {
		workers.Go(v.work)
	}
	err := v.walk(ctx, sample)
	close(v.queue)
	workers.Wait()
	return v.checked, err
}

type verifier struct {
	src     Source
	queue   chan section
	mu      sync.Mutex
	checked Checked
}

func (v *verifier) walk(ctx context.Context, sample int) error {
	chosen := make([]section, 0, min(sample, 1<<16))
	var seed [32]byte
	if _, err := crand.Read(seed[:]); err != nil {
		return err
	}
	random := rand.New(rand.NewChaCha8(seed))
	header, err := WalkCAR(v.src, func(id cid.Cid, b Block) error {
		v.checked.Blocks++
		s := section{id, b}
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case sample == 0:
			v.queue <- s
		case len(chosen) < sample: // a reservoir: each block is in it with the same chance
			chosen = append(chosen, s)
		default:
			if at := random.IntN(v.checked.Blocks); at < sample {
				chosen[at] = s
			}
		}
		return nil
	})
	v.checked.Header = header
	if err != nil {
		problem, ok := err.(*FormatError)
		if !ok || header.Version == 0 {
			return err
		}
		v.fault(problem.Offset, problem.Reason)
	}
	for _, s := range chosen {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		v.queue <- s
	}
	return nil
}

func (v *verifier) fault(offset int64, reason string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.checked.note(offset, reason)
}

func (v *verifier) work() {
	var buf []byte
	for s := range v.queue {
		if cap(buf) < int(s.block.Size) {
			buf = make([]byte, s.block.Size)
		}
		if reason := v.check(s, buf[:s.block.Size]); reason != "" {
			v.fault(s.block.Offset, reason)
			continue
		}
		v.mu.Lock()
		v.checked.Verified++
		v.mu.Unlock()
	}
}

func (v *verifier) check(s section, buf []byte) (reason string) {
	if n, err := v.src.ReadAt(buf, s.block.Offset); n < len(buf) {
		return fmt.Sprintf("block %s is unreadable: %v", s.id, eofIsTruncation(err))
	}
	sum, err := s.id.Prefix().Sum(buf)
	if err != nil {
		return fmt.Sprintf("block %s cannot be verified: %v", s.id, err)
	}
	if !bytes.Equal(sum.Hash(), s.id.Hash()) {
		return fmt.Sprintf("block %s is corrupt", s.id)
	}
	return ""
}

// CommitTo commits to all of a source.
func CommitTo(ctx context.Context, src Source) (Commitment, error) {
	return CommitWith(ctx, src, commp.NewWriter())
}

// CommitWith is CommitTo with a new writer, which the caller asks for more than the commitment afterwards.
func CommitWith(ctx context.Context, src Source, w *commp.Writer) (Commitment, error) {
	c, err := commitWith(w, untilDone{ctx, io.NewSectionReader(src, 0, src.Size())})
	if err == nil && c.RawSize != uint64(src.Size()) {
		err = FormatErrorf(src, int64(c.RawSize), "truncated: %d bytes were here when it was opened", src.Size())
	}
	return c, err
}

// An untilDone reader ends with its context.
type untilDone struct {
	ctx context.Context
	r   io.Reader
}

func (u untilDone) Read(p []byte) (int, error) {
	if err := u.ctx.Err(); err != nil {
		return 0, err
	}
	return u.r.Read(p)
}
