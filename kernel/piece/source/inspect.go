package source

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"github.com/ipfs/go-cid"
	"github.com/multiformats/go-multihash"

	"github.com/shale-cloud/shale/kernel/piece"
	"github.com/shale-cloud/shale/kernel/piece/aggregate"
	"github.com/shale-cloud/shale/kernel/piece/sector"
)

// A Report is what can be said of a source without reading its blocks.
type Report struct {
	Source       string            `json:"source"`
	Format       string            `json:"format"` // car-v1, car-v2, aggregate, raw; sector if no piece of it is chosen
	Root         *string           `json:"root"`   // if the CAR names just one
	Roots        []string          `json:"roots"`
	MissingRoots []string          `json:"missing_roots"` // not in the CAR: in another piece of the dataset, perhaps
	Blocks       int               `json:"blocks"`
	RawSize      int64             `json:"raw_size"`
	PaddedSize   int64             `json:"padded_size"`
	SectorSize   int64             `json:"sector_size,omitempty"`
	Unsealed     sector.Allocation `json:"unsealed,omitempty"` // of the sector
	Pieces       []ReportedPiece   `json:"pieces,omitempty"`   // of an aggregate
	Problems     []piece.Problem   `json:"problems"`
}

// A ReportedPiece is one in an aggregate; its place is padded.
type ReportedPiece struct {
	Number int    `json:"number"`
	CID    string `json:"cid"`
	sector.Range
}

// Inspect reports on what text names. A source that cannot be opened at all is an error; one that is malformed, or not
// unsealed, is a report with problems.
func Inspect(text string) (*Report, error) {
	r := &Report{Source: text, Roots: []string{}, MissingRoots: []string{}, Problems: []piece.Problem{}}
	if rest, ok := strings.CutPrefix(text, "sector:"); ok {
		s, options, err := OpenSector(rest)
		if err != nil {
			return r.orProblem(err)
		}
		defer s.Close()
		r.Format, r.SectorSize, r.Unsealed = "sector", s.Size, s.Allocated
		// Without a choice there may be no piece, or several: the ranges tell.
		if _, err := s.Only(); len(options) == 0 && err != nil {
			return r, nil
		}
	}
	src, err := Open(text)
	if err != nil {
		return r.orProblem(err)
	}
	defer src.Close()
	r.Source, r.RawSize, r.PaddedSize = src.Name(), src.Size(), sector.PieceSize(src.Size())
	return r, r.contents(src)
}

// orProblem takes what is wrong with the bytes into the report.
func (r *Report) orProblem(err error) (*Report, error) {
	var format *piece.FormatError
	if !errors.As(err, &format) {
		return nil, err
	}
	r.Problems = append(r.Problems, piece.Problem{Offset: format.Offset, Reason: format.Reason})
	return r, nil
}

// InspectIndex reports the pieces inside an aggregate, and nothing else; of what is none it says so without looking further.
func InspectIndex(text string) (*Report, error) {
	r := &Report{Source: text, Roots: []string{}, MissingRoots: []string{}, Problems: []piece.Problem{}}
	src, err := Open(text)
	if err != nil {
		return r.orProblem(err)
	}
	defer src.Close()
	r.RawSize, r.PaddedSize = src.Size(), sector.PieceSize(src.Size())
	_, err = r.index(src)
	return r, err
}

// index looks for an aggregate.
func (r *Report) index(src piece.Source) (found bool, err error) {
	entries, broken, err := aggregate.Index(src)
	if err != nil {
		return false, err
	}
	for _, e := range entries {
		r.Pieces = append(r.Pieces, ReportedPiece{e.Number, e.Piece.String(), e.Range})
	}
	for _, problem := range broken {
		if _, err := r.orProblem(problem); err != nil {
			return false, err
		}
	}
	if len(entries) > 0 {
		r.Format = "aggregate"
	}
	return len(entries) > 0, nil
}

// contents looks for an aggregate first: the piece that stands first in one may be a CAR.
func (r *Report) contents(src piece.Source) error {
	if found, err := r.index(src); found || err != nil {
		return err
	}
	header, err := piece.CARHeader(src)
	if header.Version == 0 {
		r.Format = "raw"
		if claimsCAR(src) {
			_, err = r.orProblem(err)
			return err
		}
		return nil
	}
	r.Format = fmt.Sprintf("car-v%d", header.Version)
	if err == nil {
		err = r.walk(src, header)
	}
	for _, err := range []error{err, piece.CheckCARIndex(src)} {
		if err == nil {
			continue
		}
		if _, err := r.orProblem(err); err != nil {
			return err
		}
	}
	return nil
}

// claimsCAR reports whether a source that isn't one is meant to be a CAR, by its name or by what stands in its first bytes.
func claimsCAR(src piece.Source) bool {
	head := make([]byte, 64)
	n, _ := src.ReadAt(head, 0)
	head = head[:n]
	return strings.HasSuffix(strings.ToLower(src.Name()), ".car") ||
		bytes.Contains(head, []byte("\x65roots")) || bytes.Contains(head, []byte("\x67version"))
}

// walk counts the blocks, and looks for the header's roots among them.
func (r *Report) walk(src piece.Source, header piece.Header) error {
	missing := map[string]bool{}
	for _, root := range header.Roots {
		r.Roots = append(r.Roots, root.String())
		// An identity CID is its own block.
		missing[root.KeyString()] = root.Prefix().MhType != multihash.IDENTITY
	}
	if len(r.Roots) == 1 {
		r.Root = &r.Roots[0]
	}
	_, err := piece.WalkCAR(src, func(id cid.Cid, _ piece.Block) error {
		r.Blocks++
		delete(missing, id.KeyString())
		return nil
	})
	for i, root := range header.Roots {
		if missing[root.KeyString()] {
			r.MissingRoots = append(r.MissingRoots, r.Roots[i])
		}
	}
	return err
}
