// Package sourcetest is the suite that every kind of piece source passes, whatever the bytes lie in.
package sourcetest

import (
	"bytes"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/shale-cloud/shale/kernel/piece"
)

// sizes are around a quad, around the batches that adapters work in, and one of many batches.
var sizes = []int{1, 126, 127, 128, 254, 4097, 64<<10 - 1, 64 << 10, 1<<20 + 1, 3_000_000}

// Run opens contents of several sizes as the adapter would keep them. A source may give trailing zeros behind them, as
// a padded piece does.
func Run(t *testing.T, open func(t *testing.T, content []byte) piece.Source) {
	for _, size := range sizes {
		content := Random(uint64(size), size)
		src := open(t, content)
		t.Run("reads", func(t *testing.T) { check(t, src, content) })
		t.Run("many readers", func(t *testing.T) { readers(t, src, content) })
		if err := src.Close(); err != nil {
			t.Errorf("%d bytes: close: %v", size, err)
		}
		if n, err := src.ReadAt(make([]byte, 1), 0); err == nil {
			t.Errorf("%d bytes: read %d when closed", size, n)
		}
	}
}

// Tells opens a content of a megabyte, and has change put other bytes of the same size in its place while it is open. A
// source that has a state must have another one then: whoever reads again, unverified, what was verified asks for nothing
// else. One that can't promise it has none.
func Tells(t *testing.T, open func(t *testing.T, content []byte) (src piece.Source, change func(t *testing.T))) {
	src, change := open(t, Random(7, 1<<20))
	defer src.Close()
	was, known := piece.StateOf(src)
	for known && !was.Settled(time.Now()) {
		time.Sleep(10 * time.Millisecond) // what else changed in this tick of the file system's clock need not show
		was, known = piece.StateOf(src)
	}
	before, after := make([]byte, src.Size()), make([]byte, src.Size())
	if _, err := src.ReadAt(before, 0); err != nil && err != io.EOF {
		t.Fatal(err)
	}
	change(t)
	if now, ok := piece.StateOf(src); known && ok && now == was {
		t.Errorf("other bytes lie there, and the state is still %+v", now)
	}
	if n, err := src.ReadAt(after, 0); err != nil && err != io.EOF {
		return // rather nothing than other bytes
	} else if now, ok := piece.StateOf(src); known && ok && now == was {
		t.Errorf("read again, %d bytes, others: %v, and the state is still %+v", n, !bytes.Equal(before, after), now)
	}
}

// Random is bytes that the seed chooses.
func Random(seed uint64, n int) []byte {
	out := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), byte(seed >> 16), byte(seed >> 24)}).Read(out)
	return out
}

func check(t *testing.T, src piece.Source, content []byte) {
	if name := src.Name(); name == "" || strings.Contains(name, "\n") {
		t.Errorf("name %q", name)
	}
	whole := make([]byte, src.Size())
	if n, err := src.ReadAt(whole, 0); n != len(whole) || err != nil && err != io.EOF {
		t.Fatalf("%d of %d bytes, %v", n, len(whole), err)
	}
	if len(whole) < len(content) || !bytes.Equal(whole[:len(content)], content) {
		t.Fatalf("%d bytes, not the %d that were put in", len(whole), len(content))
	}
	if rest := bytes.TrimLeft(whole[len(content):], "\x00"); len(rest) != 0 {
		t.Errorf("%d bytes behind the content", len(rest))
	}
	size := src.Size()
	if n, err := src.ReadAt(make([]byte, 10), size-1); n != 1 || err != io.EOF {
		t.Errorf("across the end: %d, %v", n, err)
	}
	for _, off := range []int64{size, size + 1, size + 1<<40} {
		if n, err := src.ReadAt(make([]byte, 1), off); n != 0 || err != io.EOF {
			t.Errorf("at %d of %d: %d, %v", off, size, n, err)
		}
	}
	if n, err := src.ReadAt(make([]byte, 1), -1); n != 0 || err == nil || err == io.EOF {
		t.Errorf("at -1: %d, %v", n, err)
	}
	if n, err := src.ReadAt(nil, 0); n != 0 || err != nil {
		t.Errorf("nothing: %d, %v", n, err)
	}
}

// readers reads ranges at random places and over each edge of a quad, several at once.
func readers(t *testing.T, src piece.Source, content []byte) {
	var group sync.WaitGroup
	for seed := range uint64(4) {
		group.Go(func() {
			r := rand.New(rand.NewPCG(seed, 1))
			for range 50 {
				off := r.IntN(len(content))
				n := min(r.IntN(3000)+1, len(content)-off)
				got := make([]byte, n)
				if read, err := src.ReadAt(got, int64(off)); read != n || err != nil && err != io.EOF {
					t.Errorf("%d bytes at %d: %d, %v", n, off, read, err)
				}
				if !bytes.Equal(got, content[off:off+n]) {
					t.Errorf("%d bytes at %d of %d are wrong", n, off, len(content))
				}
			}
		})
	}
	group.Wait()
}
