package dataset

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/shale-cloud/shale/kernel/piece"
)

// damaged changes a byte in each of some leaves of a packed dataset; it returns where these leaves begin.
func damaged(t *testing.T, car string, leaves ...[]byte) (offsets []int64) {
	t.Helper()
	data, err := os.ReadFile(car)
	if err != nil {
		t.Fatal(err)
	}
	for _, leaf := range leaves {
		at := bytes.Index(data, leaf)
		if at < 0 {
			t.Fatal("no such leaf")
		}
		data[at+len(leaf)/2] ^= 1
		offsets = append(offsets, int64(at))
	}
	if err := os.WriteFile(car, data, 0o644); err != nil {
		t.Fatal(err)
	}
	return offsets
}

func TestDatasetWithABadLeafGetsNoIndexIfItsBlocksAreVerified(t *testing.T) {
	for _, bare := range []bool{false, true} {
		t.Run(fmt.Sprintf("without commitment %v", bare), func(t *testing.T) {
			car, _ := packed(t)
			path := filepath.Join(t.TempDir(), "index")
			options := Options{VerifyBlocks: true, NoCommitment: bare}
			if _, err := Build(t.Context(), []string{car}, "", path, options); err != nil {
				t.Fatalf("a sound one: %v", err)
			}
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			at := damaged(t, car, []byte("small"), []byte("0123456789abcdef0123"))
			slices.Sort(at)
			_, err := Build(t.Context(), []string{car}, "", path, options)
			var bad *BadBlocks
			if !errors.As(err, &bad) || bad.Faults != 2 || len(bad.Problems) != 2 {
				t.Fatalf("got %v", err)
			}
			for i, p := range bad.Problems {
				if p.Source != car || p.Offset != at[i] || !strings.Contains(p.Reason, "corrupt") {
					t.Errorf("%+v, want offset %d", p, at[i])
				}
			}
			if text := err.Error(); !strings.HasPrefix(text, fmt.Sprintf("%s: offset %d: ", car, at[0])) || strings.Contains(text, "\n") {
				t.Errorf("%s", text)
			}
			if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("an index is there: %v", err)
			}
		})
	}
}

func TestBadBlockOfAFurtherPieceIsNamedInThatPiece(t *testing.T) {
	sound, root := packed(t)
	other, _ := packed(t)
	at := damaged(t, other, []byte("small"))
	_, err := Build(t.Context(), []string{sound, other}, root.String(), filepath.Join(t.TempDir(), "index"), Options{VerifyBlocks: true})
	var bad *BadBlocks
	if !errors.As(err, &bad) || bad.Faults != 1 || bad.Problems[0].Source != other || bad.Problems[0].Offset != at[0] {
		t.Fatalf("got %v", err)
	}
}

func TestVerifiedDatasetHasTheSameRecordAndIsReadOnce(t *testing.T) {
	car, _ := packed(t)
	_, want := indexed(t, car)
	var reads counting
	got, err := Build(t.Context(), []string{car}, "", filepath.Join(t.TempDir(), "index"), Options{VerifyBlocks: true, Reading: func(_ int64, part piece.Source) piece.Source {
		reads.Source = part
		return &reads
	}})
	if err != nil {
		t.Fatal(err)
	}
	if fmt.Sprintf("%+v", *got.Proof) != fmt.Sprintf("%+v", *want.Proof) || fmt.Sprintf("%+v", got.Pieces) != fmt.Sprintf("%+v", want.Pieces) {
		t.Errorf("%+v, want %+v", got, want)
	}
	// The proof reads a chunk or two again.
	if n, size := reads.n.Load(), reads.Size(); n > size+size/2 {
		t.Errorf("%d bytes were read of %d", n, size)
	}
}

// A counting source counts the bytes that are read of it.
type counting struct {
	piece.Source
	n atomic.Int64
}

func (c *counting) ReadAt(p []byte, off int64) (int, error) {
	n, err := c.Source.ReadAt(p, off)
	c.n.Add(int64(n))
	return n, err
}

func TestPieceThatChangesWhileItIsIndexedGetsNoIndex(t *testing.T) {
	for _, options := range []Options{{}, {VerifyBlocks: true}} {
		car, _ := packed(t)
		path := filepath.Join(t.TempDir(), "index")
		options.Reading = func(_ int64, part piece.Source) piece.Source {
			file, err := os.OpenFile(car, os.O_WRONLY|os.O_APPEND, 0)
			if err == nil {
				_, err = file.WriteString("more")
			}
			if err := errors.Join(err, file.Close()); err != nil {
				t.Fatal(err)
			}
			return part
		}
		if _, err := Build(t.Context(), []string{car}, "", path, options); err == nil || !strings.Contains(err.Error(), "changed while it was read") {
			t.Errorf("got %v", err)
		}
		if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("an index is there: %v", err)
		}
	}
}
