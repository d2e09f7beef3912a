// Package piece reads and commits to the bytes of a Filecoin piece: sources, CAR block indexes, commitments.
package piece

import (
	"fmt"
	"io"
)

// A Source is the bytes of one piece payload, open for as long as anybody reads from it.
// ReadAt is safe for concurrent use. Name is what errors call it: a path or a URL.
type Source interface {
	io.ReaderAt
	io.Closer
	Size() int64
	Name() string
}

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
