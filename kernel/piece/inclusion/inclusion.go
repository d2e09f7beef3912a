// Package inclusion proves that certain bytes stand in a piece, to whoever knows the piece's CID alone: the quads that
// hold the bytes, and the nodes beside their way up to the root of the commitment's tree.
package inclusion

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"slices"

	"github.com/ipfs/go-cid"

	"github.com/shale-cloud/shale/kernel/piece"
	"github.com/shale-cloud/shale/kernel/piece/commp"
	"github.com/shale-cloud/shale/kernel/piece/fr32"
)

const (
	// MaxRange is the most bytes that one proof covers.
	MaxRange = 4 << 20
	// MaxJSON is longer than any proof is as JSON.
	MaxJSON = MaxRange*4/3 + 16<<10

	// A quad is four leaves: a level of two.
	quadLevel = 2
	maxPadded = commp.NodeSize << (commp.MaxLevel)
)

// A Proof says that Size bytes stand At an offset in a piece's payload. docs/protocol.md has its JSON.
type Proof struct {
	At         int64  `json:"at"`
	Size       int64  `json:"size"`
	PaddedSize uint64 `json:"padded_size"` // of the tree, a power of two: 32 bytes a leaf
	Quads      []byte `json:"quads"`       // the payload's quads of 127 bytes that hold the range, zeros behind its end
	Path       []byte `json:"path"`        // nodes, from the leaves up; at each level the left one first
}

// Parse reads a proof from whomever.
func Parse(text []byte) (*Proof, error) {
	if len(text) > MaxJSON {
		return nil, fmt.Errorf("a proof of %d bytes, more than the %d allowed", len(text), MaxJSON)
	}
	p := &Proof{}
	decoder := json.NewDecoder(bytes.NewReader(text))
	if err := decoder.Decode(p); err != nil {
		return nil, fmt.Errorf("the proof is no JSON of its form: %v", err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("the proof has more than one JSON value")
	}
	return p, p.check()
}

// Verify recomputes the commitment from the proof. If pieceCID, of version 1 or 2, names it, it gives out the proven
// bytes, and the padded size at which it does: a piece may have been padded up, and version 1 doesn't say to what.
func (p *Proof) Verify(pieceCID cid.Cid) (data []byte, padded uint64, err error) {
	if err := p.check(); err != nil {
		return nil, 0, err
	}
	if err := piece.IsPieceCID(pieceCID); err != nil {
		return nil, 0, err
	}
	root := p.root()
	if padded, ok := piece.PaddedTo(pieceCID, root, p.PaddedSize); ok {
		first, _ := quads(p.At, p.Size)
		return p.Quads[p.At-first*fr32.Raw:][:p.Size], padded, nil
	}
	proven, err := piece.CommitmentCID(root[:])
	if err != nil {
		return nil, 0, err
	}
	return nil, 0, fmt.Errorf("the proof is of %s, not of %s", proven, pieceCID)
}

// check bounds everything that root relies on.
func (p *Proof) check() error {
	switch {
	case p.Size < 1 || p.Size > MaxRange:
		return fmt.Errorf("a proof of %d bytes: 1 to %d can be proven", p.Size, MaxRange)
	case p.At < 0 || p.At > commp.MaxPayload-p.Size:
		return fmt.Errorf("a proof of bytes at %d, which no piece has", p.At)
	case p.PaddedSize < fr32.Padded || p.PaddedSize > maxPadded || p.PaddedSize&(p.PaddedSize-1) != 0:
		return fmt.Errorf("a proof in a piece of %d padded bytes, which is no piece's size", p.PaddedSize)
	}
	first, last := quads(p.At, p.Size)
	if uint64(last) >= p.PaddedSize/fr32.Padded {
		return fmt.Errorf("a proof of %d bytes at %d, behind a piece of %d padded bytes", p.Size, p.At, p.PaddedSize)
	}
	if want := (last - first + 1) * fr32.Raw; int64(len(p.Quads)) != want {
		return fmt.Errorf("a proof with %d bytes of quads, the range needs %d", len(p.Quads), want)
	}
	steps := 0
	c := p.climb()
	for c.level < c.top {
		left, right := c.beside()
		steps += count(left) + count(right)
		c.up()
	}
	if len(p.Path) != steps*commp.NodeSize {
		return fmt.Errorf("a proof with a path of %d bytes, the range needs %d", len(p.Path), steps*commp.NodeSize)
	}
	return nil
}

func (p *Proof) root() [commp.NodeSize]byte {
	row := make([]byte, len(p.Quads)/fr32.Raw*fr32.Padded)
	fr32.Pad(row, p.Quads)
	path := p.Path
	for c := p.climb(); c.level < c.top; c.up() {
		left, right := c.beside()
		if left {
			row, path = slices.Concat(path[:commp.NodeSize], row), path[commp.NodeSize:]
		}
		if right {
			row, path = append(row, path[:commp.NodeSize]...), path[commp.NodeSize:]
		}
		commp.HashPairs(row, row)
		row = row[:len(row)/2]
	}
	return [commp.NodeSize]byte(row)
}

// quads are the first and the last that hold a range of the payload.
func quads(at, size int64) (first, last int64) { return at / fr32.Raw, (at + size - 1) / fr32.Raw }

// A climb is the way of a range's nodes up to the root: where they stand in their level.
type climb struct {
	level, top  int
	first, last int64
}

func (p *Proof) climb() climb {
	first, last := quads(p.At, p.Size)
	return climb{top: bits.TrailingZeros64(p.PaddedSize / commp.NodeSize), first: first << quadLevel, last: last<<quadLevel + 3}
}

// beside says whether nodes to the left and to the right are needed to hash the level: a parent has two children.
func (c climb) beside() (left, right bool) { return c.first&1 == 1, c.last&1 == 0 }

func (c *climb) up() { c.level, c.first, c.last = c.level+1, c.first>>1, c.last>>1 }

func count(needed bool) int {
	if needed {
		return 1
	}
	return 0
}
