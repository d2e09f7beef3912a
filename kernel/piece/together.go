package piece

import (
	"context"
	"sync"
)

const (
	// ahead is how far the commitment may be in front of the blocks' checks, more than a section; behind is what is kept
	// for checks under way.
	ahead  = 24 << 20
	behind = 24 << 20
)

// A Whole is what one pass found: the commitment is of the bytes, whatever they are; Blocks is why they are no CAR.
type Whole struct {
	Checked    Checked
	Blocks     error
	Commitment Commitment
}

// VerifyWhole is VerifyBlocks of all blocks, and CommitTo, in one pass over the source.
func VerifyWhole(ctx context.Context, src Source) (w Whole, err error) {
	w.Checked, w.Blocks, err = VerifyBeside(ctx, src, func(src Source) (err error) {
		w.Commitment, err = CommitTo(ctx, src)
		return err
	})
	return w, err
}

// VerifyBeside is VerifyBlocks of all blocks of a source that lead reads through meanwhile, in order and to its end: what
// lead reads of the source that it is given is read once. err is what lead returns, blocks what VerifyBlocks does.
func VerifyBeside(ctx context.Context, src Source, lead func(Source) error) (checked Checked, blocks, err error) {
	s := &shared{Source: src}
	s.moved = sync.NewCond(&s.mu)
	var walk sync.WaitGroup
	walk.Go(func() {
		checked, blocks = verifyBlocks(ctx, s, 0, 4)
		s.stop(&s.followed)
	})
	err = lead(leader{s})
	s.stop(&s.led)
	walk.Wait()
	return checked, blocks, err
}

// A shared source is read by a leader, in order, and by followers, who get what the leader read while it is kept, and
// read for themselves what isn't any more.
type shared struct {
	Source
	mu       sync.Mutex
	moved    *sync.Cond
	kept     []stretch // without gaps, up to end
	end      int64     // of what the leader has read
	wanted   int64     // the furthest place that a follower has asked for
	led      bool      // the leader has ended
	followed bool      // the followers have
}

type stretch struct {
	at   int64
	data []byte
}

func (s *shared) stop(flag *bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	*flag = true
	s.moved.Broadcast()
}

// A leader reads in order, not too far ahead of who follows. What it reads again, or beside, it reads for itself.
type leader struct{ *shared }

func (l leader) ReadAt(p []byte, off int64) (int, error) {
	n, err := l.Source.ReadAt(p, off)
	l.mu.Lock()
	defer l.mu.Unlock()
	if off != l.end {
		return n, err
	}
	for !l.followed && off > l.wanted+ahead {
		l.moved.Wait()
	}
	if l.end = off + int64(n); l.followed {
		l.kept = nil
	} else if n > 0 {
		l.kept = append(l.kept, stretch{off, append([]byte(nil), p[:n]...)})
	}
	l.moved.Broadcast()
	return n, err
}

// ReadAt waits for the leader.
func (s *shared) ReadAt(p []byte, off int64) (int, error) {
	if s.copy(p, off) {
		return len(p), nil
	}
	return s.Source.ReadAt(p, off)
}

// copy fills p from what is kept, or reports false.
func (s *shared) copy(p []byte, off int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if off < 0 {
		return false
	}
	if off > s.wanted {
		s.wanted = off
		for len(s.kept) > 0 && s.kept[0].at+int64(len(s.kept[0].data)) < off-behind {
			s.kept[0].data = nil
			s.kept = s.kept[1:]
		}
		s.moved.Broadcast()
	}
	end := off + int64(len(p))
	for !s.led && s.end < end {
		s.moved.Wait()
	}
	if s.end < end || len(s.kept) == 0 || s.kept[0].at > off {
		return false
	}
	for _, k := range s.kept {
		if at := off - k.at; at < int64(len(k.data)) {
			n := copy(p, k.data[at:])
			if p, off = p[n:], off+int64(n); len(p) == 0 {
				return true
			}
		}
	}
	return len(p) == 0
}
