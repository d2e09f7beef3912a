package piece_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ipfs/go-cid"
	"github.com/ipld/go-car/v2"
	"github.com/multiformats/go-multihash"

	"github.com/shale-cloud/shale/kernel/piece"
	"github.com/shale-cloud/shale/kernel/piece/piecetest"
)

func threeBlocks(t testing.TB) []piecetest.Block {
	return []piecetest.Block{
		piecetest.Raw(t, []byte("one"), multihash.SHA2_256),
		piecetest.Raw(t, bytes.Repeat([]byte("two"), 5000), multihash.SHA2_256),
		piecetest.Raw(t, nil, multihash.BLAKE2B_MIN+31),
	}
}

func small(t testing.TB) piecetest.Source {
	blocks := threeBlocks(t)
	return piecetest.CAR(t, []cid.Cid{blocks[0].CID}, blocks...)
}

func wantBlocks(t *testing.T, src piecetest.Source) {
	t.Helper()
	index, err := piece.ScanCAR(src)
	if err != nil {
		t.Fatal(err)
	}
	blocks := threeBlocks(t)
	if index.Len() != len(blocks) || len(index.Roots) != 1 || !index.Roots[0].Equals(blocks[0].CID) {
		t.Fatalf("%d blocks, roots %v", index.Len(), index.Roots)
	}
	for _, b := range blocks {
		at, ok := index.Find(b.CID)
		if !ok || !bytes.Equal(src[at.Offset:at.Offset+int64(at.Size)], b.Data) {
			t.Errorf("%s: found %v at %+v", b.CID, ok, at)
		}
	}
	if _, ok := index.Find(piecetest.Raw(t, []byte("four"), multihash.SHA2_256).CID); ok {
		t.Error("found a block that isn't there")
	}
}

func TestEveryBlockIsFound(t *testing.T) { wantBlocks(t, small(t)) }

func TestPaddingOfThePieceEndsTheCAR(t *testing.T) {
	wantBlocks(t, append(small(t), make([]byte, 100_000)...))
}

func TestCARv2IsRead(t *testing.T) {
	dir := t.TempDir()
	v1, v2 := filepath.Join(dir, "1.car"), filepath.Join(dir, "2.car")
	if err := os.WriteFile(v1, small(t), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := car.WrapV1File(v1, v2); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(v2)
	if err != nil {
		t.Fatal(err)
	}
	wantBlocks(t, data)
	// The header's third field is the payload's size (https://ipld.io/specs/transport/car/carv2/).
	binary.LittleEndian.PutUint64(data[car.PragmaSize+24:], 1<<40)
	if _, err := piece.ScanCAR(piecetest.Source(data)); err == nil {
		t.Error("a payload beyond the end of the file was taken")
	}
}

func TestMalformedCARIsRefusedWithItsOffset(t *testing.T) {
	whole := small(t)
	header := int64(1 + whole[0])
	uvarint := func(v uint64) []byte { return binary.AppendUvarint(nil, v) }
	after := func(tail ...byte) piecetest.Source { return append(bytes.Clone(whole[:header]), tail...) }
	cases := []struct {
		name   string
		src    piecetest.Source
		offset int64
		reason string
	}{
		{"empty", nil, 0, "truncated"},
		{"not a CAR", []byte("#!/bin/sh\nexit 0\n and so on and on and on and on"), 0, "not a CAR"},
		{"header of absurd length", append(uvarint(1<<40), whole...), 0, "not a CAR"},
		{"header cut", whole[:20], 0, "truncated"},
		{"section cut", whole[:len(whole)-1], int64(len(whole) - 39), "truncated"},
		{"section of absurd length", after(uvarint(1 << 60)...), header, "more than"},
		{"section length that never ends", after(bytes.Repeat([]byte{0xff}, 20)...), header, "section length"},
		{"section length cut", after(0x80), header, "section length"},
		{"CID cut", after(2, 1, 0x55), header + 1, "CID"},
		{"no CID", after(3, 9, 9, 9), header + 1, "CID"},
		{"zero-length section and data", after(append(make([]byte, 10), whole[header:]...)...), header, "zero-length"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			_, err := piece.ScanCAR(c.src)
			var format *piece.FormatError
			if !errors.As(err, &format) {
				t.Fatalf("got %v", err)
			}
			if format.Offset != c.offset || !strings.Contains(format.Reason, c.reason) {
				t.Errorf("got %v, want offset %d and %q", err, c.offset, c.reason)
			}
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("more than a line: %q", err)
			}
		})
	}
}

func FuzzScanCAR(f *testing.F) {
	whole := small(f)
	f.Add([]byte(whole))
	f.Add([]byte(whole[:len(whole)-1]))
	f.Add(append(bytes.Clone(whole), make([]byte, 64)...))
	f.Add(append(bytes.Clone(car.Pragma), make([]byte, 40)...))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		index, err := piece.ScanCAR(piecetest.Source(data))
		if err != nil {
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("more than a line: %q", err)
			}
			return
		}
		for _, root := range index.Roots {
			at, ok := index.Find(root)
			if ok && at.Offset+int64(at.Size) > int64(len(data)) {
				t.Errorf("%s lies at %+v of %d bytes", root, at, len(data))
			}
		}
	})
}

func TestSpecialFileIsNoSource(t *testing.T) {
	for _, path := range []string{"/dev/null", t.TempDir()} {
		if src, err := piece.OpenFile(path); err == nil {
			src.Close()
			t.Errorf("%s was opened", path)
		}
	}
}
