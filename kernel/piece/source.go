// Package piece reads and commits to the bytes of a Filecoin piece: sources, CAR block indexes, commitments.
package piece

import (
	"fmt"
	"io"
	"os"
	"syscall"
)

// A Source is the bytes of one piece payload, open for as long as anybody reads from it.
// ReadAt is safe for concurrent use. Name is what errors call it: a path or a URL.
type Source interface {
	io.ReaderAt
	io.Closer
	Size() int64
	Name() string
}

type fileSource struct {
	*os.File
	descriptor int
	size       int64
	stamp      string
}

// OpenFile opens a regular file as a source. The file stays readable after it is renamed or unlinked.
func OpenFile(path string) (Source, error) {
	// O_NONBLOCK so that a FIFO under this name is refused below and doesn't hang the open.
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, err
	}
	if !info.Mode().IsRegular() {
		f.Close()
		return nil, fmt.Errorf("%s: not a regular file", path)
	}
	return &fileSource{f, int(f.Fd()), info.Size(), fileStamp(info)}, nil
}

func (s *fileSource) Size() int64   { return s.size }
func (s *fileSource) Stamp() string { return s.stamp }

// A FormatError is a source whose bytes are not what their format demands, and where.
type FormatError struct {
	Source string
	Offset int64
	Reason string
}

func (e *FormatError) Error() string {
	return fmt.Sprintf("%s: offset %d: %s", e.Source, e.Offset, e.Reason)
}

// FormatErrorf says what of src is malformed, and where; of joined pieces it names the one.
func FormatErrorf(src Source, offset int64, format string, args ...any) error {
	part, offset := Locate(src, offset)
	return &FormatError{Source: part.Name(), Offset: offset, Reason: fmt.Sprintf(format, args...)}
}
