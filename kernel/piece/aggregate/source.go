package aggregate

import (
	"fmt"
	"io"
	"strconv"

	"github.com/ipfs/go-cid"

	"github.com/shale-cloud/shale/kernel/piece"
	"github.com/shale-cloud/shale/kernel/piece/fr32"
)

// Open gives one piece of an aggregate, which is its number in the index or its CID. It reads the piece through once,
// unless it is known to be sound: what fails its commitment is not given. Closing it closes src.
func Open(src piece.Source, which string, known bool) (piece.Source, error) {
	entries, _, err := Index(src)
	if err != nil {
		return nil, err
	}
	if len(entries) == 0 {
		return nil, fmt.Errorf("%s: not an aggregate: no valid entry stands in an index at its end", src.Name())
	}
	entry, err := choose(src, entries, which)
	if err != nil {
		return nil, err
	}
	p := &pieceSource{src, entry.Offset / fr32.Padded * fr32.Raw, entry.Size / fr32.Padded * fr32.Raw, entry.Number}
	if p.at+p.size > src.Size() {
		return nil, piece.FormatErrorf(src, p.at, "truncated: piece %d of %d bytes ends beyond the %d that are here", entry.Number, p.size, src.Size())
	}
	if known {
		return p, nil
	}
	c, err := piece.Commit(io.NewSectionReader(p, 0, p.size))
	if err != nil {
		return nil, fmt.Errorf("%s: piece %d: %w", src.Name(), entry.Number, err)
	}
	if !c.V1.Equals(entry.Piece) {
		return nil, piece.FormatErrorf(src, p.at, "piece %d is %s, the index says %s", entry.Number, c.V1, entry.Piece)
	}
	return p, nil
}

func choose(src piece.Source, entries []Entry, which string) (Entry, error) {
	number, err := strconv.Atoi(which)
	want := cid.Undef
	if err != nil {
		if want, err = cid.Decode(which); err != nil {
			return Entry{}, fmt.Errorf("%q is neither the number of a piece nor its CID", which)
		}
	}
	for _, e := range entries {
		if e.Number == number && !want.Defined() || e.Piece.Equals(want) {
			return e, nil
		}
	}
	return Entry{}, fmt.Errorf("%s: no piece %s in its index of %d", src.Name(), which, len(entries))
}

// A pieceSource is a section of the aggregate.
type pieceSource struct {
	src    piece.Source
	at     int64
	size   int64
	number int
}

func (p *pieceSource) Size() int64  { return p.size }
func (p *pieceSource) Name() string { return fmt.Sprintf("aggregate:%s#%d", p.src.Name(), p.number) }
func (p *pieceSource) Close() error { return p.src.Close() }

// Beneath is the aggregate.
func (p *pieceSource) Beneath() piece.Source { return p.src }

func (p *pieceSource) ReadAt(dst []byte, off int64) (int, error) {
	if off < 0 {
		return 0, fmt.Errorf("%s: negative offset", p.Name())
	}
	if off >= p.size {
		return 0, io.EOF
	}
	if left := p.size - off; int64(len(dst)) > left {
		n, err := p.src.ReadAt(dst[:left], p.at+off)
		if err == nil {
			err = io.EOF
		}
		return n, err
	}
	return p.src.ReadAt(dst, p.at+off)
}
