package unixfs_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/ipfs/go-cid"
	format "github.com/ipfs/go-ipld-format"

	"github.com/shale-cloud/shale/kernel/piece"
	"github.com/shale-cloud/shale/kernel/piece/piecetest"
	"github.com/shale-cloud/shale/kernel/unixfs"
)

// A named piece is one of several.
type named struct {
	piecetest.Source
	name string
}

func (n named) Name() string { return n.name }

// acrossPieces is a dataset whose files lie in the first two pieces, and its directory in the third.
func acrossPieces(t *testing.T) (pieces []piece.Source, root cid.Cid) {
	d := &dag{t: t}
	one, two := d.raw("first"), d.raw("second")
	first := d.blocks[:1]
	file := d.file("", []uint64{5, 6}, link("", one), link("", two))
	second := d.blocks[1:3]
	root = d.dir(link("both", file), link("small", two))
	for i, blocks := range [][]piecetest.Block{first, second, d.blocks[3:]} {
		name := []string{"first.car", "second.car", "third.car"}[i]
		pieces = append(pieces, named{piecetest.CAR(t, []cid.Cid{root}, blocks...), name})
	}
	return pieces, root
}

func joined(t *testing.T, pieces ...piece.Source) piece.Source {
	t.Helper()
	src, err := piece.Join(pieces...)
	if err != nil {
		t.Fatal(err)
	}
	return src
}

func TestADAGIsReadAcrossPieces(t *testing.T) {
	pieces, root := acrossPieces(t)
	src := joined(t, pieces...)
	tree, err := unixfs.Open(src, "")
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{"both": "firstsecond", "small": "second"} {
		if got, err := read(t, src, tree, path); err != nil || got != want {
			t.Errorf("%s: %q, %v", path, got, err)
		}
	}
	if at, ok := tree.Block(root); !ok || at.Offset < pieces[0].Size()+pieces[1].Size() {
		t.Errorf("the root at %+v, %v", at, ok)
	}
}

func TestWhatLiesInAMissingPieceIsAFaultAndTheRestIsRead(t *testing.T) {
	pieces, root := acrossPieces(t)
	src := joined(t, pieces[1:]...)
	tree, err := unixfs.Open(src, root.String())
	if err != nil {
		t.Fatal(err)
	}
	if got, err := read(t, src, tree, "small"); err != nil || got != "second" {
		t.Errorf("%q, %v", got, err)
	}
	var fault *unixfs.Fault
	if got, err := read(t, src, tree, "both"); !errors.As(err, &fault) || fault.Kind != "missing" || fault.Offset != -1 || got != "" {
		t.Errorf("%q, %v", got, err)
	}
	// A directory's node is not there: what it holds is unknown.
	if _, err := unixfs.Open(joined(t, pieces[:2]...), root.String()); err == nil || !strings.Contains(err.Error(), "missing") {
		t.Errorf("without its directory: %v", err)
	}
}

func TestBlockThatLinksToWhatIsMissingIsFound(t *testing.T) {
	pieces, root := acrossPieces(t)
	src := joined(t, pieces[1], pieces[2])
	tree, err := unixfs.Open(src, root.String())
	if err != nil {
		t.Fatal(err)
	}
	gap, files := tree.Gaps()
	e, _ := tree.Lookup("both")
	holder, at, ok := tree.Holder(src, gap)
	block, _ := tree.Block(e.CID)
	if files != 1 || gap.Path != "both" || !ok || !holder.Equals(e.CID) || at != block {
		t.Errorf("%+v in %d files: linked from %s at %+v, want %s at %+v", gap, files, holder, at, e.CID, block)
	}
	d := &dag{t: t}
	absent := (&dag{t: t}).raw("not stored")
	dir := d.dir(&format.Link{Name: "single", Cid: absent, Size: 10})
	single, tree, err := d.open(dir)
	if err != nil {
		t.Fatal(err)
	}
	gap, _ = tree.Gaps()
	if holder, _, ok := tree.Holder(single, gap); !ok || !holder.Equals(dir) || !gap.CID.Equals(absent) {
		t.Errorf("%+v is linked from %s", gap, holder)
	}
}

func TestAFaultNamesThePieceAndThePlaceInIt(t *testing.T) {
	pieces, _ := acrossPieces(t)
	second := pieces[1].(named).Source
	at := bytes.Index(second, []byte("second"))
	second[at] ^= 1
	src := joined(t, pieces...)
	tree, err := unixfs.Open(src, "")
	if err != nil {
		t.Fatal(err)
	}
	var fault *unixfs.Fault
	if _, err := read(t, src, tree, "small"); !errors.As(err, &fault) || fault.Source != "second.car" || fault.Offset != int64(at) {
		t.Errorf("%v", err)
	}
}

func TestAnErrorNamesThePieceAndThePlaceInIt(t *testing.T) {
	pieces, root := acrossPieces(t)
	third := pieces[2].(named)
	at := len(third.Source) - 1 // in the root's node
	third.Source[at] ^= 1
	var format *piece.FormatError
	_, err := unixfs.Open(joined(t, pieces...), root.String())
	if !errors.As(err, &format) || format.Source != "third.car" || format.Offset >= int64(at) {
		t.Errorf("corrupt node: %v", err)
	}
	pieces[1] = named{pieces[1].(named).Source[:pieces[1].Size()-1], "second.car"}
	_, err = unixfs.Open(joined(t, pieces...), root.String())
	if !errors.As(err, &format) || format.Source != "second.car" || !strings.Contains(format.Reason, "truncated") {
		t.Errorf("truncated piece: %v", err)
	}
}
