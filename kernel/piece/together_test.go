package piece_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/ipfs/go-cid"
	"github.com/multiformats/go-multihash"

	"github.com/shale-cloud/shale/kernel/piece"
	"github.com/shale-cloud/shale/kernel/piece/piecetest"
)

// A metered source counts the bytes that are read of it.
type metered struct {
	piecetest.Source
	read atomic.Int64
	fail int64 // if set, where reads begin to fail
}

func (m *metered) ReadAt(p []byte, off int64) (int, error) {
	if m.fail > 0 && off+int64(len(p)) > m.fail {
		return 0, errors.New("a broken disk")
	}
	n, err := m.Source.ReadAt(p, off)
	m.read.Add(int64(n))
	return n, err
}

// large is a CAR of more than is kept of it while it is read.
func large(t testing.TB) piecetest.Source {
	var blocks []piecetest.Block
	for i := range 80 {
		data := make([]byte, 1<<20)
		binary.LittleEndian.PutUint64(data, uint64(i))
		blocks = append(blocks, piecetest.Raw(t, data, multihash.SHA2_256))
	}
	return piecetest.CAR(t, []cid.Cid{blocks[0].CID}, blocks...)
}

func TestBlocksAndPieceAreVerifiedInOnePass(t *testing.T) {
	sound := large(t)
	corrupt := bytes.Clone(sound)
	corrupt[len(corrupt)/2] ^= 1
	manyBlocks, _ := many(t)
	for name, c := range map[string]struct {
		src    piecetest.Source
		faults int
		reason string
	}{
		"sound":      {src: sound},
		"many small": {src: manyBlocks},
		"padded":     {src: append(bytes.Clone(manyBlocks), make([]byte, 1<<20)...)},
		"corrupt":    {corrupt, 1, "corrupt"},
		"truncated":  {sound[:len(sound)-10], 1, "truncated"},
	} {
		src := &metered{Source: c.src}
		w, err := piece.VerifyWhole(t.Context(), src)
		if err != nil || w.Blocks != nil || w.Checked.Faults != c.faults || c.faults > 0 && !strings.Contains(w.Checked.Problems[0].Reason, c.reason) {
			t.Errorf("%s: %+v, %v, %v", name, w.Checked, w.Blocks, err)
		}
		want, err := piece.CommitTo(t.Context(), c.src)
		if err != nil || w.Commitment != want {
			t.Errorf("%s: %v, want %v", name, w.Commitment, want)
		}
		blocks, err := piece.VerifyBlocks(t.Context(), c.src, 0)
		if err != nil || w.Checked.Blocks != blocks.Blocks || w.Checked.Verified != blocks.Verified {
			t.Errorf("%s: %+v, want %+v", name, w.Checked, blocks)
		}
		// A little is read twice: the header, and what is checked late.
		if extra := src.read.Load() - src.Size(); extra > src.Size()/4+8<<10 {
			t.Errorf("%s: %d bytes of %d read twice", name, extra, src.Size())
		}
	}
}

func TestWhatIsNoCARIsCommittedToAllTheSame(t *testing.T) {
	src := piecetest.Source(bytes.Repeat([]byte("no CAR at all"), 5<<20))
	w, err := piece.VerifyWhole(t.Context(), src)
	var format *piece.FormatError
	if err != nil || !errors.As(w.Blocks, &format) {
		t.Errorf("%v, %v", w.Blocks, err)
	}
	if want, err := piece.CommitTo(t.Context(), src); err != nil || w.Commitment != want {
		t.Errorf("%v, want %v", w.Commitment, want)
	}
}

func TestAPassThatFailsOrIsCancelledEnds(t *testing.T) {
	sound := large(t)
	for _, at := range []int64{1, 30 << 20, sound.Size() - 1} {
		if _, err := piece.VerifyWhole(t.Context(), &metered{Source: sound, fail: at}); err == nil || !strings.Contains(err.Error(), "broken disk") {
			t.Errorf("a disk that breaks at %d: %v", at, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := piece.VerifyWhole(ctx, sound); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}
