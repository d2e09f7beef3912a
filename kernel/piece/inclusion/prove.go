package inclusion

import (
	"context"
	"fmt"

	"github.com/shale-cloud/shale/kernel/piece"
	"github.com/shale-cloud/shale/kernel/piece/commp"
	"github.com/shale-cloud/shale/kernel/piece/fr32"
)

// Prove commits to a whole source, and proves on the way that size bytes stand in it at an offset. Nodes above the
// hashed chunks are kept as they come; the few chunks around the range are read once more at the end.
func Prove(ctx context.Context, src piece.Source, at, size int64) (piece.Commitment, *Proof, error) {
	if size < 1 || size > MaxRange || at < 0 || at > src.Size()-size {
		return piece.Commitment{}, nil, fmt.Errorf("%s: %d bytes at %d cannot be proven: 1 to %d of the %d here can",
			src.Name(), size, at, MaxRange, src.Size())
	}
	w := commp.NewWriter()
	if err := w.KeepRow(); err != nil {
		return piece.Commitment{}, nil, err
	}
	c, err := piece.CommitWith(ctx, src, w)
	if err != nil {
		return piece.Commitment{}, nil, err
	}
	p := &Proof{At: at, Size: size, PaddedSize: c.PaddedSize}
	if err := p.fill(src, w.Row()); err != nil {
		return piece.Commitment{}, nil, err
	}
	if _, _, err := p.Verify(c.V2); err != nil {
		return piece.Commitment{}, nil, piece.FormatErrorf(src, at, "these bytes changed while the piece was read: read it again")
	}
	return c, p, nil
}

// fill adds quads and path. row is the tree's nodes at commp.RowLevel.
func (p *Proof) fill(src piece.Source, row []byte) error {
	const quadsInChunk = 1 << (commp.RowLevel - quadLevel)
	first, last := quads(p.At, p.Size)
	begin := first &^ (quadsInChunk - 1)
	end := min(last|(quadsInChunk-1), int64(p.PaddedSize/fr32.Padded)-1)
	raw := make([]byte, (end-begin+1)*fr32.Raw) // what is behind the payload stays zero
	held := min(int64(len(raw)), src.Size()-begin*fr32.Raw)
	if n, err := src.ReadAt(raw[:held], begin*fr32.Raw); int64(n) < held {
		return piece.FormatErrorf(src, begin*fr32.Raw+int64(n), "%v", err)
	}
	p.Quads = append([]byte(nil), raw[(first-begin)*fr32.Raw:(last-begin+1)*fr32.Raw]...)
	nodes := make([]byte, (end-begin+1)*fr32.Padded)
	fr32.Pad(nodes, raw)
	from := begin << quadLevel // where nodes begin in their level
	for c := p.climb(); c.level < c.top; c.up() {
		if c.level == commp.RowLevel {
			nodes, from = row, 0
		}
		left, right := c.beside()
		if left {
			p.Path = append(p.Path, node(nodes, c.first-1-from, c.level)...)
		}
		if right {
			p.Path = append(p.Path, node(nodes, c.last+1-from, c.level)...)
		}
		if len(nodes)%(2*commp.NodeSize) != 0 {
			nodes = append(nodes, commp.Zeros(c.level)...)
		}
		commp.HashPairs(nodes, nodes)
		nodes, from = nodes[:len(nodes)/2], from>>1
	}
	return nil
}

// node is one of a level's nodes, zeros behind the last.
func node(nodes []byte, at int64, level int) []byte {
	if at*commp.NodeSize >= int64(len(nodes)) {
		return commp.Zeros(level)
	}
	return nodes[at*commp.NodeSize:][:commp.NodeSize]
}
