package dataset

import (
	"context"
	"fmt"

	"github.com/ipfs/go-cid"
	"github.com/multiformats/go-multihash"

	"github.com/shale-cloud/shale/kernel/piece"
	"github.com/shale-cloud/shale/kernel/piece/inclusion"
	"github.com/shale-cloud/shale/kernel/unixfs"
)

// A Record is what an index says of its dataset beside the tree.
type Record struct {
	Root string `json:"root"`
	Contents
	Pieces    []Piece          `json:"pieces"`
	RootPiece int              `json:"root_piece"`      // the one that holds the root's block
	Proof     *inclusion.Proof `json:"proof,omitempty"` // that it does
}

// A Piece is one of the dataset's, in their order.
type Piece struct {
	Source     string `json:"source"`
	Stamp      string `json:"stamp"`
	V1         string `json:"v1,omitempty"` // and the next two: unless it was not committed to
	V2         string `json:"v2,omitempty"`
	PaddedSize uint64 `json:"padded_size,omitempty"`
	RawSize    int64  `json:"raw_size"`
	Format     string `json:"format"`
	Blocks     int    `json:"blocks"` // sections of its CAR
}

// Options are how Build goes about it.
type Options struct {
	// NoCommitment leaves the pieces' commitments and the proof out.
	NoCommitment bool
	// VerifyBlocks compares every block with its CID, in the pass that commits if there is one: a dataset with a block that
	// isn't what it says gets no index, and the error is *BadBlocks; nor does one with a block that isn't there.
	VerifyBlocks bool
	// Reading, if set, wraps each piece that is read whole, of a total of bytes that are.
	Reading func(total int64, part piece.Source) piece.Source
}

// Build makes the index of a dataset anew, writes it to path, and returns what it says. Until it is whole there is no
// file; one that was there before stays.
func Build(ctx context.Context, texts []string, root, path string, options Options) (*Record, error) {
	want, err := unixfs.ParseRoot(root)
	if err != nil {
		return nil, err
	}
	src, err := openPieces(ctx, texts, nil)
	if err != nil {
		return nil, err
	}
	defer src.Close()
	record, tree, err := build(ctx, src, texts, want, options)
	if err != nil {
		return nil, err
	}
	return record, write(path, record, tree)
}

func build(ctx context.Context, src piece.Source, texts []string, want cid.Cid, options Options) (*Record, *unixfs.Tree, error) {
	var states []piece.State
	var known []bool
	for _, part := range piece.Parts(src) {
		state, ok := piece.StateOf(part)
		states, known = append(states, state), append(known, ok)
	}
	index, err := piece.ScanCAR(src)
	if err != nil {
		return nil, nil, err
	}
	root, err := unixfs.ChooseRoot(src, index, want)
	if err != nil {
		return nil, nil, err
	}
	block, err := rootBlock(src, index, root)
	if err != nil {
		return nil, nil, err
	}
	tree, err := unixfs.Build(src, index, root)
	if err != nil {
		return nil, nil, err
	}
	if options.VerifyBlocks {
		if err := whole(src, tree, texts); err != nil {
			return nil, nil, err
		}
	}
	r := &Record{Root: root.String(), Contents: contentsOf(tree)}
	r.RootPiece, block.Offset = piece.PartAt(src, block.Offset)
	bad := &BadBlocks{}
	for i, part := range piece.Parts(src) {
		car := index.CARs[i]
		p := Piece{Source: texts[i], Stamp: piece.Stamp(part), RawSize: part.Size(), Format: fmt.Sprintf("car-v%d", car.Version), Blocks: car.Blocks}
		commit := func(part piece.Source) error {
			if i == r.RootPiece {
				return r.prove(ctx, &p, part, root, block)
			}
			return r.commit(ctx, &p, part)
		}
		if options.NoCommitment {
			commit = nil
		}
		if options.Reading != nil && (commit != nil || options.VerifyBlocks) {
			part = options.Reading(src.Size(), part)
		}
		switch {
		case options.VerifyBlocks:
			err = bad.verify(ctx, part, commit)
		case commit != nil:
			err = commit(part)
		}
		if err != nil {
			return nil, nil, err
		}
		if state, ok := piece.StateOf(piece.Parts(src)[i]); ok != known[i] || !state.SameContent(states[i]) {
			return nil, nil, fmt.Errorf("%s: changed while it was read: index it again when it is whole", part.Name())
		}
		r.Pieces = append(r.Pieces, p)
	}
	if bad.Faults > 0 {
		return nil, nil, bad
	}
	return r, tree, ctx.Err()
}

func (p *Piece) committed(c piece.Commitment) {
	p.V1, p.V2, p.PaddedSize = c.V1.String(), c.V2.String(), c.PaddedSize
}

func (r *Record) commit(ctx context.Context, p *Piece, part piece.Source) error {
	c, err := piece.CommitTo(ctx, part)
	if err == nil {
		p.committed(c)
	}
	return err
}

// prove commits to the piece that holds the root's block, and proves that it does. A block too large for a proof has none.
func (r *Record) prove(ctx context.Context, p *Piece, part piece.Source, root cid.Cid, block piece.Block) error {
	at, size, err := section(part, root, block)
	if err != nil {
		return err
	}
	if size > inclusion.MaxRange {
		return r.commit(ctx, p, part)
	}
	c, proof, err := inclusion.Prove(ctx, part, at, size)
	if err == nil {
		r.Proof = proof
		p.committed(c)
	}
	return err
}

// section is the place of the block's section. The CAR may name the block by another version of its CID, or another
// codec, than whoever asks for it.
func section(part piece.Source, root cid.Cid, block piece.Block) (at, size int64, err error) {
	forms := []cid.Cid{root, cid.NewCidV1(cid.DagProtobuf, root.Hash()), cid.NewCidV1(cid.Raw, root.Hash())}
	if root.Prefix().MhType == multihash.SHA2_256 && root.Prefix().MhLength == 32 {
		forms = append(forms, cid.NewCidV0(root.Hash()))
	}
	for _, form := range forms {
		if at, size = inclusion.Section(form, block); at < 0 {
			continue
		}
		data := make([]byte, size)
		if n, err := part.ReadAt(data, at); n < len(data) {
			return 0, 0, piece.FormatErrorf(part, at, "%v", err)
		}
		if _, err := inclusion.BlockIn(data, root); err == nil {
			return at, size, nil
		}
	}
	return 0, 0, piece.FormatErrorf(part, block.Offset, "the section of the root %s has a malformed head", root)
}

// rootBlock finds the block of the root.
func rootBlock(src piece.Source, index *piece.Index, root cid.Cid) (piece.Block, error) {
	if root.Prefix().MhType == multihash.IDENTITY {
		return piece.Block{}, fmt.Errorf("the root %s is an identity CID: no piece holds it", root)
	}
	block, ok := index.Find(root)
	if !ok {
		return block, fmt.Errorf("%s: the root %s is in none of the pieces", src.Name(), root)
	}
	return block, nil
}
