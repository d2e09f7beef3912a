package aggregate

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"github.com/multiformats/go-multihash"

	"github.com/shale-cloud/shale/kernel/piece"
	"github.com/shale-cloud/shale/kernel/piece/fr32"
	"github.com/shale-cloud/shale/kernel/piece/piecetest"
	"github.com/shale-cloud/shale/kernel/piece/sector"
	"github.com/shale-cloud/shale/kernel/piece/sourcetest"
)

// The index that go-data-segment v0.0.1 made of its sample aggregate of 1 MiB, unpadded, without the zeros behind it.
const golden = "02771248c328f03d49dd3067ae71fda4c6230ded8315ea51539e7155c5b0" +
	"261b00000000000000000000020000000000fce75cbd7c9c02ee4f369a10" +
	"d75cae873ddb148ddbece6c7587b6e906e6b9a793c1fd1ed8af1e8a489c0" +
	"51497ccc8403002000000000000000100000000000100ed44a379ac149d7" +
	"a885b0c815eb0c"

func TestIndexOfTheReferenceImplementationIsRead(t *testing.T) {
	raw, err := hex.DecodeString(golden)
	if err != nil {
		t.Fatal(err)
	}
	src := make(piecetest.Source, 1<<20/128*127)
	copy(src[(1<<20-512)/128*127:], raw)
	entries, problems, err := Index(src)
	if err != nil || len(problems) != 0 || len(entries) != 2 {
		t.Fatalf("%v, %v, %v", entries, problems, err)
	}
	for i, want := range []struct {
		piece        string
		offset, size int64
	}{
		{"baga6ea4seaqae5ysjdbsr4b5jhotaz5ooh62jrrdbxwygfpkkfjz44kvywycmgy", 0, 524288},
		{"baga6ea4seaqnrm2n2g4m23t6rs26obxjw2tjtr7tcho24gepj2naqhevytduyoa", 524288, 262144},
	} {
		e := entries[i]
		if e.Piece.String() != want.piece || e.Offset != want.offset || e.Size != want.size || e.Number != i {
			t.Errorf("entry %d: %+v", i, e)
		}
	}
}

func TestIndexSizeIsThatOfTheFormat(t *testing.T) {
	for padded, entries := range map[int64]int64{512: 4, 1 << 20: 8, 3 << 20: 16, 32 << 30: 256 << 10, 64 << 30: 512 << 10} {
		if got := indexSize(padded); got != entries*entrySize {
			t.Errorf("%d: %d entries, want %d", padded, got/entrySize, entries)
		}
	}
}

// made is an aggregate of the pieces, each placed at the next multiple of its size.
func made(t testing.TB, padded int64, contents ...[]byte) piecetest.Source {
	t.Helper()
	out := make(piecetest.Source, padded/fr32.Padded*fr32.Raw)
	index := make([]byte, indexSize(padded))
	at := int64(0)
	for i, content := range contents {
		size := sector.PieceSize(int64(len(content)))
		at = (at + size - 1) / size * size
		copy(out[at/fr32.Padded*fr32.Raw:], content)
		full := make([]byte, size/fr32.Padded*fr32.Raw)
		copy(full, content)
		c, err := piece.Commit(bytes.NewReader(full))
		if err != nil {
			t.Fatal(err)
		}
		copy(index[i*entrySize:], entryOf(t, c, uint64(at), uint64(size)))
		at += size
	}
	put(out, index)
	return out
}

// put writes an index at the end of a piece.
func put(out piecetest.Source, index []byte) {
	raw := make([]byte, len(index)/fr32.Padded*fr32.Raw)
	fr32.Unpad(raw, index)
	copy(out[len(out)-len(raw):], raw)
}

func entryOf(t testing.TB, c piece.Commitment, offset, size uint64) []byte {
	t.Helper()
	hash, err := multihash.Decode(c.V1.Hash())
	if err != nil {
		t.Fatal(err)
	}
	entry := append([]byte(nil), hash.Digest...)
	entry = binary.LittleEndian.AppendUint64(entry, offset)
	entry = binary.LittleEndian.AppendUint64(entry, size)
	entry = append(entry, make([]byte, 16)...)
	sum := sha256.Sum256(entry)
	sum[15] &= 0x3f
	copy(entry[48:], sum[:16])
	return entry
}

func TestPieceOfAnAggregateIsASource(t *testing.T) {
	sourcetest.Run(t, func(t *testing.T, content []byte) piece.Source {
		src, err := Open(&closable{Source: made(t, 16<<20, []byte("before it"), content, []byte("behind it"))}, "1", false)
		if err != nil {
			t.Fatal(err)
		}
		return src
	})
}

// closable fails reads once it is closed, as files do.
type closable struct {
	piecetest.Source
	closed bool
}

func (c *closable) Close() error { c.closed = true; return nil }

func (c *closable) ReadAt(p []byte, off int64) (int, error) {
	if c.closed {
		return 0, errors.New("closed")
	}
	return c.Source.ReadAt(p, off)
}

func TestPieceIsChosenByNumberOrCID(t *testing.T) {
	src := made(t, 1<<20, []byte("one"), []byte("two"))
	entries, _, err := Index(src)
	if err != nil {
		t.Fatal(err)
	}
	for _, which := range []string{"1", entries[1].Piece.String()} {
		p, err := Open(src, which, false)
		if err != nil {
			t.Fatal(err)
		}
		got := make([]byte, 3)
		if _, err := p.ReadAt(got, 0); err != nil || string(got) != "two" {
			t.Errorf("%s: %q, %v", which, got, err)
		}
	}
	for _, which := range []string{"2", "-1", "", "x", "baga6ea4seaqmfldjtozgne6adk7eve2vdxte7vzlivae7nzsbrawobo546zkijq"} {
		if _, err := Open(src, which, false); err == nil {
			t.Errorf("%q was opened", which)
		}
	}
}

func TestPieceThatFailsItsCommitmentIsNotServed(t *testing.T) {
	src := made(t, 1<<20, []byte("one"), bytes.Repeat([]byte("two"), 1000))
	src[4096/128*127+7] ^= 1
	var format *piece.FormatError
	if _, err := Open(src, "1", false); !errors.As(err, &format) || format.Offset != 4096/128*127 {
		t.Errorf("got %v", err)
	}
	if _, err := Open(src, "0", false); err != nil {
		t.Errorf("its neighbour: %v", err)
	}
}

func TestBrokenEntriesAreToldAndNotServed(t *testing.T) {
	c, err := piece.Commit(strings.NewReader("x"))
	if err != nil {
		t.Fatal(err)
	}
	const padded = 1 << 20
	end := uint64(padded - indexSize(padded))
	for reason, entry := range map[string][]byte{
		"multiple of its size":     entryOf(t, c, 128, 256),
		"powers of two":            entryOf(t, c, 0, 384),
		"sizes are":                entryOf(t, c, 0, 64),
		"the index begins":         entryOf(t, c, end, 512),
		"a piece of 9223372036854": entryOf(t, c, 1<<63, 1<<63),
		"at 18446744073709551488":  entryOf(t, c, 1<<64-128, 128),
		"checksum":                 append(entryOf(t, c, 0, 128)[:63], 0xff),
	} {
		src := made(t, padded, []byte("good"))
		index := make([]byte, indexSize(padded))
		copy(index, entryOf(t, c, 0, 128))
		copy(index[entrySize:], entry)
		put(src, index)
		entries, problems, err := Index(src)
		if err != nil || len(entries) != 1 || len(problems) != 1 || !strings.Contains(problems[0].Error(), reason) {
			t.Errorf("%s: %v, %v, %v", reason, entries, problems, err)
		}
		if _, err := Open(src, "1", false); err == nil {
			t.Errorf("%s: opened", reason)
		}
	}
}

func TestOtherPiecesAreNoAggregates(t *testing.T) {
	for _, size := range []int{0, 1, 127, 128, 300, 100_000} {
		src := piecetest.Source(sourcetest.Random(uint64(size), size))
		if entries, problems, err := Index(src); len(entries)+len(problems) != 0 || err != nil {
			t.Errorf("%d bytes: %v, %v, %v", size, entries, problems, err)
		}
		if _, err := Open(src, "0", false); err == nil || !strings.Contains(err.Error(), "not an aggregate") {
			t.Errorf("%d bytes: %v", size, err)
		}
	}
}

func FuzzIndex(f *testing.F) {
	src := made(f, 1<<20, []byte("one"), []byte("two"))
	raw := src[(1<<20-512)/128*127:]
	index := make([]byte, 512)
	fr32.Pad(index, raw)
	f.Add(index)
	f.Add(index[:100])
	f.Add(bytes.Repeat([]byte{0xff}, 256))
	f.Fuzz(func(t *testing.T, index []byte) {
		index = index[:min(len(index), 4096)]
		entries, broken := parse(index, 1<<20)
		if len(entries)+len(broken) > len(index)/entrySize {
			t.Error("more entries than there is room for")
		}
		for _, e := range entries {
			if e.Offset < 0 || e.Size < minPiece || e.Offset+e.Size > 1<<20-int64(len(index)) || e.Offset%e.Size != 0 {
				t.Errorf("%+v", e)
			}
		}
	})
}
