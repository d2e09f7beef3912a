package unixfs

import (
	"fmt"

	"github.com/ipfs/go-cid"

	"github.com/shale-cloud/shale/kernel/piece"
)

// Open indexes a CAR and unfolds the DAG under root: the text of a CID, or "" for the only root of its header.
func Open(src piece.Source, root string) (*Tree, error) {
	var want cid.Cid
	if root != "" {
		var err error
		if want, err = cid.Decode(root); err != nil {
			return nil, fmt.Errorf("root %q is not a CID: %w", root, err)
		}
	}
	index, err := piece.ScanCAR(src)
	if err != nil {
		return nil, err
	}
	if root == "" {
		if len(index.Roots) != 1 {
			return nil, fmt.Errorf("%s: the header names %d roots: choose one with --root CID", src.Name(), len(index.Roots))
		}
		want = index.Roots[0]
	}
	return Build(src, index, want)
}
