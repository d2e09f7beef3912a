// Package reading lets an auditor read files of a lease: below two folders, the dataset and its proofs, on this machine or
// over the stdin and stdout of a command, many reads in flight.
package reading

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
)

// MaxRead is the most bytes of one read: a block is 8 MiB at most.
const MaxRead = 16 << 20

// A Folder is one of the two that may be read.
type Folder uint8

const (
	Data Folder = iota
	Proofs
	folders
)

// A Reader reads files by their paths below a folder. It answers with fewer bytes than asked for only at a file's end. A
// symlink reads as its target. It is safe for concurrent use.
type Reader interface {
	Read(ctx context.Context, in Folder, path string, off int64, n int) ([]byte, error)
}

// A FileError is the answer that a file cannot be read. Other errors of a Reader are its own failures.
type FileError struct{ Reason string }

func (e *FileError) Error() string { return e.Reason }

// Files reads on this machine.
type Files struct{ roots [folders]*os.Root }

// OpenFiles opens the folders, which must be there.
func OpenFiles(data, proofs string) (*Files, error) {
	f := &Files{}
	for i, dir := range [folders]string{data, proofs} {
		root, err := os.OpenRoot(dir)
		if err != nil {
			f.Close()
			return nil, err
		}
		f.roots[i] = root
	}
	return f, nil
}

// Close ends reading.
func (f *Files) Close() {
	for _, root := range f.roots {
		if root != nil {
			root.Close()
		}
	}
}

// Read returns with the context even while the file system doesn't answer.
func (f *Files) Read(ctx context.Context, in Folder, path string, off int64, n int) ([]byte, error) {
	if in >= folders || off < 0 || n < 0 || n > MaxRead {
		return nil, fmt.Errorf("cannot read %d bytes at %d of folder %d", n, off, in)
	}
	type answer struct {
		data []byte
		err  error
	}
	answered := make(chan answer, 1)
	go func() {
		data, err := read(f.roots[in], path, off, n)
		answered <- answer{data, err}
	}()
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case a := <-answered:
		if a.err != nil {
			return nil, &FileError{reason(a.err)}
		}
		return a.data, nil
	}
}

func read(root *os.Root, path string, off int64, n int) ([]byte, error) {
	info, err := root.Lstat(path)
	if err != nil {
		return nil, err
	}
	if info.Mode().Type() == os.ModeSymlink {
		target, err := root.Readlink(path)
		if err != nil {
			return nil, err
		}
		rest := target[min(off, int64(len(target))):]
		return []byte(rest[:min(n, len(rest))]), nil
	}
	// O_NONBLOCK so that a FIFO under this name doesn't hang the open.
	file, err := root.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	if info, err = file.Stat(); err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("not a regular file")
	}
	data := make([]byte, min(int64(n), max(0, info.Size()-off)))
	got, err := file.ReadAt(data, off)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return data[:got], err
}

// reason drops the path from an error: who asks knows it.
func reason(err error) string {
	var path *os.PathError
	if errors.As(err, &path) {
		err = path.Err
	}
	return err.Error()
}
