package sector

import (
	"errors"
	"io"
	"sync"

	"github.com/shale-cloud/shale/kernel/piece"
	"github.com/shale-cloud/shale/kernel/piece/fr32"
)

// batch is how many quads are read and unpadded at once: a little over the largest read of a mount.
const batch = 8 << 10

var buffers = sync.Pool{New: func() any { return new([(batch + 2) * fr32.Padded]byte) }}

// A pieceSource is the raw bytes of a piece in a sector.
type pieceSource struct {
	sector *Sector
	at     Range
	size   int64
	name   string
}

func (p *pieceSource) Size() int64  { return p.size }
func (p *pieceSource) Name() string { return p.name }
func (p *pieceSource) Close() error { return p.sector.Close() }

// ReadAt reads whole quads, each checked for being allocated and for being fr32, and unpads them into dst.
func (p *pieceSource) ReadAt(dst []byte, off int64) (int, error) {
	if off < 0 {
		return 0, errors.New(p.name + ": negative offset")
	}
	if off >= p.size {
		return 0, io.EOF
	}
	var atEnd error
	if left := p.size - off; int64(len(dst)) > left {
		dst, atEnd = dst[:left], io.EOF
	}
	buf := buffers.Get().(*[(batch + 2) * fr32.Padded]byte)
	defer buffers.Put(buf)
	for done := 0; done < len(dst); {
		at := off + int64(done)
		part := dst[done:min(len(dst), done+batch*fr32.Raw)]
		first, within := at/fr32.Raw, int(at%fr32.Raw)
		quads := (within + len(part) + fr32.Raw - 1) / fr32.Raw
		where := Range{p.at.Offset + first*fr32.Padded, int64(quads * fr32.Padded)}
		if !p.sector.Allocated.Covers(where) {
			return done, piece.FormatErrorf(p, at, "not unsealed")
		}
		padded := buf[:where.Size]
		if n, err := p.sector.src.ReadAt(padded, where.Offset); n < len(padded) {
			return done, piece.FormatErrorf(p, at, "%v", err)
		}
		if bad := unpad(part, padded, within); bad >= 0 {
			return done, piece.FormatErrorf(p, (first+int64(bad/fr32.Padded))*fr32.Raw, "not fr32: padding bits are set")
		}
		done += len(part)
	}
	return len(dst), atEnd
}

// unpad fills dst from padded quads, from the byte within of the first on. It reports set padding bits as fr32.Unpad does.
func unpad(dst, padded []byte, within int) (bad int) {
	bad = -1
	note := func(base, at int) {
		if at >= 0 && bad < 0 {
			bad = base + at
		}
	}
	var quad [fr32.Raw]byte
	at := 0
	if within > 0 {
		note(0, fr32.Unpad(quad[:], padded[:fr32.Padded]))
		dst, at = dst[copy(dst, quad[within:]):], fr32.Padded
	}
	whole := len(dst) / fr32.Raw
	note(at, fr32.Unpad(dst, padded[at:at+whole*fr32.Padded]))
	dst, at = dst[whole*fr32.Raw:], at+whole*fr32.Padded
	if len(dst) > 0 {
		note(at, fr32.Unpad(quad[:], padded[at:at+fr32.Padded]))
		copy(dst, quad[:])
	}
	return bad
}
