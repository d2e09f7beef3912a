package unixfs_test

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/ipfs/boxo/ipld/merkledag"
	ft "github.com/ipfs/boxo/ipld/unixfs"
	"github.com/ipfs/go-cid"
	format "github.com/ipfs/go-ipld-format"
	"github.com/multiformats/go-multihash"

	"github.com/shale-cloud/shale/kernel/piece"
	"github.com/shale-cloud/shale/kernel/piece/piecetest"
	"github.com/shale-cloud/shale/kernel/unixfs"
)

// A dag collects blocks that link to each other, as no honest builder would make them.
type dag struct {
	t      testing.TB
	blocks []piecetest.Block
}

func (d *dag) add(b piecetest.Block) cid.Cid {
	d.blocks = append(d.blocks, b)
	return b.CID
}

func (d *dag) raw(data string) cid.Cid {
	return d.add(piecetest.Raw(d.t, []byte(data), multihash.SHA2_256))
}

func link(name string, to cid.Cid) *format.Link { return &format.Link{Name: name, Cid: to, Size: 1} }

func (d *dag) node(prefix cid.Prefix, data []byte, links ...*format.Link) cid.Cid {
	d.t.Helper()
	n := merkledag.NodeWithData(data)
	if err := n.SetCidBuilder(prefix); err != nil {
		d.t.Fatal(err)
	}
	for _, l := range links {
		if err := n.AddRawLink(l.Name, l); err != nil {
			d.t.Fatal(err)
		}
	}
	return d.add(piecetest.Block{CID: n.Cid(), Data: n.RawData()})
}

func (d *dag) dir(links ...*format.Link) cid.Cid {
	return d.node(merkledag.V1CidPrefix(), ft.FolderPBData(), links...)
}

func (d *dag) symlink(target string) cid.Cid {
	data, err := ft.SymlinkData(target)
	if err != nil {
		d.t.Fatal(err)
	}
	return d.node(merkledag.V1CidPrefix(), data)
}

func (d *dag) file(data string, sizes []uint64, links ...*format.Link) cid.Cid {
	n := ft.NewFSNode(ft.TFile)
	n.SetData([]byte(data))
	for _, size := range sizes {
		n.AddBlockSize(size)
	}
	encoded, err := n.GetBytes()
	if err != nil {
		d.t.Fatal(err)
	}
	return d.node(merkledag.V0CidPrefix(), encoded, links...)
}

// largeFile is a file of raw leaves of a size.
func (d *dag) largeFile(content []byte, leaf int) cid.Cid {
	var links []*format.Link
	var sizes []uint64
	for at := 0; at < len(content); at += leaf {
		part := content[at:min(at+leaf, len(content))]
		links, sizes = append(links, link("", d.raw(string(part)))), append(sizes, uint64(len(part)))
	}
	return d.file("", sizes, links...)
}

func (d *dag) open(root cid.Cid) (piecetest.Source, *unixfs.Tree, error) {
	src := piecetest.CAR(d.t, []cid.Cid{root}, d.blocks...)
	tree, err := unixfs.Open(src, "")
	return src, tree, err
}

func read(t *testing.T, src piece.Source, tree *unixfs.Tree, path string) (string, error) {
	t.Helper()
	e, ok := tree.Lookup(path)
	if !ok {
		t.Fatalf("no %q", path)
	}
	got, err := io.ReadAll(io.NewSectionReader(readerAt{unixfs.NewReader(src, tree, unixfs.FirstTouch), e}, 0, e.Size))
	return string(got), err
}

func TestLayoutsOfOtherBuildersAreRead(t *testing.T) {
	d := &dag{t: t}
	inline, err := cid.V1Builder{Codec: cid.Raw, MhType: multihash.IDENTITY}.Sum([]byte("identity"))
	if err != nil {
		t.Fatal(err)
	}
	blake := d.add(piecetest.Raw(t, []byte("blake"), multihash.BLAKE2B_MIN+31))
	leaf := d.file("in a node", nil)
	nested := d.file("", []uint64{9, 3}, link("", leaf), link("", d.raw("raw")))
	mixed := d.file("own ", []uint64{12, 8, 5, 12}, link("", nested), link("", inline), link("", blake), link("", nested))
	src, tree, err := d.open(d.dir(link("inline", leaf), link("mixed", mixed), link("identity", inline), link("blake", blake)))
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		"inline": "in a node", "identity": "identity", "blake": "blake",
		"mixed": "own in a noderawidentityblakein a noderaw",
	} {
		if got, err := read(t, src, tree, path); err != nil || got != want {
			t.Errorf("%s: %q, %v, want %q", path, got, err, want)
		}
	}
}

func TestRootThatIsAFileIsTheOnlyEntry(t *testing.T) {
	d := &dag{t: t}
	root := d.raw("alone")
	src, tree, err := d.open(root)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := read(t, src, tree, root.String()); err != nil || got != "alone" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestCorruptLeafIsAFaultAndItsNeighbourIsNot(t *testing.T) {
	d := &dag{t: t}
	bad := d.raw("first leaf")
	file := d.file("", []uint64{10, 11}, link("", bad), link("", d.raw("second leaf")))
	src, tree, err := d.open(d.dir(link("f", file)))
	if err != nil {
		t.Fatal(err)
	}
	at := bytes.Index(src, []byte("first leaf"))
	src[at+3] ^= 1
	var faults []*unixfs.Fault
	reader := unixfs.NewReader(src, tree, unixfs.FirstTouch)
	reader.OnFault = func(f *unixfs.Fault) { faults = append(faults, f) }
	e, _ := tree.Lookup("f")
	p := make([]byte, 21)
	// All of the leaf and a part of it: they are verified in different places.
	for _, part := range [][]byte{p, p, p[:4], p[:4]} {
		clear(p)
		n, err := reader.ReadAt(e, part, 0)
		var fault *unixfs.Fault
		if !errors.As(err, &fault) || n != 0 || !bytes.Equal(p, make([]byte, 21)) {
			t.Fatalf("%d bytes %q, %v", n, p, err)
		}
	}
	if len(faults) != 1 || faults[0].Kind != "corrupt" || faults[0].Path != "f" || !faults[0].CID.Equals(bad) || faults[0].Offset != int64(at) {
		t.Errorf("faults: %+v", faults)
	}
	if n, err := reader.ReadAt(e, p[:11], 10); err != nil || string(p[:n]) != "second leaf" {
		t.Errorf("neighbour: %q, %v", p[:n], err)
	}
	src[at+3] ^= 1
	if n, err := reader.ReadAt(e, p, 0); err != nil || string(p[:n]) != "first leafsecond leaf" {
		t.Errorf("after repair: %q, %v", p[:n], err)
	}
}

func TestMissingLeafIsAFaultAndNeverZeros(t *testing.T) {
	d := &dag{t: t}
	absent := (&dag{t: t}).raw("not stored")
	file := d.file("", []uint64{5, 10, 1 << 40}, link("", d.raw("there")), link("", absent), link("", (&dag{t: t}).file("x", nil)))
	src, tree, err := d.open(d.dir(link("f", file)))
	if err != nil {
		t.Fatal(err)
	}
	e, _ := tree.Lookup("f")
	if e.Size != 15+1<<40 {
		t.Errorf("size %d", e.Size)
	}
	for _, verify := range []unixfs.Verify{unixfs.FirstTouch, unixfs.Always, unixfs.Never} {
		reader := unixfs.NewReader(src, tree, verify)
		p := make([]byte, 8)
		if n, err := reader.ReadAt(e, p, 0); n != 5 || err == nil || err == io.EOF {
			t.Errorf("%d bytes, %v", n, err)
		}
		if _, err := reader.ReadAt(e, p, 1<<30); err == nil || !strings.Contains(err.Error(), "missing") {
			t.Errorf("missing node: %v", err)
		}
	}
}

func TestHostileDAGIsRefused(t *testing.T) {
	sha512, err := cid.V1Builder{Codec: cid.Raw, MhType: multihash.SHA2_512}.Sum([]byte("x"))
	if err != nil {
		t.Fatal(err)
	}
	cbor, err := cid.V1Builder{Codec: cid.DagCBOR, MhType: multihash.SHA2_256}.Sum([]byte("x"))
	if err != nil {
		t.Fatal(err)
	}
	empty, shard := shardOf(t), shardOf(t, 0)
	v1 := merkledag.V1CidPrefix()
	cases := map[string]struct {
		root   func(d *dag) cid.Cid
		reason string
	}{
		"name with a slash":  {func(d *dag) cid.Cid { return d.dir(link("a/b", d.raw("x"))) }, "slash"},
		"name with a NUL":    {func(d *dag) cid.Cid { return d.dir(link("a\x00", d.raw("x"))) }, "NUL"},
		"name that climbs":   {func(d *dag) cid.Cid { return d.dir(link("..", d.raw("x"))) }, "not allowed"},
		"no name":            {func(d *dag) cid.Cid { return d.dir(link("", d.raw("x"))) }, "not allowed"},
		"name of 300 bytes":  {func(d *dag) cid.Cid { return d.dir(link(strings.Repeat("n", 300), d.raw("x"))) }, "300 bytes"},
		"name twice":         {func(d *dag) cid.Cid { return d.dir(link("a", d.raw("x")), link("a", d.raw("y"))) }, "twice"},
		"symlink out":        {func(d *dag) cid.Cid { return d.dir(link("l", d.symlink("../etc"))) }, "out of the dataset"},
		"symlink to the top": {func(d *dag) cid.Cid { return d.dir(link("l", d.symlink("/etc"))) }, "out of the dataset"},
		"symlink out of a shard": {func(d *dag) cid.Cid {
			return d.node(v1, shard, link("00l", d.symlink("x/../../y")))
		}, "out of the dataset"},
		"symlink out through another": {func(d *dag) cid.Cid {
			return d.dir(link("d", d.dir(link("up", d.symlink("..")))), link("l", d.symlink("d/up/../x")))
		}, "out of the dataset"},
		"symlink out through a chain": {func(d *dag) cid.Cid {
			return d.dir(link("a", d.symlink(".")), link("b", d.symlink("a")), link("d", d.dir(link("l", d.symlink("../b/../x")))))
		}, "d/l: symlink"},
		"symlink through a loop": {func(d *dag) cid.Cid {
			return d.dir(link("a", d.symlink("b")), link("b", d.symlink("a")), link("l", d.symlink("a/../x")))
		}, "more than 40 others"},
		"unknown hash":       {func(d *dag) cid.Cid { return d.dir(link("f", sha512)) }, "hash function"},
		"unknown codec":      {func(d *dag) cid.Cid { return d.dir(link("f", cbor)) }, "codec"},
		"missing directory":  {func(d *dag) cid.Cid { return d.dir(link("d", (&dag{t: d.t}).dir())) }, "missing"},
		"missing root":       {func(d *dag) cid.Cid { return (&dag{t: d.t}).raw("elsewhere") }, "missing"},
		"not protobuf":       {func(d *dag) cid.Cid { return d.add(node(d.t, []byte("\xff\xff\xff"))) }, "not UnixFS"},
		"protobuf of others": {func(d *dag) cid.Cid { return d.node(v1, []byte("\xff\xff")) }, "not UnixFS"},
		"leaf of another size": {func(d *dag) cid.Cid {
			return d.dir(link("f", d.file("", []uint64{99}, link("", d.raw("short")))))
		}, "stated are 99"},
		"links without sizes": {func(d *dag) cid.Cid { return d.dir(link("f", d.file("", nil, link("", d.raw("x"))))) }, "1 links with 0 sizes"},
		"size beyond measure": {func(d *dag) cid.Cid {
			return d.dir(link("f", d.file("", []uint64{1 << 63}, link("", (&dag{t: d.t}).raw("x")))))
		}, "more than"},
		"directory in a file": {func(d *dag) cid.Cid { return d.dir(link("f", d.file("", []uint64{0}, link("", d.dir())))) }, "part of a file"},
		"shard without slots": {func(d *dag) cid.Cid { return d.node(v1, shard, link("0", d.raw("x"))) }, "no slot"},
		"directories without an end": {func(d *dag) cid.Cid {
			at := d.dir()
			for range 300 {
				at = d.dir(link("d", at))
			}
			return at
		}, "directories deep"},
		"shard that keeps its entries to itself": {func(d *dag) cid.Cid { return d.node(v1, shardOf(d.t, 3, 200)) }, "2 entries with 0 links"},
		"shard of no entries with links":         {func(d *dag) cid.Cid { return d.node(v1, empty, link("00x", d.raw("x"))) }, "0 entries with 1 links"},
		"empty shard below another":              {func(d *dag) cid.Cid { return d.node(v1, shard, link("00", d.node(v1, empty))) }, "is empty"},
		"shard twice": {func(d *dag) cid.Cid {
			below := d.node(v1, shard, link("00x", d.raw("x")))
			return d.node(v1, shardOf(d.t, 0, 1), link("00", below), link("01", below))
		}, "stands twice"},
		"path of 30 KiB": {func(d *dag) cid.Cid {
			at := d.raw("x")
			for range 120 {
				at = d.dir(link(strings.Repeat("n", 255), at))
			}
			return at
		}, "a path of"},
		"symlink out, where it is met again": {func(d *dag) cid.Cid {
			deep := d.dir(link("l", d.symlink("../../x")))
			return d.dir(link("a", d.dir(link("b", d.dir(link("c", deep))))), link("d", deep))
		}, "d/l: symlink"},
		"directories without an end, where they are met again": {func(d *dag) cid.Cid {
			at := d.dir()
			for range 100 {
				at = d.dir(link("d", at))
			}
			low := at
			for range 60 {
				at = d.dir(link("e", at))
			}
			return d.dir(link("a", low), link("b", at))
		}, "directories deep"},
		"shards without an end": {func(d *dag) cid.Cid {
			at := d.node(v1, shard, link("00x", d.raw("x")))
			for range 300 {
				at = d.node(v1, shard, link("00", at))
			}
			return at
		}, "shards deep"},
		"file nodes without an end": {func(d *dag) cid.Cid {
			at := d.file("x", nil)
			for range 300 {
				at = d.file("", []uint64{1}, link("", at))
			}
			return d.dir(link("f", at))
		}, "nodes deep"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			d := &dag{t: t}
			_, _, err := d.open(c.root(d))
			var format *piece.FormatError
			if !errors.As(err, &format) || !strings.Contains(err.Error(), c.reason) {
				t.Fatalf("got %v, want %q", err, c.reason)
			}
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("more than a line: %q", err)
			}
		})
	}
}

func TestSymlinkThatStaysInsideIsAllowed(t *testing.T) {
	d := &dag{t: t}
	inner := d.dir(link("x", d.raw("x")), link("top", d.symlink("../..")))
	links := map[string]string{
		"by name": "a/../f", "there and back": "a/b/../../a/b/x", "what isn't there": "none/../f", "no directory": "f/../f",
		"through another": "a/b/top/a/../f", "down again": "deep/../b/x",
	}
	top := []*format.Link{link("a", d.dir(link("b", inner))), link("deep", d.symlink("a/b")), link("f", d.raw("f"))}
	for name, target := range links {
		top = append(top, link(name, d.symlink(target)))
	}
	src, tree, err := d.open(d.dir(top...))
	if err != nil {
		t.Fatal(err)
	}
	var stored bytes.Buffer
	if err := tree.Store(&stored); err != nil {
		t.Fatal(err)
	}
	loaded, err := unixfs.Load(&stored, int64(stored.Len()), src.Size())
	if err != nil {
		t.Fatal(err)
	}
	for name, target := range links {
		if e, ok := loaded.Lookup(name); !ok || e.Target != target {
			t.Errorf("%s: %+v", name, e)
		}
	}
}

// shardOf is the data of a shard with these slots taken.
func shardOf(t testing.TB, slots ...int) []byte {
	t.Helper()
	marked := make([]byte, 32)
	for _, slot := range slots {
		marked[31-slot/8] |= 1 << (slot % 8)
	}
	data, err := ft.HAMTShardData(marked, 256, 0x22)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func node(t testing.TB, data []byte) piecetest.Block {
	id, err := merkledag.V1CidPrefix().Sum(data)
	if err != nil {
		t.Fatal(err)
	}
	return piecetest.Block{CID: id, Data: data}
}

func TestCorruptNodeIsRefused(t *testing.T) {
	d := &dag{t: t}
	root := d.dir(link("name", d.raw("x")))
	src := piecetest.CAR(t, []cid.Cid{root}, d.blocks...)
	src[bytes.LastIndex(src, []byte("name"))] ^= 1
	if _, err := unixfs.Open(src, ""); err == nil || !strings.Contains(err.Error(), "corrupt") {
		t.Errorf("got %v", err)
	}
}

func TestRootMustBeChosenAmongSeveral(t *testing.T) {
	d := &dag{t: t}
	a, b := d.dir(), d.dir(link("f", d.raw("x")))
	src := piecetest.CAR(t, []cid.Cid{a, b}, d.blocks...)
	if _, err := unixfs.Open(src, ""); err == nil || !strings.Contains(err.Error(), "--root") {
		t.Errorf("got %v", err)
	}
	if tree, err := unixfs.Open(src, b.String()); err != nil || len(tree.Root.Entries) != 1 {
		t.Errorf("got %v", err)
	}
	if _, err := unixfs.Open(src, "bafynonsense"); err == nil || !strings.Contains(err.Error(), "not a CID") {
		t.Errorf("got %v", err)
	}
}
