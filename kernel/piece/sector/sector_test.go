package sector

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	rlepluslazy "github.com/filecoin-project/go-bitfield/rle"
	"golang.org/x/sys/unix"

	"github.com/shale-cloud/shale/kernel/piece"
	"github.com/shale-cloud/shale/kernel/piece/fr32"
	"github.com/shale-cloud/shale/kernel/piece/piecetest"
	"github.com/shale-cloud/shale/kernel/piece/sourcetest"
)

func written(t *testing.T, size, at int64, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s-t01000-1")
	if _, err := Write(t.Context(), path, size, at, piecetest.Source(content)); err != nil {
		t.Fatal(err)
	}
	return path
}

func opened(t *testing.T, path string) *Sector {
	t.Helper()
	src, err := piece.OpenFile(path)
	if err != nil {
		t.Fatal(err)
	}
	s, err := Open(src)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func TestSectorPieceIsASource(t *testing.T) {
	sourcetest.Run(t, func(t *testing.T, content []byte) piece.Source {
		s := opened(t, written(t, 8<<20, 4<<20, content))
		at, err := s.Only()
		if err != nil {
			t.Fatal(err)
		}
		src, err := s.Piece(at, int64(len(content)))
		if err != nil {
			t.Fatal(err)
		}
		return src
	})
}

func TestSectorOfItsExactSizeIsAllThere(t *testing.T) {
	raw := sourcetest.Random(5, 2<<10/fr32.Padded*fr32.Raw)
	padded := make([]byte, 2<<10)
	fr32.Pad(padded, raw)
	s, err := Open(piecetest.Source(padded))
	if err != nil {
		t.Fatal(err)
	}
	src, err := s.Piece(Range{1 << 10, 512}, 0)
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(io.NewSectionReader(src, 0, src.Size()))
	if err != nil || !bytes.Equal(got, raw[8*fr32.Raw:12*fr32.Raw]) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}

func TestSeveralPiecesShareASector(t *testing.T) {
	one, two := sourcetest.Random(1, 500), sourcetest.Random(2, 200)
	path := written(t, 2<<10, 0, one)
	if _, err := Write(t.Context(), path, 2<<10, 512, piecetest.Source(two)); err != nil {
		t.Fatal(err)
	}
	if _, err := Write(t.Context(), path, 2<<10, 512, piecetest.Source(two)); err == nil || !strings.Contains(err.Error(), "overlaps") {
		t.Errorf("written twice: %v", err)
	}
	s := opened(t, path)
	if len(s.Allocated) != 1 || s.Allocated[0] != (Range{0, 768}) {
		t.Errorf("allocated: %s", s.Allocated)
	}
	if _, err := s.Only(); err == nil {
		t.Error("768 bytes were taken for a piece")
	}
	for at, want := range map[Range][]byte{{0, 512}: one, {512, 256}: two} {
		src, err := s.Piece(at, int64(len(want)))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(io.NewSectionReader(src, 0, src.Size())); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%v: %d bytes, %v", at, len(got), err)
		}
	}
}

func TestTrailerIsThatOfLotus(t *testing.T) {
	data, err := os.ReadFile(written(t, 2<<10, 512, sourcetest.Random(1, 400)))
	if err != nil {
		t.Fatal(err)
	}
	length := int(binary.LittleEndian.Uint32(data[len(data)-4:]))
	if len(data) != 2<<10+length+4 {
		t.Fatalf("%d bytes, trailer of %d", len(data), length)
	}
	// Bits from the lowest: version 00, first run's value 0, and for each run of 512 the mark 00 and a varint 80 04.
	if want := []byte{0x00, 0x90, 0x00, 0x40, 0x02}; !bytes.Equal(data[2<<10:len(data)-4], want) {
		t.Errorf("trailer %x, want %x", data[2<<10:len(data)-4], want)
	}
	field, err := rlepluslazy.FromBuf(data[2<<10 : len(data)-4])
	if err != nil {
		t.Fatal(err)
	}
	if runs, err := field.MarshalJSON(); err != nil || string(runs) != "[512,512]" {
		t.Errorf("runs %s, %v", runs, err)
	}
}

func TestPieceThatIsNotUnsealedIsRefused(t *testing.T) {
	s := opened(t, written(t, 8<<20, 1<<20, sourcetest.Random(3, 1_000_000)))
	for _, at := range []Range{{0, 1 << 20}, {2 << 20, 1 << 20}, {0, 2 << 20}, {0, 8 << 20}, {1 << 20, 128}, {2<<20 - 128, 128}} {
		src, err := s.Piece(at, 0)
		var format *piece.FormatError
		switch inside := at.Offset >= 1<<20 && at.Offset < 2<<20; {
		case inside && err != nil:
			t.Errorf("%v: %v", at, err)
		case !inside && (!errors.As(err, &format) || format.Offset != at.Offset || !strings.Contains(err.Error(), "not unsealed")):
			t.Errorf("%v: %v, %v", at, src, err)
		}
	}
}

func TestReadOutsideTheAllocationIsNeverZeros(t *testing.T) {
	s := opened(t, written(t, 2<<10, 0, sourcetest.Random(3, 2032)))
	src, err := s.Piece(Range{0, 2 << 10}, 0)
	if err != nil {
		t.Fatal(err)
	}
	s.Allocated = Allocation{{0, 1 << 10}}
	if n, err := src.ReadAt(make([]byte, 2000), 0); n != 0 || err == nil || !strings.Contains(err.Error(), "not unsealed") {
		t.Errorf("%d, %v", n, err)
	}
	if n, err := src.ReadAt(make([]byte, 1016), 0); n != 1016 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
}

func TestPlaceThatNoPieceCanHaveIsRefused(t *testing.T) {
	s, err := Open(piecetest.Source(make([]byte, 2<<10)))
	if err != nil {
		t.Fatal(err)
	}
	for _, at := range []Range{
		{0, 0}, {0, 64}, {0, 384}, {128, 256}, {-128, 128}, {2 << 10, 128}, {0, 4 << 10}, {1 << 62, 1 << 62}, {0, -128}, {0, -1 << 63},
	} {
		if _, err := s.Piece(at, 0); err == nil {
			t.Errorf("%v was taken", at)
		}
	}
	for _, raw := range []int64{-1, 128, 1 << 62} {
		if _, err := s.Piece(Range{0, 128}, raw); err == nil {
			t.Errorf("raw size %d was taken", raw)
		}
	}
}

func TestMalformedTrailerIsRefusedWithItsOffset(t *testing.T) {
	trailer := func(field []byte, length uint32) piecetest.Source {
		return append(append(make([]byte, 2<<10), field...), binary.LittleEndian.AppendUint32(nil, length)...)
	}
	beyond, err := Allocation{{1024, 1025}}.encode()
	if err != nil {
		t.Fatal(err)
	}
	cases := []struct {
		name   string
		src    piecetest.Source
		offset int64
		reason string
	}{
		{"too short", make([]byte, 2047), 0, "smallest"},
		{"no room for a length", make([]byte, 2<<10+3), 2 << 10, "no trailer"},
		{"length beyond the file", trailer([]byte{0x50}, 1<<31), 2<<10 + 1, "trailer says"},
		{"length short of the file", trailer([]byte{0x50, 1}, 1), 2<<10 + 2, "trailer says"},
		{"absurdly long", make([]byte, 2<<10+4<<20), 2 << 10, "no trailer"},
		{"other version", trailer([]byte{0x51}, 1), 2 << 10, "version"},
		{"not minimal", trailer([]byte{0x54, 0}, 2), 2 << 10, "minimal"},
		{"marks beyond the sector", trailer(beyond, uint32(len(beyond))), 2 << 10, "the sector has 2048"},
		{"run that never ends", trailer(append([]byte{0xe0}, bytes.Repeat([]byte{0xff}, 11)...), 12), 2 << 10, "too long"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			_, err := Open(c.src)
			var format *piece.FormatError
			if !errors.As(err, &format) {
				t.Fatalf("got %v", err)
			}
			if format.Offset != c.offset || !strings.Contains(format.Reason, c.reason) || strings.Contains(err.Error(), "\n") {
				t.Errorf("got %v, want offset %d and %q", err, c.offset, c.reason)
			}
		})
	}
}

func TestBytesThatAreNotFr32AreRefusedWithTheirOffset(t *testing.T) {
	path := written(t, 2<<10, 0, sourcetest.Random(3, 2032))
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	data[5*fr32.Padded+63] |= 0x40
	s, err := Open(piecetest.Source(data))
	if err != nil {
		t.Fatal(err)
	}
	src, err := s.Piece(Range{0, 2 << 10}, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = src.ReadAt(make([]byte, 2032), 0)
	var format *piece.FormatError
	if !errors.As(err, &format) || format.Offset != 5*fr32.Raw {
		t.Errorf("got %v", err)
	}
	if _, err := src.ReadAt(make([]byte, 5*fr32.Raw), 0); err != nil {
		t.Errorf("before it: %v", err)
	}
}

func TestSectorTruncatedAfterItWasOpenedIsNeverZeros(t *testing.T) {
	path := written(t, 8<<20, 0, sourcetest.Random(3, 5_000_000))
	src, err := opened(t, path).Piece(Range{0, 8 << 20}, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, 1<<20); err != nil {
		t.Fatal(err)
	}
	if n, err := src.ReadAt(make([]byte, 1000), 2<<20); n != 0 || err == nil {
		t.Errorf("%d, %v", n, err)
	}
}

// A sparse file of a real sector's size: offsets of many GiB are right, and the sector costs no disk.
func TestPieceAtTheEndOfALargeSectorIsFound(t *testing.T) {
	content := sourcetest.Random(9, 3000)
	path := written(t, 64<<30, 64<<30-4096, content)
	s := opened(t, path)
	src, err := s.Piece(Range{64<<30 - 4096, 4096}, int64(len(content)))
	if err != nil {
		t.Fatal(err)
	}
	got := make([]byte, len(content))
	if _, err := src.ReadAt(got, 0); err != nil || !bytes.Equal(got, content) {
		t.Errorf("%v", err)
	}
	whole := &pieceSource{sector: &Sector{s.Size, Allocation{{0, s.Size}}, s.src}, at: Range{0, s.Size}, size: s.Size / 128 * 127}
	if n, err := whole.ReadAt(got, (64<<30-4096)/128*127+100); n != len(got) || err != nil || !bytes.Equal(got[:2900], content[100:]) {
		t.Errorf("from the start: %d, %v", n, err)
	}
}

func TestCancelledWriteLeavesNothing(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	dir := t.TempDir()
	path := filepath.Join(dir, "sector")
	if _, err := Write(ctx, path, 2<<10, 0, piecetest.Source("data")); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
}

func TestWriteThatDoesNotFitIsRefused(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []struct{ size, at, content int64 }{{1000, 0, 1}, {2 << 10, 64, 1}, {2 << 10, 0, 2033}, {2 << 10, 1 << 10, 1017}, {2 << 10, -128, 1}} {
		if _, err := Write(t.Context(), filepath.Join(dir, "s"), c.size, c.at, piecetest.Source(make([]byte, c.content))); err == nil {
			t.Errorf("%+v was written", c)
		}
	}
	car := filepath.Join(dir, "a.car")
	if err := os.WriteFile(car, []byte("a file of another kind"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Write(t.Context(), car, 2<<10, 0, piecetest.Source("x")); err == nil {
		t.Error("another file was overwritten")
	}
}

func TestPieceSizeIsTheNextPowerOfTwo(t *testing.T) {
	for raw, want := range map[int64]int64{0: 128, 1: 128, 127: 128, 128: 256, 254: 256, 255: 512, 32 << 30 / 128 * 127: 32 << 30, 32<<30/128*127 + 1: 64 << 30} {
		if got := PieceSize(raw); got != want {
			t.Errorf("%d: %d, want %d", raw, got, want)
		}
	}
}

func TestSectorThatIsBeingWrittenIsLeftAlone(t *testing.T) {
	path := written(t, 2<<10, 0, []byte("one"))
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if err := unix.Flock(int(file.Fd()), unix.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	if _, err := Write(t.Context(), path, 2<<10, 1024, piecetest.Source("two")); err == nil || !strings.Contains(err.Error(), "somebody else") {
		t.Errorf("got %v", err)
	}
}

// The model is a bit for each byte.
func TestAllocationIsThatOfTheBits(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		var a Allocation
		var bits [64]bool
		for range 12 {
			next := Range{int64(r.IntN(60)), int64(r.IntN(4) + 1)}
			taken := slices.Contains(bits[next.Offset:next.end()], true)
			switch added, err := a.add(next); {
			case (err != nil) != taken:
				t.Fatalf("%v and %v: %v", a, next, err)
			case err == nil:
				a = added
				for i := next.Offset; i < next.end(); i++ {
					bits[i] = true
				}
			}
		}
		for off := range int64(60) {
			for size := range int64(4) {
				asked := Range{off, size}
				if want := !slices.Contains(bits[off:off+size], false); a.Covers(asked) != want {
					t.Fatalf("%v covers %v: %v", a, asked, !want)
				}
			}
		}
	}
}

func FuzzTrailer(f *testing.F) {
	for _, a := range []Allocation{nil, {{0, 2048}}, {{512, 512}}, {{0, 1}, {2, 1}, {100, 16}}} {
		field, err := a.encode()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(field)
	}
	f.Fuzz(func(t *testing.T, field []byte) {
		a, err := decodeAllocation(field, 2<<10)
		if err != nil {
			return
		}
		at := int64(-1)
		for _, r := range a {
			if r.Size <= 0 || r.Offset <= at || r.end() > 2<<10 || !a.Covers(r) || a.Covers(Range{r.Offset, r.Size + 1}) {
				t.Fatalf("%v", a)
			}
			at = r.end()
		}
		again, err := a.encode()
		if err != nil {
			t.Fatal(err)
		}
		if back, err := decodeAllocation(again, 2<<10); err != nil || back.String() != a.String() || len(back) != len(a) {
			t.Errorf("%v became %v, %v", a, back, err)
		}
	})
}
