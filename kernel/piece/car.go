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

// ScanCAR indexes the blocks of a CARv1, or of the CARv1 inside a CARv2, by seeking over the section headers
// (https://ipld.io/specs/transport/car/). It reads no block and verifies none. A zero-length section ends the CAR
// when only zeros follow: a piece is padded with them.
func ScanCAR(src Source) (*Index, error) {
	roots, start, end, err := carPayload(src)
	if err != nil {
		return nil, err
	}
	index := newIndex(roots)
	w := window{src: src, end: end}
	for off := start; off < end; {
		length, n, err := w.uvarint(off)
		if err != nil {
			return nil, formatErrorf(src, off, "section length: %v", err)
		}
		if length == 0 {
			if err := zerosOnly(src, off, end); err != nil {
				return nil, err
			}
			break
		}
		if length > maxSection {
			return nil, formatErrorf(src, off, "section of %d bytes, more than the %d allowed", length, maxSection)
		}
		body := off + int64(n)
		if int64(length) > end-body {
			return nil, formatErrorf(src, off, "truncated: section of %d bytes, %d are left", length, end-body)
		}
		head, err := w.peek(body, min(int(length), maxSectionID))
		if err != nil {
			return nil, formatErrorf(src, body, "%v", err)
		}
		idLen, id, err := cid.CidFromBytes(head)
		if err != nil {
			return nil, formatErrorf(src, body, "section's CID: %v", err)
		}
		if index.Len() == maxBlocks {
			return nil, formatErrorf(src, off, "more than %d blocks", maxBlocks)
		}
		index.add(id, Block{Offset: body + int64(idLen), Size: uint32(int(length) - idLen)})
		off = body + int64(length)
	}
	return index.finish(), nil
}

// carPayload returns the roots and the range of bytes that the sections lie in. A panic of the header's CBOR decoder
// is a header that is no CAR's.
func carPayload(src Source) (roots []cid.Cid, start, end int64, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = formatErrorf(src, 0, "not a CAR: header: %v", r)
		}
	}()
	// A section reader bounds the library's reads to the source's size as it was opened.
	whole := io.NewSectionReader(src, 0, src.Size())
	r, err := car.NewReader(whole, car.MaxAllowedHeaderSize(maxCarHeader))
	if err != nil {
		return nil, 0, 0, formatErrorf(src, 0, "not a CAR: %v", eofIsTruncation(err))
	}
	start, end = 0, src.Size()
	if r.Version == 2 {
		offset, size := r.Header.DataOffset, r.Header.DataSize
		if offset > uint64(end) || size > uint64(end)-offset {
			return nil, 0, 0, formatErrorf(src, car.PragmaSize,
				"truncated: CARv2 payload of %d bytes at %d, the file has %d", size, offset, end)
		}
		start, end = int64(offset), int64(offset+size)
	}
	if roots, err = r.Roots(); err != nil {
		return nil, 0, 0, formatErrorf(src, start, "CAR header: %v", eofIsTruncation(err))
	}
	w := window{src: src, end: end}
	length, n, err := w.uvarint(start)
	if err != nil {
		return nil, 0, 0, formatErrorf(src, start, "CAR header: %v", err)
	}
	start += int64(n)
	if length > maxCarHeader || int64(length) > end-start {
		return nil, 0, 0, formatErrorf(src, start, "CAR header of %d bytes", length)
	}
	return roots, start + int64(length), end, nil
}

func zerosOnly(src Source, off, end int64) error {
	rest := make([]byte, min(trailer, end-off))
	if _, err := src.ReadAt(rest, off); err != nil && err != io.EOF {
		return formatErrorf(src, off, "%v", err)
	}
	if len(bytes.TrimLeft(rest, "\x00")) != 0 {
		return formatErrorf(src, off, "zero-length section with data behind it")
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
