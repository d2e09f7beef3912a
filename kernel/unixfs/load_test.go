package unixfs_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/ipfs/go-cid"
	"github.com/multiformats/go-multihash"

	"github.com/shale-cloud/shale/kernel/piece"
	"github.com/shale-cloud/shale/kernel/piece/piecetest"
	"github.com/shale-cloud/shale/kernel/unixfs"
)

// everything is a stored tree with one of each thing that a tree may hold, and its source.
func everything(t testing.TB) (piecetest.Source, []byte) {
	t.Helper()
	d := &dag{t: t}
	inline, err := cid.V1Builder{Codec: cid.Raw, MhType: multihash.IDENTITY}.Sum([]byte("identity"))
	if err != nil {
		t.Fatal(err)
	}
	leaf := d.raw("leaf")
	absent := piecetest.Raw(t, []byte("absent"), multihash.BLAKE2B_MIN+31).CID
	file := d.file("own", []uint64{4, 8, 6, 4}, link("", leaf), link("", inline), link("", absent), link("", leaf))
	dir := d.dir(link("again", file), link("link", d.symlink("again")))
	src, tree, err := d.open(d.dir(link("dir", dir), link("empty", d.file("", nil)), link("file", file), link("leaf", leaf)))
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := tree.Store(&out); err != nil {
		t.Fatal(err)
	}
	return src, out.Bytes()
}

// walkAll reads all that a tree gives, as far as its source has it.
func walkAll(t *testing.T, src piece.Source, tree *unixfs.Tree) string {
	t.Helper()
	var out strings.Builder
	reader := unixfs.NewReader(src, tree, unixfs.FirstTouch)
	err := tree.Walk(func(e *unixfs.Entry) error {
		if strings.Contains(e.Name, "/") || e.Name == ".." || e.Parent == nil {
			return fmt.Errorf("entry %q", e.Name)
		}
		var got []byte
		var err error
		if e.Type == unixfs.File {
			got, err = io.ReadAll(io.NewSectionReader(readerAt{reader, e}, 0, min(e.Size, 1<<20)))
		}
		fmt.Fprintf(&out, "%d %s %s %s %d %s %q %v\n", e.Number, e.Path(), e.Type, e.CID, e.Size, e.Target, got, err)
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	return out.String()
}

func TestAStoredTreeIsTheSameTree(t *testing.T) {
	src, stored := everything(t)
	built, err := unixfs.Open(src, "")
	if err != nil {
		t.Fatal(err)
	}
	loaded, err := unixfs.Load(bytes.NewReader(stored), int64(len(stored)), src.Size())
	if err != nil {
		t.Fatal(err)
	}
	if got, want := walkAll(t, src, loaded), walkAll(t, src, built); got != want {
		t.Errorf("%s\nis not\n%s", got, want)
	}
	var again bytes.Buffer
	if err := loaded.Store(&again); err != nil || !bytes.Equal(again.Bytes(), stored) {
		t.Errorf("stored again it is %d bytes, not %d: %v", again.Len(), len(stored), err)
	}
}

func TestAStoredTreeOfASmallerSourceIsRefused(t *testing.T) {
	src, stored := everything(t)
	if _, err := unixfs.Load(bytes.NewReader(stored), int64(len(stored)), src.Size()/2); err == nil {
		t.Error("leaves behind the end of the source were taken")
	}
}

func TestEveryCutOfAStoredTreeIsRefused(t *testing.T) {
	src, stored := everything(t)
	for n := range stored {
		if _, err := unixfs.Load(bytes.NewReader(stored[:n]), int64(n), src.Size()); err == nil {
			t.Errorf("%d of %d bytes were taken", n, len(stored))
		}
		// A file that is shorter than it was when its size was asked for.
		if _, err := unixfs.Load(bytes.NewReader(stored[:n]), int64(len(stored)), src.Size()); err == nil {
			t.Errorf("%d of %d bytes were taken for all", n, len(stored))
		}
	}
	if _, err := unixfs.Load(bytes.NewReader(append(stored, 0)), int64(len(stored)+1), src.Size()); err == nil {
		t.Error("bytes behind the tree were taken")
	}
}

func TestAbsurdCountsTakeNoMemory(t *testing.T) {
	src, stored := everything(t)
	for i := range 5 {
		for _, count := range []uint64{1 << 20, 1 << 40, 1<<64 - 1} {
			absurd := bytes.Clone(stored)
			binary.LittleEndian.PutUint64(absurd[8*i:], count)
			if n := testing.AllocsPerRun(1, func() {
				if _, err := unixfs.Load(bytes.NewReader(absurd), int64(len(absurd)), src.Size()); err == nil {
					t.Errorf("count %d of %d was taken", i, count)
				}
			}); n > 100 {
				t.Errorf("count %d of %d: %v allocations", i, count, n)
			}
		}
	}
}

// changed is a stored tree in which a string was replaced by one as long.
func changed(t *testing.T, stored []byte, old, with string) []byte {
	t.Helper()
	if len(old) != len(with) || !bytes.Contains(stored, []byte(old)) {
		t.Fatalf("%q cannot become %q", old, with)
	}
	return bytes.ReplaceAll(stored, []byte(old), []byte(with))
}

func TestWhatBuildRefusesLoadRefuses(t *testing.T) {
	d := &dag{t: t}
	leaf := d.raw("leaf")
	src, tree, err := d.open(d.dir(link("ab", leaf), link("cd", leaf), link("ef", d.symlink("some/where"))))
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := tree.Store(&out); err != nil {
		t.Fatal(err)
	}
	stored := out.Bytes()
	if _, err := unixfs.Load(bytes.NewReader(stored), int64(len(stored)), src.Size()); err != nil {
		t.Fatal(err)
	}
	for _, c := range [][2]string{
		{"ab", ".."}, {"ab", "a/"}, {"ab", "a\x00"}, {"ab", "\xff\xfe"}, {"ab", "cd"}, {"ab", "zz"},
		{"some/where", "../outside"}, {"some/where", "/etc/passw"}, {"some/where", "a/../../.."},
	} {
		hostile := changed(t, stored, c[0], c[1])
		if _, err := unixfs.Load(bytes.NewReader(hostile), int64(len(hostile)), src.Size()); err == nil {
			t.Errorf("%q was taken", c[1])
		}
	}
}

// FuzzLoad takes any bytes for a stored tree: what loads must be readable, and store again as the same bytes.
func FuzzLoad(f *testing.F) {
	src, stored := everything(f)
	f.Add(stored)
	f.Add(stored[:len(stored)/2])
	for at := 0; at < len(stored); at += 7 {
		flipped := bytes.Clone(stored)
		flipped[at] ^= 1
		f.Add(flipped)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		tree, err := unixfs.Load(bytes.NewReader(data), int64(len(data)), src.Size())
		if err != nil {
			return
		}
		walkAll(t, src, tree)
		var again bytes.Buffer
		if err := tree.Store(&again); err != nil {
			t.Fatal(err)
		}
		if _, err := unixfs.Load(bytes.NewReader(again.Bytes()), int64(again.Len()), src.Size()); err != nil {
			t.Errorf("stored again it is refused: %v", err)
		}
	})
}
