// Package sector reads and writes unsealed sector files as lotus keeps them: fr32-padded bytes, and behind them an RLE+
// bitfield of the bytes that are there, with its length
// (https://github.com/filecoin-project/lotus/blob/master/storage/sealer/partialfile/partialfile.go).
package sector

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"slices"
	"strings"

	"github.com/shale-cloud/shale/kernel/piece"
	"github.com/shale-cloud/shale/kernel/piece/fr32"
)

// Sizes are those of Filecoin's networks (specs-actors, SectorSize); the small ones are of test networks.
var Sizes = []int64{2 << 10, 8 << 20, 512 << 20, 32 << 30, 64 << 30}

const (
	lengthSize = 4
	// maxTrailer is what lotus calls very large.
	maxTrailer = 1 << 20
	// minPiece is the smallest piece, padded: one quad.
	minPiece = fr32.Padded
)

// A Sector is an open unsealed sector file.
type Sector struct {
	Size      int64 // padded bytes, one of Sizes
	Allocated Allocation
	src       piece.Source
}

// Open reads the trailer of the sector that src holds. A file of exactly a sector's size has none: all of it is there.
func Open(src piece.Source) (*Sector, error) {
	i, exact := slices.BinarySearch(Sizes, src.Size())
	if exact {
		return &Sector{Sizes[i], Allocation{{0, Sizes[i]}}, src}, nil
	}
	if i == 0 {
		return nil, piece.FormatErrorf(src, 0, "%d bytes are fewer than the smallest sector's %d", src.Size(), Sizes[0])
	}
	size := Sizes[i-1]
	trailer := src.Size() - size
	if trailer < lengthSize || trailer > maxTrailer {
		return nil, piece.FormatErrorf(src, size, "not a sector: %d bytes behind %d of data are no trailer", trailer, size)
	}
	tail := make([]byte, trailer)
	if n, err := src.ReadAt(tail, size); n < len(tail) {
		return nil, piece.FormatErrorf(src, size, "trailer: %v", err)
	}
	field, length := tail[:trailer-lengthSize], binary.LittleEndian.Uint32(tail[trailer-lengthSize:])
	if int64(length) != int64(len(field)) {
		return nil, piece.FormatErrorf(src, src.Size()-lengthSize, "trailer says it has %d bytes, it has %d", length, len(field))
	}
	allocated, err := decodeAllocation(field, size)
	if err != nil {
		return nil, piece.FormatErrorf(src, size, "trailer: %v", err)
	}
	return &Sector{size, allocated, src}, nil
}

// Piece is the piece at a padded place in the sector, all of which must be unsealed; raw is its size without trailing
// zeros, 0 if that is not known. Closing it closes the sector's source.
func (s *Sector) Piece(at Range, raw int64) (piece.Source, error) {
	if err := s.check(at); err != nil {
		return nil, err
	}
	full := at.Size / fr32.Padded * fr32.Raw
	if raw < 0 || raw > full {
		return nil, piece.FormatErrorf(s.src, at.Offset, "a piece of %d padded bytes holds %d, not %d", at.Size, full, raw)
	}
	if !s.Allocated.Covers(at) {
		return nil, piece.FormatErrorf(s.src, at.Offset, "the piece of %d bytes here is not unsealed: unsealed are %s", at.Size, s.Allocated)
	}
	size := full
	if raw > 0 {
		size = raw
	}
	name := fmt.Sprintf("sector:%s?offset=%d&size=%d", s.src.Name(), at.Offset, at.Size)
	return &pieceSource{sector: s, at: at, size: size, name: name}, nil
}

// Only is the place of the piece of a sector that holds just one.
func (s *Sector) Only() (Range, error) {
	if len(s.Allocated) == 1 && s.check(s.Allocated[0]) == nil {
		return s.Allocated[0], nil
	}
	return Range{}, fmt.Errorf("%s: unsealed are %s: choose a piece with ?offset=BYTES&size=BYTES, padded", s.src.Name(), s.Allocated)
}

// check refuses what is no place for a piece: pieces are powers of two and lie at multiples of their size.
func (s *Sector) check(at Range) error {
	if at.Size < minPiece || bits.OnesCount64(uint64(at.Size)) != 1 {
		return piece.FormatErrorf(s.src, at.Offset, "a piece of %d padded bytes: sizes are powers of two, from %d", at.Size, minPiece)
	}
	if at.Offset < 0 || at.Offset > s.Size-at.Size {
		return piece.FormatErrorf(s.src, at.Offset, "a piece of %d bytes here is beyond the sector's %d", at.Size, s.Size)
	}
	if at.Offset%at.Size != 0 {
		return piece.FormatErrorf(s.src, at.Offset, "a piece of %d bytes lies at a multiple of its size", at.Size)
	}
	return nil
}

// Close closes the sector's source.
func (s *Sector) Close() error { return s.src.Close() }

// Beneath is the sector's file.
func (p *pieceSource) Beneath() piece.Source { return p.sector.src }

// String lists a few ranges for a person.
func (a Allocation) String() string {
	if len(a) == 0 {
		return "no bytes"
	}
	var parts []string
	for _, r := range a[:min(len(a), 4)] {
		parts = append(parts, fmt.Sprintf("%d+%d", r.Offset, r.Size))
	}
	if len(a) > 4 {
		parts = append(parts, fmt.Sprintf("%d more", len(a)-4))
	}
	return strings.Join(parts, ", ")
}
