package dataset

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/multiformats/go-multihash"

	"github.com/shale-cloud/shale/kernel/piece"
	"github.com/shale-cloud/shale/kernel/piece/fr32"
	"github.com/shale-cloud/shale/kernel/unixfs"
)

// aggregated puts a CAR of less than 2 MiB into an aggregate of 4 MiB, as its only piece (FRC-0058).
func aggregated(t *testing.T, car string) (text, path string) {
	t.Helper()
	const pieceSize, size, entries = 2 << 20, 4 << 20, 32
	content, err := os.ReadFile(car)
	if err != nil {
		t.Fatal(err)
	}
	out := make([]byte, size/fr32.Padded*fr32.Raw)
	copy(out, content)
	c, err := piece.Commit(bytes.NewReader(out[:pieceSize/fr32.Padded*fr32.Raw]))
	if err != nil {
		t.Fatal(err)
	}
	hash, err := multihash.Decode(c.V1.Hash())
	if err != nil {
		t.Fatal(err)
	}
	entry := binary.LittleEndian.AppendUint64(append([]byte(nil), hash.Digest...), 0)
	entry = append(binary.LittleEndian.AppendUint64(entry, pieceSize), make([]byte, 16)...)
	sum := sha256.Sum256(entry)
	sum[15] &= 0x3f
	copy(entry[48:], sum[:16])
	table := append(entry, make([]byte, (entries-1)*len(entry))...)
	raw := make([]byte, len(table)/fr32.Padded*fr32.Raw)
	fr32.Unpad(raw, table)
	copy(out[len(out)-len(raw):], raw)
	path = filepath.Join(t.TempDir(), "aggregate")
	if err := os.WriteFile(path, out, 0o600); err != nil {
		t.Fatal(err)
	}
	return "aggregate:" + path + "#0", path
}

func TestAPieceOfAnAggregateIsNotReadThroughAgainWhileItIsAsIndexed(t *testing.T) {
	car, _ := packed(t)
	text, path := aggregated(t, car)
	index, _ := indexed(t, text)
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	data[bytes.Index(data, []byte("small"))] ^= 1
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open([]string{text}, "", index); err == nil || !strings.Contains(err.Error(), "the index says") {
		t.Errorf("a piece that has changed: %v", err)
	}
	// By its stamp it hasn't: nothing but the read of that block can tell.
	if err := os.Chtimes(path, info.ModTime(), info.ModTime()); err != nil {
		t.Fatal(err)
	}
	d := opened(t, text, "", index)
	if d.Record == nil {
		t.Fatal(d.Unusable)
	}
	e, _ := d.Tree.Lookup("a/small")
	if _, err := unixfs.NewReader(d.Source, d.Tree, unixfs.FirstTouch).ReadAt(e, make([]byte, 5), 0); err == nil {
		t.Error("a corrupt block was read")
	}
}
