package piece_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/multiformats/go-multihash"

	"github.com/shale-cloud/shale/kernel/piece"
	"github.com/shale-cloud/shale/kernel/piece/piecetest"
)

func TestCommitmentOfAPackedCARIsThatOfItsFile(t *testing.T) {
	for name, sizes := range map[string][]int{
		"a header and an empty block": {0},
		"under a quad":                {5},
		"a few blocks":                {100, 5000, 70000},
		"more than the buffer":        {1 << 20, 1<<20 + 1, 1<<20 + 2, 1<<20 + 3, 1<<20 + 4, 300},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "out.car")
			w, err := piece.CreateCAR(path)
			if err != nil {
				t.Fatal(err)
			}
			var last piecetest.Block
			for _, size := range sizes {
				last = piecetest.Raw(t, bytes.Repeat([]byte{byte(size), 1, 2}, size)[:size], multihash.SHA2_256)
				if err := w.Put(context.Background(), last.CID, last.Data); err != nil {
					t.Fatal(err)
				}
			}
			got, err := w.Finish(context.Background(), last.CID)
			if err != nil {
				t.Fatal(err)
			}
			written, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			want, err := piece.Commit(bytes.NewReader(written))
			if err != nil {
				t.Fatal(err)
			}
			if got != want {
				t.Fatalf("got %v, want %v", got, want)
			}
		})
	}
}

func TestCancelledFinishLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	w, err := piece.CreateCAR(filepath.Join(dir, "out.car"))
	if err != nil {
		t.Fatal(err)
	}
	block := piecetest.Raw(t, []byte("block"), multihash.SHA2_256)
	if err := w.Put(context.Background(), block.CID, block.Data); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := w.Finish(ctx, block.CID); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Fatalf("left %v, %v", left, err)
	}
}
