// Package aggregate reads the pieces inside a piece, by the index at its end
// (https://github.com/filecoin-project/FIPs/blob/master/FRCs/frc-0058.md).
package aggregate

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/bits"

	"github.com/ipfs/go-cid"

	"github.com/shale-cloud/shale/kernel/piece"
	"github.com/shale-cloud/shale/kernel/piece/fr32"
	"github.com/shale-cloud/shale/kernel/piece/sector"
)

const (
	entrySize  = 64 // padded, as all sizes of the index
	minEntries = 4
	minPiece   = fr32.Padded
	maxPiece   = 64 << 30
	// sizeShare: the index has a 64-byte entry for each 2 KiB entries of the piece.
	sizeShare = 2048
	// maxProblems is how many broken entries are described.
	maxProblems = 100
)

// An Entry is a piece inside another. Its place comes from an index that anybody may have written: that it holds the
// piece is known once its commitment is checked.
type Entry struct {
	Number int // in the index, from 0
	Piece  cid.Cid
	sector.Range
}

// indexSize is the size of the index of a piece.
func indexSize(padded int64) int64 {
	share := uint64(padded) / sizeShare / entrySize
	entries := int64(minEntries)
	if share > minEntries {
		entries = 1 << (bits.Len64(share) - 1)
	}
	return entries * entrySize
}

// Index reads the valid entries of a piece's index. What is broken among them comes as problems; a piece without any
// entry is no aggregate, which is no error.
func Index(src piece.Source) (entries []Entry, problems []error, err error) {
	padded := sector.PieceSize(src.Size())
	if padded > maxPiece {
		return nil, nil, piece.FormatErrorf(src, 0, "%d bytes are more than a piece", src.Size())
	}
	size := indexSize(padded)
	if size >= padded {
		return nil, nil, nil
	}
	start := (padded - size) / fr32.Padded * fr32.Raw
	raw := make([]byte, size/fr32.Padded*fr32.Raw)
	// A piece may be kept without its trailing zeros: entries that aren't used.
	if left := min(int64(len(raw)), src.Size()-start); left > 0 {
		if n, err := src.ReadAt(raw[:left], start); int64(n) < left {
			return nil, nil, piece.FormatErrorf(src, start+int64(n), "index: %v", err)
		}
	}
	index := make([]byte, size)
	fr32.Pad(index, raw)
	entries, broken := parse(index, padded)
	if len(entries) == 0 {
		return nil, nil, nil
	}
	for _, b := range broken {
		at := (padded - size + int64(b.number)*entrySize) / fr32.Padded * fr32.Raw
		problems = append(problems, piece.FormatErrorf(src, at, "index entry %d: %s", b.number, b.reason))
	}
	return entries, problems, nil
}

type brokenEntry struct {
	number int
	reason string
}

// parse reads an index in its padded form, in which it is defined.
func parse(index []byte, padded int64) (entries []Entry, broken []brokenEntry) {
	for number := range len(index) / entrySize {
		raw := (*[entrySize]byte)(index[number*entrySize:])
		if *raw == [entrySize]byte{} {
			continue
		}
		entry, reason := parseEntry(raw, padded-int64(len(index)))
		switch entry.Number = number; {
		case reason == "":
			entries = append(entries, entry)
		case len(broken) < maxProblems:
			broken = append(broken, brokenEntry{number, reason})
		}
	}
	return entries, broken
}

// parseEntry reads commitment, offset, size and a checksum of 126 bits; the piece must lie before end.
func parseEntry(raw *[entrySize]byte, end int64) (e Entry, reason string) {
	covered := *raw
	clear(covered[48:])
	sum := sha256.Sum256(covered[:])
	sum[15] &= 0x3f
	if [16]byte(sum[:16]) != [16]byte(raw[48:]) {
		return e, "its checksum is wrong"
	}
	offset, size := binary.LittleEndian.Uint64(raw[32:]), binary.LittleEndian.Uint64(raw[40:])
	switch {
	case size < minPiece || bits.OnesCount64(size) != 1:
		return e, fmt.Sprintf("a piece of %d bytes: sizes are powers of two, from %d", size, minPiece)
	case offset > uint64(end) || size > uint64(end)-offset:
		return e, fmt.Sprintf("a piece of %d bytes at %d, the index begins at %d", size, offset, end)
	case offset%size != 0:
		return e, fmt.Sprintf("a piece of %d bytes at %d, not at a multiple of its size", size, offset)
	}
	id, err := piece.CommitmentCID(raw[:32])
	if err != nil {
		return e, err.Error()
	}
	return Entry{Piece: id, Range: sector.Range{Offset: int64(offset), Size: int64(size)}}, ""
}
