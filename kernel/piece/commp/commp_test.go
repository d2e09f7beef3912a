package commp

import (
	"bytes"
	"encoding/hex"
	"math/rand/v2"
	"testing"

	library "github.com/filecoin-project/go-fil-commp-hashhash"

	"github.com/shale-cloud/shale/kernel/piece/fr32"
)

// oracle is what Filecoin's library says of data, which is padded to its smallest payload.
func oracle(t testing.TB, data []byte) Digest {
	t.Helper()
	calc := &library.Calc{}
	calc.Write(data)
	if len(data) < fr32.Raw {
		calc.Write(make([]byte, fr32.Raw-len(data)))
	}
	root, padded, err := calc.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return Digest{[nodeSize]byte(root), uint64(len(data)), padded}
}

func commit(t testing.TB, w *Writer, parts ...[]byte) Digest {
	t.Helper()
	for _, part := range parts {
		if n, err := w.Write(part); n != len(part) || err != nil {
			t.Fatalf("wrote %d of %d bytes: %v", n, len(part), err)
		}
	}
	return w.Digest()
}

func TestEveryShortLengthMatchesTheLibrary(t *testing.T) {
	data := randomBytes(1, 600)
	for n := range len(data) + 1 {
		if got, want := commit(t, newWriter(0), data[:n]), oracle(t, data[:n]); got != want {
			t.Fatalf("%d bytes: got %x, want %x", n, got, want)
		}
	}
}

func TestLengthsAroundChunksMatchTheLibrary(t *testing.T) {
	const chunk = chunkSize / fr32.Padded * fr32.Raw
	data := randomBytes(2, 9*chunk)
	for _, n := range []int{
		chunk / 2, chunk - fr32.Raw, chunk - 1, chunk, chunk + 1, chunk + fr32.Raw, 3 * chunk / 2, 2*chunk - 1, 2 * chunk,
		2*chunk + 1, 3 * chunk, 4*chunk + 1, 5*chunk + 64, 7*chunk - 1, 8 * chunk, 8*chunk + 1, 9 * chunk,
	} {
		want := oracle(t, data[:n])
		for _, jobs := range []int{0, 1, 3} {
			if got := commit(t, newWriter(jobs), data[:n]); got != want {
				t.Fatalf("%d bytes, %d jobs: got %x, want %x", n, jobs, got, want)
			}
		}
	}
}

func TestRandomLengthsInRandomPartsMatchTheLibrary(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 3))
	data := randomBytes(3, 5<<20)
	for range 12 {
		n := rng.IntN(len(data))
		var parts [][]byte
		for rest := data[:n]; len(rest) > 0; {
			size := min(len(rest), 1+rng.IntN(1<<rng.IntN(21)))
			parts, rest = append(parts, rest[:size]), rest[size:]
		}
		if got, want := commit(t, NewWriter(), parts...), oracle(t, data[:n]); got != want {
			t.Fatalf("%d bytes in %d parts: got %x, want %x", n, len(parts), got, want)
		}
	}
}

func TestZerosAreTheKnownTreesOfZeros(t *testing.T) {
	data := make([]byte, 4*chunkSize/fr32.Padded*fr32.Raw)
	got := commit(t, newWriter(1), data)
	if got.Root != zeros[chunkLevel+2] || got.PaddedSize != 4*chunkSize {
		t.Fatalf("got %x", got)
	}
}

// The root of an empty sector of 32 GiB, as filecoin-ffi's tests and every network's genesis have it.
func TestZeroRootOfASectorIsTheKnownOne(t *testing.T) {
	const sector = "077e5fde35c50a9303a55009e3498a4ebedff39c42b710b730d8ec7ac7afa63e"
	if got := hex.EncodeToString(zeros[30][:]); got != sector {
		t.Fatalf("got %s, want %s", got, sector)
	}
}

func TestReplacedHeadCountsAsIfWrittenFirst(t *testing.T) {
	data := randomBytes(4, 3<<20)
	for _, n := range []int{1, 59, 126, 127, 128, 254, 4096, len(data)} {
		head := randomBytes(5, min(n, 59))
		want := append(bytes.Clone(head), data[len(head):n]...)
		w := newWriter(2)
		if _, err := w.Write(data[:n]); err != nil {
			t.Fatal(err)
		}
		if err := w.SetHead(head); err != nil {
			t.Fatal(err)
		}
		if got := w.Digest(); got != oracle(t, want) {
			t.Fatalf("%d bytes differ", n)
		}
	}
}

func TestBytesThatFollowAReplacedHeadStay(t *testing.T) {
	data := randomBytes(6, 200)
	w := newWriter(0)
	w.Write(data[:70])
	if err := w.SetHead([]byte("head")); err != nil {
		t.Fatal(err)
	}
	if got := commit(t, w, data[70:]); got != oracle(t, append([]byte("head"), data[4:]...)) {
		t.Fatal("differs")
	}
}

func TestHeadThatWasNotWrittenIsRefused(t *testing.T) {
	w := newWriter(0)
	w.Write(make([]byte, 10))
	if w.SetHead(make([]byte, 11)) == nil {
		t.Error("a head longer than the payload is accepted")
	}
	w.Write(make([]byte, 1000))
	if w.SetHead(make([]byte, HeadSize+1)) == nil {
		t.Error("a head longer than HeadSize is accepted")
	}
}

func TestDigestIsTheSameTwiceAndEndsThePiece(t *testing.T) {
	w := newWriter(1)
	first := commit(t, w, randomBytes(7, 1000))
	if again := w.Digest(); again != first {
		t.Errorf("first %x, then %x", first, again)
	}
	if _, err := w.Write([]byte{1}); err == nil {
		t.Error("a write after the digest is accepted")
	}
	if w.SetHead([]byte{1}) == nil {
		t.Error("a head after the digest is accepted")
	}
}

func TestPieceLargerThanASectorIsRefused(t *testing.T) {
	w := newWriter(0)
	w.raw = MaxPayload - 1
	if n, err := w.Write(make([]byte, 2)); n != 0 || err == nil {
		t.Fatalf("took %d bytes, %v", n, err)
	}
	if w.raw != MaxPayload-1 {
		t.Fatalf("counts %d bytes", w.raw)
	}
}

// Trees of tens of GiB, of subtrees that are given: each shape is checked against joining level by level.
func TestTreesOfSectorsSizeAreJoinedAsDefined(t *testing.T) {
	const full = 1 << (maxLevel - chunkLevel) // chunks in 64 GiB
	for _, chunks := range []int{2, 3, 16384, 16385, 40000, full/2 + 1, full - 1, full} {
		row := make([]node, chunks)
		joined := tree{spine: chunkLevel}
		for i := range row {
			row[i] = node{byte(i), byte(i >> 8), byte(i >> 16), 1}
			if i > 0 {
				joined.add(row[i], chunkLevel)
			}
		}
		got, gotLevel := joined.root(row[0], chunkLevel)
		level := chunkLevel
		for ; len(row) > 1; level++ {
			if len(row)%2 == 1 {
				row = append(row, zeros[level])
			}
			flat := make([]byte, 0, len(row)*nodeSize)
			for _, n := range row {
				flat = append(flat, n[:]...)
			}
			hashPairs(flat, flat)
			row = row[:len(row)/2]
			for i := range row {
				row[i] = node(flat[i*nodeSize:])
			}
		}
		if got != row[0] || gotLevel != level {
			t.Fatalf("%d chunks: level %d, want %d, or another root", chunks, gotLevel, level)
		}
		if padded := uint64(nodeSize) << gotLevel; padded < uint64(chunks)*chunkSize || padded > 64<<30 {
			t.Fatalf("%d chunks: padded size %d", chunks, padded)
		}
	}
}

func FuzzWriterMatchesTheLibrary(f *testing.F) {
	f.Add([]byte(nil), uint16(1), uint8(0))
	f.Add([]byte("x"), uint16(127), uint8(1))
	f.Add(bytes.Repeat([]byte{0xcc}, 127), uint16(4096), uint8(2))
	f.Add(randomBytes(8, 600), uint16(1200), uint8(3))
	f.Fuzz(func(t *testing.T, seed []byte, times uint16, jobs uint8) {
		if len(seed)*int(times) > 3*chunkSize {
			return
		}
		w := newWriter(int(jobs % 4))
		for range times {
			w.Write(seed)
		}
		if got, want := w.Digest(), oracle(t, bytes.Repeat(seed, int(times))); got != want {
			t.Fatalf("got %x, want %x", got, want)
		}
	})
}
