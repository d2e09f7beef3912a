package piece_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/ipfs/go-cid"
	"github.com/multiformats/go-multihash"

	"github.com/shale-cloud/shale/kernel/piece"
	"github.com/shale-cloud/shale/kernel/piece/piecetest"
)

func many(t *testing.T) (piecetest.Source, []piecetest.Block) {
	var blocks []piecetest.Block
	for i := range 200 {
		hash := []uint64{multihash.SHA2_256, multihash.BLAKE2B_MIN + 31}[i%2]
		blocks = append(blocks, piecetest.Raw(t, bytes.Repeat([]byte{byte(i)}, i%100+1), hash))
	}
	return piecetest.CAR(t, []cid.Cid{blocks[0].CID}, blocks...), blocks
}

func TestSoundCARVerifies(t *testing.T) {
	src, _ := many(t)
	for sample, want := range map[int]int{0: 200, 1: 1, 50: 50, 1000: 200} {
		c, err := piece.VerifyBlocks(t.Context(), append(src, make([]byte, 1000)...), sample)
		if err != nil || c.Blocks != 200 || c.Verified != want || c.Faults != 0 {
			t.Errorf("sample %d: %+v, %v", sample, c, err)
		}
	}
}

func TestEachCorruptBlockIsFoundWithItsOffset(t *testing.T) {
	src, blocks := many(t)
	at := int64(bytes.Index(src, blocks[150].CID.Bytes()) + blocks[150].CID.ByteLen())
	src[at] ^= 1
	c, err := piece.VerifyBlocks(t.Context(), src, 0)
	if err != nil || c.Verified != 199 || c.Faults != 1 {
		t.Fatalf("%+v, %v", c, err)
	}
	if p := c.Problems[0]; p.Offset != at || !strings.Contains(p.Reason, "corrupt") {
		t.Errorf("%+v, want offset %d", p, at)
	}
}

func TestWhatStandsBeforeATruncationIsVerified(t *testing.T) {
	src, _ := many(t)
	c, err := piece.VerifyBlocks(t.Context(), src[:len(src)-10], 0)
	if err != nil || c.Blocks != 199 || c.Verified != 199 || c.Faults != 1 || !strings.Contains(c.Problems[0].Reason, "truncated") {
		t.Errorf("%+v, %v", c, err)
	}
}

func TestNoCARIsNothingToVerify(t *testing.T) {
	var format *piece.FormatError
	if _, err := piece.VerifyBlocks(t.Context(), piecetest.Source("no CAR at all"), 0); !errors.As(err, &format) {
		t.Errorf("got %v", err)
	}
}

func TestProblemsAreCountedAndTheirTextsBounded(t *testing.T) {
	var blocks []piecetest.Block
	for i := range 500 {
		b := piecetest.Raw(t, []byte{byte(i), byte(i >> 8)}, multihash.SHA2_256)
		b.Data = []byte("other")
		blocks = append(blocks, b)
	}
	c, err := piece.VerifyBlocks(t.Context(), piecetest.CAR(t, nil, blocks...), 0)
	if err != nil || c.Faults != 500 || len(c.Problems) != 100 {
		t.Errorf("%d faults, %d told, %v", c.Faults, len(c.Problems), err)
	}
}

func TestCancelledVerificationEnds(t *testing.T) {
	src, _ := many(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := piece.VerifyBlocks(ctx, src, 0); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if _, err := piece.CommitTo(ctx, src); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// A shrunk source ends before the size that it had when it was opened.
type shrunk struct{ piecetest.Source }

func (s shrunk) Size() int64 { return s.Source.Size() + 1 }

func TestSourceThatShrinksIsNotCommittedTo(t *testing.T) {
	var format *piece.FormatError
	if _, err := piece.CommitTo(t.Context(), shrunk{piecetest.Source("short")}); !errors.As(err, &format) || format.Offset != 5 {
		t.Errorf("got %v", err)
	}
}
