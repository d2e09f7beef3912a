package piece

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"

	"github.com/ipld/go-car/v2"
	"github.com/multiformats/go-multicodec"
	"github.com/multiformats/go-varint"
)

const (
	offsetSize = 8 // of a record, behind its digest
	// maxRecord bounds a record: a digest of a section's CID, and the offset.
	maxRecord = maxSectionID + offsetSize
)

// CheckCARIndex reads through the index of a CARv2, which we never use ourselves, and tells whether it is one: its form, and
// that all that it names lies in the payload. What is no CARv2, or has no index, is fine.
func CheckCARIndex(src Source) error {
	header, err := CARHeader(src)
	if err != nil || header.Version != 2 {
		return nil // whoever reads the CAR is told
	}
	var places [3]uint64 // of the payload: offset and size; of the index: offset
	raw := make([]byte, 8*len(places))
	if n, err := src.ReadAt(raw, car.PragmaSize+16); n < len(raw) {
		return FormatErrorf(src, car.PragmaSize, "CARv2 header: %v", eofIsTruncation(err))
	}
	for i := range places {
		places[i] = binary.LittleEndian.Uint64(raw[8*i:])
	}
	at := places[2]
	switch {
	case at == 0:
		return nil
	case at >= uint64(src.Size()):
		return FormatErrorf(src, car.PragmaSize+32, "CARv2 index at %d, the file has %d bytes", at, src.Size())
	case at < places[0]+places[1]:
		return FormatErrorf(src, car.PragmaSize+32, "CARv2 index at %d, inside the payload", at)
	}
	size := src.Size() - int64(at)
	r := &indexReader{payload: places[1], left: size}
	r.in = bufio.NewReaderSize(io.NewSectionReader(src, int64(at), size), 1<<16)
	if err := r.index(); err != nil {
		return FormatErrorf(src, int64(at)+size-r.left, "CARv2 index: %v", eofIsTruncation(err))
	}
	return nil
}

// An indexReader reads an index (https://ipld.io/specs/transport/car/carv2/#index-format), in memory for one record.
type indexReader struct {
	in      *bufio.Reader
	left    int64 // bytes to the end of the source
	payload uint64
}

func (r *indexReader) index() error {
	codec, err := varint.ReadUvarint(r.in)
	if err != nil {
		return err
	}
	r.left -= int64(varint.UvarintSize(codec))
	switch multicodec.Code(codec) {
	case multicodec.CarIndexSorted:
		return r.widths()
	case multicodec.CarMultihashIndexSorted:
		return r.list(12, func() error {
			if _, err := r.number(8); err != nil { // the hash function
				return err
			}
			return r.widths()
		})
	}
	return fmt.Errorf("its codec 0x%x is that of no index", codec)
}

// widths reads the records, sorted by their widths.
func (r *indexReader) widths() error {
	return r.list(12, func() error {
		width, err := r.number(4)
		if err != nil {
			return err
		}
		size, err := r.number(8)
		switch {
		case err != nil:
			return err
		case width < offsetSize || width > maxRecord:
			return fmt.Errorf("records of %d bytes", width)
		case size%width != 0 || size > uint64(r.left):
			return fmt.Errorf("%d bytes of records of %d, %d are left", size, width, r.left)
		}
		record := make([]byte, width)
		for range size / width {
			if _, err := io.ReadFull(r.in, record); err != nil {
				return err
			}
			if to := binary.LittleEndian.Uint64(record[width-offsetSize:]); to >= r.payload {
				return fmt.Errorf("a block at %d of a payload of %d bytes", to, r.payload)
			}
			r.left -= int64(width)
		}
		return nil
	})
}

// list reads so many elements as it says, each of at least so many bytes.
func (r *indexReader) list(least int64, element func() error) error {
	count, err := r.number(4)
	if err != nil {
		return err
	}
	if int64(count) > r.left/least {
		return fmt.Errorf("%d lists in %d bytes", count, r.left)
	}
	for range count {
		if err := element(); err != nil {
			return err
		}
	}
	return nil
}

// number reads a little-endian number of so many bytes.
func (r *indexReader) number(size int) (uint64, error) {
	var raw [8]byte
	if _, err := io.ReadFull(r.in, raw[:size]); err != nil {
		return 0, err
	}
	r.left -= int64(size)
	return binary.LittleEndian.Uint64(raw[:]), nil
}
