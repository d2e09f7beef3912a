package piece

import (
	"bytes"
	"errors"
	"io"

	"github.com/ipfs/go-cid"
	"github.com/ipld/go-car/v2"
	"github.com/multiformats/go-varint"
)

// Bounds on what a CAR may ask of us. Real headers hold a few roots, real blocks at most 2 MiB.
const (
	maxCarHeader = 1 << 20
	maxSection   = 8 << 20
	maxSectionID = 2 << 10 // bytes of a section's CID
	maxBlocks    = 16 << 20
	// trailer is how far behind a zero-length section we look for data: padding of a piece is zeros to its end.
	trailer = 64 << 10
)

// A Header is what a CAR says of itself.
type Header struct {
	Version uint64
	Roots   []cid.Cid // they need not be in it
}

// ScanCAR indexes the blocks of a CARv1, or of the CARv1 inside a CARv2; of joined pieces, those of each. It reads no
// block and verifies none.
func ScanCAR(src Source) (*Index, error) {
	index := newIndex()
	base := int64(0)
	for _, part := range Parts(src) {
		before := len(index.entries)
		header, err := WalkCAR(part, func(id cid.Cid, b Block) error {
			if len(index.entries) == maxBlocks {
				return FormatErrorf(part, b.Offset, "with this piece the dataset has more than %d blocks", maxBlocks)
			}
			b.Offset += base
			index.add(id, b)
			return nil
		})
		if err != nil {
			return nil, err
		}
		index.CARs = append(index.CARs, Scanned{header, len(index.entries) - before})
		index.Roots = append(index.Roots, header.Roots...)
		base += part.Size()
	}
	return index.finish(), nil
}

// CARHeader reads the header alone. Of what is no CAR the version is 0, with an error.
func CARHeader(src Source) (Header, error) {
	header, _, _, err := carPayload(src)
	return header, err
}

// WalkCAR visits the sections of a CAR in their order, by seeking over their headers
// (https://ipld.io/specs/transport/car/). A zero-length section ends the CAR when only zeros follow: a piece is padded
// with them.
func WalkCAR(src Source, visit func(cid.Cid, Block) error) (Header, error) {
	header, start, end, err := carPayload(src)
	if err != nil {
		return header, err
	}
	w := window{src: src, end: end}
	blocks := 0
	for off := start; off < end; blocks++ {
		length, n, err := w.uvarint(off)
		if err != nil {
			return header, FormatErrorf(src, off, "section length: %v", err)
		}
		if length == 0 {
			return header, zerosOnly(src, off, end)
		}
		if length > maxSection {
			return header, FormatErrorf(src, off, "section of %d bytes, more than the %d allowed", length, maxSection)
		}
		body := off + int64(n)
		if int64(length) > end-body {
			return header, FormatErrorf(src, off, "truncated: section of %d bytes, %d are left", length, end-body)
		}
		head, err := w.peek(body, min(int(length), maxSectionID))
		if err != nil {
			return header, FormatErrorf(src, body, "%v", err)
		}
		idLen, id, err := cid.CidFromBytes(head)
		if err != nil {
			return header, FormatErrorf(src, body, "section's CID: %v", err)
		}
		if blocks == maxBlocks {
			return header, FormatErrorf(src, off, "more than %d blocks", maxBlocks)
		}
		if err := visit(id, Block{Offset: body + int64(idLen), Size: uint32(int(length) - idLen)}); err != nil {
			return header, err
		}
		off = body + int64(length)
	}
	return header, nil
}

// carPayload returns the header and the range of bytes that the sections lie in. A panic of the header's CBOR decoder
// is a header that is no CAR's.
func carPayload(src Source) (header Header, start, end int64, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = FormatErrorf(src, 0, "not a CAR: header: %v", r)
		}
	}()
	// A section reader bounds the library's reads to the source's size as it was opened.
	whole := io.NewSectionReader(src, 0, src.Size())
	r, err := car.NewReader(whole, car.MaxAllowedHeaderSize(maxCarHeader))
	if err != nil {
		return header, 0, 0, FormatErrorf(src, 0, "not a CAR: %v", eofIsTruncation(err))
	}
	header.Version = r.Version
	start, end = 0, src.Size()
	if r.Version == 2 {
		offset, size := r.Header.DataOffset, r.Header.DataSize
		if offset > uint64(end) || size > uint64(end)-offset {
			return header, 0, 0, FormatErrorf(src, car.PragmaSize,
				"truncated: CARv2 payload of %d bytes at %d, the file has %d", size, offset, end)
		}
		start, end = int64(offset), int64(offset+size)
	}
	if header.Roots, err = r.Roots(); err != nil {
		return header, 0, 0, FormatErrorf(src, start, "CAR header: %v", eofIsTruncation(err))
	}
	w := window{src: src, end: end}
	length, n, err := w.uvarint(start)
	if err != nil {
		return header, 0, 0, FormatErrorf(src, start, "CAR header: %v", err)
	}
	start += int64(n)
	if length > maxCarHeader || int64(length) > end-start {
		return header, 0, 0, FormatErrorf(src, start, "CAR header of %d bytes", length)
	}
	return header, start + int64(length), end, nil
}

func zerosOnly(src Source, off, end int64) error {
	rest := make([]byte, min(trailer, end-off))
	if _, err := src.ReadAt(rest, off); err != nil && err != io.EOF {
		return FormatErrorf(src, off, "%v", err)
	}
	if len(bytes.TrimLeft(rest, "\x00")) != 0 {
		return FormatErrorf(src, off, "zero-length section with data behind it")
	}
	return nil
}

func eofIsTruncation(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New("truncated")
	}
	return err
}

// A window is a small buffer over the source: section headers of small blocks share one read.
type window struct {
	src Source
	end int64
	off int64
	buf []byte
}

const windowSize = 4 << 10

// peek returns n bytes at off, fewer only at the end of the payload. They are valid until the next call.
func (w *window) peek(off int64, n int) ([]byte, error) {
	if left := w.end - off; int64(n) > left {
		n = int(left)
	}
	if off < w.off || off+int64(n) > w.off+int64(len(w.buf)) {
		if cap(w.buf) == 0 {
			w.buf = make([]byte, windowSize)
		}
		size := min(windowSize, w.end-off)
		got, err := w.src.ReadAt(w.buf[:size], off)
		if int64(got) < size {
			w.buf = w.buf[:0]
			return nil, eofIsTruncation(err)
		}
		w.off, w.buf = off, w.buf[:size]
	}
	return w.buf[off-w.off:][:n], nil
}

func (w *window) uvarint(off int64) (value uint64, n int, err error) {
	head, err := w.peek(off, varint.MaxLenUvarint63)
	if err != nil {
		return 0, 0, err
	}
	value, n, err = varint.FromUvarint(head)
	return value, n, err
}
