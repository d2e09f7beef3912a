package unixfs_test

import (
	"math/rand"
	"os"
	"path/filepath"
	"testing"

	"github.com/ipfs/go-cid"

	"github.com/shale-cloud/shale/kernel/piece"
	"github.com/shale-cloud/shale/kernel/piece/piecetest"
	"github.com/shale-cloud/shale/kernel/unixfs"
)

// largeFile is a CAR on disk with one file of 64 leaves of 1 MiB, and its tree.
func largeFile(t testing.TB) (path string, content []byte) {
	t.Helper()
	const leaf, leaves = 1 << 20, 64
	content = make([]byte, leaves*leaf)
	rand.New(rand.NewSource(1)).Read(content)
	d := &dag{t: t}
	file := d.largeFile(content, leaf)
	car := piecetest.CAR(t, []cid.Cid{d.dir(link("f", file))}, d.blocks...)
	path = filepath.Join(t.TempDir(), "large.car")
	if err := os.WriteFile(path, car, 0o644); err != nil {
		t.Fatal(err)
	}
	return path, content
}

// opened is a reader of a CAR on disk, and the entry of a file in it.
func opened(t testing.TB, path, name string, verify unixfs.Verify) (*unixfs.Reader, *unixfs.Entry) {
	t.Helper()
	src, err := piece.OpenFile(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { src.Close() })
	tree, err := unixfs.Open(src, "")
	if err != nil {
		t.Fatal(err)
	}
	e, ok := tree.Lookup(name)
	if !ok {
		t.Fatalf("no %q", name)
	}
	return unixfs.NewReader(src, tree, verify), e
}

// BenchmarkRandomReads reads 4 KiB at random places of leaves that are verified.
func BenchmarkRandomReads(b *testing.B) {
	path, content := largeFile(b)
	reader, e := opened(b, path, "f", unixfs.FirstTouch)
	whole := make([]byte, 1<<20)
	for off := int64(0); off < e.Size; off += int64(len(whole)) {
		if _, err := reader.ReadAt(e, whole, off); err != nil {
			b.Fatal(err)
		}
	}
	random := rand.New(rand.NewSource(2))
	p := make([]byte, 4096)
	for b.Loop() {
		if _, err := reader.ReadAt(e, p, random.Int63n(int64(len(content)-len(p)))&^4095); err != nil {
			b.Fatal(err)
		}
	}
}
