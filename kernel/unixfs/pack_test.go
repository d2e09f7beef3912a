package unixfs_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/ipfs/boxo/ipld/merkledag"
	uio "github.com/ipfs/boxo/ipld/unixfs/io"
	"github.com/ipfs/go-cid"
	format "github.com/ipfs/go-ipld-format"

	"github.com/shale-cloud/shale/kernel/piece"
	"github.com/shale-cloud/shale/kernel/unixfs"
)

func write(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
}

// dataset makes a directory with the shapes that matter, and returns the contents of its files.
func dataset(t *testing.T) (string, map[string][]byte) {
	t.Helper()
	dir := t.TempDir()
	large := make([]byte, 3<<20+17)
	rand.New(rand.NewSource(1)).Read(large)
	files := map[string][]byte{
		"empty":                    {},
		"a/b/c/deep.txt":           []byte("deep"),
		"large.bin":                large,
		"a/one leaf.bin":           large[:1<<20],
		"repeated.bin":             bytes.Repeat(large[:1<<20], 3),
		"żółć/数据.txt":              []byte("names are UTF-8"),
		"\"quotes\"\nand newlines": []byte("x"),
	}
	for name, data := range files {
		write(t, filepath.Join(dir, name), data)
	}
	if err := os.Mkdir(filepath.Join(dir, "no files"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("../large.bin", filepath.Join(dir, "a", "link")); err != nil {
		t.Fatal(err)
	}
	return dir, files
}

func pack(t *testing.T, dir string) (string, unixfs.Packed) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "out.car")
	car, err := piece.CreateCAR(path)
	if err != nil {
		t.Fatal(err)
	}
	packed, err := unixfs.Pack(context.Background(), dir, car.Put)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := car.Finish(context.Background(), packed.Root); err != nil {
		t.Fatal(err)
	}
	return path, packed
}

func open(t *testing.T, path string) (piece.Source, *unixfs.Tree) {
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
	return src, tree
}

func TestPackedDirectoryReadsBack(t *testing.T) {
	dir, files := dataset(t)
	path, packed := pack(t, dir)
	if packed.Files != len(files)+1 {
		t.Errorf("%d files, want %d and a symlink", packed.Files, len(files))
	}
	src, tree := open(t, path)
	for _, verify := range []unixfs.Verify{unixfs.FirstTouch, unixfs.Always, unixfs.Never} {
		reader := unixfs.NewReader(src, tree, verify)
		for name, want := range files {
			e, ok := tree.Lookup(name)
			if !ok || e.Type != unixfs.File || e.Path() != name {
				t.Fatalf("%q: %+v", name, e)
			}
			got, err := io.ReadAll(io.NewSectionReader(readerAt{reader, e}, 0, e.Size))
			if err != nil || !bytes.Equal(got, want) {
				t.Errorf("%q: %v, %d bytes, want %d", name, err, len(got), len(want))
			}
		}
	}
	if e, ok := tree.Lookup("a/link"); !ok || e.Type != unixfs.Symlink || e.Target != "../large.bin" {
		t.Errorf("symlink: %+v", e)
	}
	if e, ok := tree.Lookup("no files"); !ok || e.Type != unixfs.Directory || len(e.Entries) != 0 {
		t.Errorf("empty directory: %+v", e)
	}
}

type readerAt struct {
	*unixfs.Reader
	entry *unixfs.Entry
}

func (r readerAt) ReadAt(p []byte, off int64) (int, error) { return r.Reader.ReadAt(r.entry, p, off) }

func TestRandomReadsMatchTheFile(t *testing.T) {
	dir, files := dataset(t)
	path, _ := pack(t, dir)
	src, tree := open(t, path)
	reader := unixfs.NewReader(src, tree, unixfs.FirstTouch)
	random := rand.New(rand.NewSource(2))
	for _, name := range []string{"large.bin", "repeated.bin"} {
		e, _ := tree.Lookup(name)
		for range 200 {
			off := random.Int63n(e.Size + 10)
			p := make([]byte, random.Intn(1<<21))
			n, err := reader.ReadAt(e, p, off)
			want, wantErr := bytes.NewReader(files[name]).ReadAt(p[:len(p):len(p)], off)
			if n != want || (err == io.EOF) != (wantErr == io.EOF) {
				t.Fatalf("%s at %d: %d, %v, want %d, %v", name, off, n, err, want, wantErr)
			}
			if n > 0 && !bytes.Equal(p[:n], files[name][off:off+int64(n)]) {
				t.Fatalf("%s at %d: other bytes", name, off)
			}
		}
	}
}

func TestPackingTwiceGivesTheSameCAR(t *testing.T) {
	dir, _ := dataset(t)
	first, a := pack(t, dir)
	second, b := pack(t, dir)
	x, err := os.ReadFile(first)
	if err != nil {
		t.Fatal(err)
	}
	y, err := os.ReadFile(second)
	if err != nil {
		t.Fatal(err)
	}
	if !a.Root.Equals(b.Root) || !bytes.Equal(x, y) {
		t.Errorf("roots %s and %s, files equal: %v", a.Root, b.Root, bytes.Equal(x, y))
	}
	if len(x) > 7<<20 {
		t.Errorf("%d bytes: repeated blocks were stored again", len(x))
	}
}

func TestHugeDirectoryIsSharded(t *testing.T) {
	dir := t.TempDir()
	const n = 7000
	for i := range n {
		write(t, filepath.Join(dir, fmt.Sprintf("file-%05d", i)), []byte{byte(i)})
	}
	path, packed := pack(t, dir)
	src, tree := open(t, path)
	if len(tree.Root.Entries) != n || tree.Root.Entries[n-1].Name != "file-06999" {
		t.Fatalf("%d entries", len(tree.Root.Entries))
	}
	index, err := piece.ScanCAR(src)
	if err != nil {
		t.Fatal(err)
	}
	at, _ := index.Find(packed.Root)
	if at.Size > 64<<10 {
		t.Errorf("the root's node has %d bytes: it isn't sharded", at.Size)
	}
}

// The canonical reader of the field reads what we pack.
func TestBoxoReadsThePackedDAG(t *testing.T) {
	dir, files := dataset(t)
	store := memory{}
	packed, err := unixfs.Pack(context.Background(), dir, store.put)
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	for name, want := range files {
		node, err := store.Get(ctx, packed.Root)
		if err != nil {
			t.Fatal(err)
		}
		for part := range strings.SplitSeq(name, "/") {
			parent, err := uio.NewDirectoryFromNode(store, node)
			if err != nil {
				t.Fatal(err)
			}
			if node, err = parent.Find(ctx, part); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
		content, err := uio.NewDagReader(ctx, node, store)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(content); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %v, %d bytes", name, err, len(got))
		}
	}
}

func TestUnpackableEntriesAreRefused(t *testing.T) {
	cases := map[string]func(dir string) error{
		"symlink that climbs out":   func(dir string) error { return os.Symlink("../x", filepath.Join(dir, "l")) },
		"absolute symlink":          func(dir string) error { return os.Symlink("/etc/passwd", filepath.Join(dir, "l")) },
		"symlink that climbs later": func(dir string) error { return os.Symlink("a/../../x", filepath.Join(dir, "l")) },
		"symlink out through another": func(dir string) error {
			return errors.Join(os.Mkdir(filepath.Join(dir, "d"), 0o700), os.Symlink("..", filepath.Join(dir, "d", "up")), os.Symlink("d/up/../x", filepath.Join(dir, "l")))
		},
		"pipe":                       func(dir string) error { return syscall.Mkfifo(filepath.Join(dir, "p"), 0o600) },
		"name that isn't UTF-8":      func(dir string) error { return os.WriteFile(filepath.Join(dir, "\xff"), nil, 0o600) },
		"directories without an end": func(dir string) error { return os.MkdirAll(dir+strings.Repeat("/d", 200), 0o700) },
		"directory that isn't there": os.Remove,
		"file in place of directory": func(dir string) error {
			if err := os.Remove(dir); err != nil {
				return err
			}
			return os.WriteFile(dir, nil, 0o600)
		},
	}
	for name, spoil := range cases {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "d")
			if err := os.Mkdir(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			if err := spoil(dir); err != nil {
				t.Fatal(err)
			}
			_, err := unixfs.Pack(context.Background(), dir, memory{}.put)
			if err == nil {
				t.Fatal("packed")
			}
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("more than a line: %q", err)
			}
		})
	}
}

func TestSymlinkThatStaysInsideIsPacked(t *testing.T) {
	dir := t.TempDir()
	if err := errors.Join(os.MkdirAll(filepath.Join(dir, "a", "b"), 0o700), os.Symlink("a/../c/../a/b", filepath.Join(dir, "l")),
		os.Symlink("a/b", filepath.Join(dir, "c")), os.Symlink("b/../../none/../a", filepath.Join(dir, "a", "up"))); err != nil {
		t.Fatal(err)
	}
	stored := memory{}
	packed, err := unixfs.Pack(context.Background(), dir, stored.put)
	if err != nil || packed.Files != 3 {
		t.Errorf("%+v, %v", packed, err)
	}
}

func TestDiscardedCARLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	car, err := piece.CreateCAR(filepath.Join(dir, "out.car"))
	if err != nil {
		t.Fatal(err)
	}
	if err := car.Discard(); err != nil {
		t.Fatal(err)
	}
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
}

// memory is a store of blocks that boxo reads from.
type memory map[string][]byte

func (m memory) put(_ context.Context, id cid.Cid, data []byte) error {
	m[id.KeyString()] = bytes.Clone(data)
	return nil
}

func (m memory) Get(_ context.Context, id cid.Cid) (format.Node, error) {
	data, ok := m[id.KeyString()]
	if !ok {
		return nil, format.ErrNotFound{Cid: id}
	}
	if id.Type() == cid.Raw {
		return merkledag.NewRawNodeWPrefix(data, id.Prefix())
	}
	return merkledag.DecodeProtobuf(data)
}

func (m memory) GetMany(ctx context.Context, ids []cid.Cid) <-chan *format.NodeOption {
	out := make(chan *format.NodeOption, len(ids))
	for _, id := range ids {
		node, err := m.Get(ctx, id)
		out <- &format.NodeOption{Node: node, Err: err}
	}
	close(out)
	return out
}

func (m memory) Add(ctx context.Context, node format.Node) error {
	return m.put(ctx, node.Cid(), node.RawData())
}
func (m memory) AddMany(context.Context, []format.Node) error { return nil }
func (m memory) Remove(context.Context, cid.Cid) error        { return nil }
func (m memory) RemoveMany(context.Context, []cid.Cid) error  { return nil }

// An endingContext ends when it has been asked so often whether it has.
type endingContext struct {
	context.Context
	left int
}

func (c *endingContext) Err() error {
	if c.left--; c.left < 0 {
		return context.Canceled
	}
	return nil
}

func TestPackingEndsWhileALargeDirectoryIsStillListed(t *testing.T) {
	dir := t.TempDir()
	for i := range 10_000 { // more than two are read at once
		write(t, filepath.Join(dir, fmt.Sprint(i)), nil)
	}
	_, err := unixfs.Pack(&endingContext{t.Context(), 1}, dir, func(context.Context, cid.Cid, []byte) error {
		return errors.New("the whole directory was listed first")
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}
