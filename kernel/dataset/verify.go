package dataset

import (
	"context"
	"fmt"

	"github.com/shale-cloud/shale/kernel/piece"
	"github.com/shale-cloud/shale/kernel/unixfs"
)

// maxNamed is how many bad blocks are described over all pieces; the rest is counted.
const maxNamed = 100

// A BadBlock is what is wrong with a piece, and where in it.
type BadBlock struct {
	Source string `json:"source"`
	piece.Problem
}

// BadBlocks are the blocks of a dataset that are not what their CIDs say, in the order in which they lie in each piece.
type BadBlocks struct {
	Faults   int        `json:"faults"`   // all of them
	Blocks   int        `json:"blocks"`   // that were looked at
	Problems []BadBlock `json:"problems"` // the first hundred
}

func (b *BadBlocks) Error() string {
	first := b.Problems[0]
	text := fmt.Sprintf("%s: offset %d: %s", first.Source, first.Offset, first.Reason)
	if b.Faults > 1 {
		text += fmt.Sprintf("; so or otherwise bad are %d more of %d blocks", b.Faults-1, b.Blocks)
	}
	return text + ": replace the piece by a sound copy"
}

// whole says what of a dataset is in none of its pieces, if anything isn't.
func whole(src piece.Source, tree *unixfs.Tree, texts []string) error {
	gap, files := tree.Gaps()
	if gap == nil {
		return nil
	}
	what := "is missing in " + texts[0]
	if len(texts) > 1 {
		what = fmt.Sprintf("is in none of the %d pieces", len(texts))
	}
	err := fmt.Errorf("%q: offset %d: block %s %s", gap.Path, gap.Offset, gap.CID, what)
	if files > 1 {
		err = fmt.Errorf("%w; so %d more files have gaps", err, files-1)
	}
	if holder, block, ok := tree.Holder(src, gap); ok {
		part, at := piece.Locate(src, block.Offset)
		err = fmt.Errorf("%w; the link to it is in block %s at offset %d of %s", err, holder, at, part.Name())
	}
	return fmt.Errorf("%w: name every piece of the dataset", err)
}

// verify compares the blocks of a piece with their CIDs, while commit, if there is one, reads it through.
func (b *BadBlocks) verify(ctx context.Context, part piece.Source, commit func(piece.Source) error) error {
	var checked piece.Checked
	var blocks, err error
	if commit != nil {
		checked, blocks, err = piece.VerifyBeside(ctx, part, commit)
	} else {
		checked, blocks = piece.VerifyBlocks(ctx, part, 0)
	}
	if err != nil {
		return err
	}
	if blocks != nil {
		return blocks
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	b.Faults += checked.Faults
	b.Blocks += checked.Blocks
	for _, problem := range checked.Problems[:min(len(checked.Problems), maxNamed-len(b.Problems))] {
		b.Problems = append(b.Problems, BadBlock{part.Name(), problem})
	}
	return nil
}
