// Package source opens what a person names as a SOURCE: a file, a URL, or a piece inside a sector, park or aggregate.
package source

import (
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/ipfs/go-cid"

	"github.com/shale-cloud/shale/kernel/piece"
	"github.com/shale-cloud/shale/kernel/piece/aggregate"
	"github.com/shale-cloud/shale/kernel/piece/remote"
	"github.com/shale-cloud/shale/kernel/piece/sector"
)

// maxNesting bounds aggregates inside aggregates.
const maxNesting = 4

// Open opens a source by its text:
//
//	PATH                                      a CAR or any other file, as it is
//	http://HOST/piece/CID, https://…          a piece on a server of pieces
//	sector:PATH[?offset=N&size=N[&raw=N]]     a piece of an unsealed sector file; offset and size are padded, raw is
//	                                          its size without trailing zeros
//	park:PATH[?raw=N]                         a file of Curio's piece park
//	aggregate:SOURCE#N, aggregate:SOURCE#CID  a piece inside another (FRC-0058)
//
// Sizes are bytes, or have a unit: 512MiB. A path that begins like one of these is written ./sector:x.
func Open(text string) (piece.Source, error) { return open(text, "", maxNesting) }

// OpenKnown opens a source that Open opened when its stamp was this one. What took a pass over its bytes to find out then
// isn't found out again, if the stamp is the same.
func OpenKnown(text, stamp string) (piece.Source, error) { return open(text, stamp, maxNesting) }

func open(text, stamp string, nesting int) (piece.Source, error) {
	kind, rest, _ := strings.Cut(text, ":")
	switch kind {
	case "http", "https":
		return remote.Open(text, remote.Options{})
	case "sector":
		s, options, err := OpenSector(rest)
		if err != nil {
			return nil, err
		}
		src, err := pieceOf(s, options)
		return orClose(src, err, s)
	case "park":
		return openPark(rest)
	case "aggregate":
		at := strings.LastIndexByte(rest, '#')
		if at < 0 {
			return nil, errors.New("aggregate: needs a piece: write aggregate:SOURCE#NUMBER or #CID (shale piece inspect lists them)")
		}
		if nesting == 0 {
			return nil, fmt.Errorf("more than %d aggregates inside each other", maxNesting)
		}
		outer, err := open(rest[:at], stamp, nesting-1)
		if err != nil {
			return nil, err
		}
		src, err := aggregate.Open(outer, rest[at+1:], stamp != "" && piece.Stamp(outer) == stamp)
		return orClose(src, err, outer)
	}
	return piece.OpenFile(text)
}

func orClose(src piece.Source, err error, c io.Closer) (piece.Source, error) {
	if err != nil {
		c.Close()
		return nil, err
	}
	return src, nil
}

// OpenSector opens the file of a sector source, whatever is unsealed of it. rest is the text behind "sector:".
func OpenSector(rest string) (*sector.Sector, map[string]int64, error) {
	path, options, err := parseOptions(rest, "offset", "size", "raw")
	if err != nil {
		return nil, nil, err
	}
	file, err := piece.OpenFile(path)
	if err != nil {
		return nil, nil, err
	}
	s, err := sector.Open(file)
	if err != nil {
		file.Close()
		return nil, nil, err
	}
	return s, options, nil
}

func pieceOf(s *sector.Sector, options map[string]int64) (piece.Source, error) {
	offset, hasOffset := options["offset"]
	size, hasSize := options["size"]
	at := sector.Range{Offset: offset, Size: size}
	switch {
	case hasSize:
	case hasOffset:
		return nil, errors.New("sector: offset needs a size: write ?offset=BYTES&size=BYTES, padded")
	default:
		var err error
		if at, err = s.Only(); err != nil {
			return nil, err
		}
	}
	return s.Piece(at, options["raw"])
}

// openPark opens a file of Curio's piece park, which is raw: its database knows the raw size.
func openPark(rest string) (piece.Source, error) {
	path, options, err := parseOptions(rest, "raw")
	if err != nil {
		return nil, err
	}
	file, err := piece.OpenFile(path)
	if err != nil {
		return nil, err
	}
	raw, ok := options["raw"]
	if !ok {
		return file, nil
	}
	if raw > file.Size() {
		file.Close()
		return nil, piece.FormatErrorf(file, file.Size(), "truncated: the piece has %d bytes", raw)
	}
	return &prefix{file, raw}, nil
}

// A prefix is the first bytes of a source.
type prefix struct {
	piece.Source
	size int64
}

func (p *prefix) Size() int64           { return p.size }
func (p *prefix) Beneath() piece.Source { return p.Source }

func (p *prefix) ReadAt(dst []byte, off int64) (int, error) {
	if off >= p.size {
		return 0, io.EOF
	}
	if left := p.size - max(off, 0); int64(len(dst)) > left {
		n, err := p.Source.ReadAt(dst[:left], off)
		if err == nil {
			err = io.EOF
		}
		return n, err
	}
	return p.Source.ReadAt(dst, off)
}

// parseOptions splits PATH?name=N&…, at the last question mark that options stand behind.
func parseOptions(text string, known ...string) (path string, options map[string]int64, err error) {
	options = map[string]int64{}
	path, query, found := cutLast(text, '?')
	if path == "" {
		return "", nil, errors.New("a source without a path: write for example sector:PATH?offset=0&size=32GiB")
	}
	if !found {
		return path, options, nil
	}
	for option := range strings.SplitSeq(query, "&") {
		name, value, _ := strings.Cut(option, "=")
		if !slices.Contains(known, name) {
			return "", nil, fmt.Errorf("source option %q is unknown: known are %s", name, strings.Join(known, ", "))
		}
		if _, twice := options[name]; twice {
			return "", nil, fmt.Errorf("source option %q stands twice", name)
		}
		if options[name], err = ParseSize(value); err != nil {
			return "", nil, fmt.Errorf("source option %s: %w", name, err)
		}
	}
	return path, options, nil
}

func cutLast(text string, by byte) (before, after string, found bool) {
	if at := strings.LastIndexByte(text, by); at >= 0 {
		return text[:at], text[at+1:], true
	}
	return text, "", false
}

// ParseSize reads bytes: 1024, 2KiB, 8MiB, 32GiB.
func ParseSize(text string) (int64, error) {
	number, shift := text, 0
	for i, unit := range []string{"KiB", "MiB", "GiB"} {
		if cut, ok := strings.CutSuffix(text, unit); ok {
			number, shift = cut, 10*(i+1)
		}
	}
	value, err := strconv.ParseUint(number, 10, 63-shift)
	if err != nil {
		return 0, fmt.Errorf("%q is no size: write bytes, or KiB, MiB, GiB behind a whole number", text)
	}
	return int64(value) << shift, nil
}

// NamedPiece is the piece CID in a URL like http://HOST/piece/CID.
func NamedPiece(text string) (cid.Cid, bool) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" {
		return cid.Undef, false
	}
	before, last, _ := cutLast(strings.TrimSuffix(u.Path, "/"), '/')
	if !strings.HasSuffix(before, "/piece") {
		return cid.Undef, false
	}
	id, err := cid.Decode(last)
	if err != nil || piece.IsPieceCID(id) != nil {
		return cid.Undef, false
	}
	return id, true
}
