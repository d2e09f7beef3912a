package unixfs

import (
	"fmt"

	"github.com/ipfs/go-cid"

	"github.com/shale-cloud/shale/kernel/piece"
)

// Open indexes a CAR, or each of the joined ones, and unfolds the DAG under root: the text of a CID, or "" for the only
// root of the headers.
func Open(src piece.Source, root string) (*Tree, error) {
	want, err := ParseRoot(root)
	if err != nil {
		return nil, err
	}
	index, err := piece.ScanCAR(src)
	if err != nil {
		return nil, err
	}
	if want, err = ChooseRoot(src, index, want); err != nil {
		return nil, err
	}
	return Build(src, index, want)
}

// ParseRoot reads the text of a root's CID, which may be empty.
func ParseRoot(text string) (root cid.Cid, err error) {
	if text != "" {
		if root, err = cid.Decode(text); err != nil {
			err = fmt.Errorf("root %q is not a CID: %w", text, err)
		}
	}
	return root, err
}

// ChooseRoot is the root that is wanted, or the only one that the CARs' headers name.
func ChooseRoot(src piece.Source, index *piece.Index, want cid.Cid) (cid.Cid, error) {
	if !want.Defined() && len(index.Roots) != 1 {
		return want, fmt.Errorf("%s: the header names %d roots: choose one with --root CID", src.Name(), len(index.Roots))
	}
	if !want.Defined() {
		want = index.Roots[0]
	}
	return want, nil
}
