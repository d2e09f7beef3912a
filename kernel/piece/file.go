package piece

import (
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"syscall"
)

// A fileSource is a file that is held open, and that Reopen may exchange for the one that its name leads to by then.
type fileSource struct {
	path  string
	size  int64
	stamp string
	held  atomic.Pointer[heldFile]
}

type heldFile struct {
	*os.File
	descriptor int
}

// OpenFile opens a regular file as a source. The file stays readable after it is renamed or unlinked.
func OpenFile(path string) (Source, error) {
	f, info, err := openRegular(path)
	if err != nil {
		return nil, err
	}
	s := &fileSource{path: path, size: info.Size(), stamp: fileStamp(info)}
	s.held.Store(f)
	return s, nil
}

func openRegular(path string) (*heldFile, os.FileInfo, error) {
	// O_NONBLOCK so that a FIFO under this name is refused below and doesn't hang the open.
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s: not a regular file", path)
	}
	if err != nil {
		f.Close()
		return nil, nil, err
	}
	return &heldFile{f, int(f.Fd())}, info, nil
}

func (s *fileSource) Size() int64   { return s.size }
func (s *fileSource) Name() string  { return s.path }
func (s *fileSource) Stamp() string { return s.stamp }
func (s *fileSource) Close() error  { return s.held.Load().Close() }

func (s *fileSource) ReadAt(p []byte, off int64) (int, error) {
	for {
		f := s.held.Load()
		n, err := f.ReadAt(p, off)
		if err == nil || !errors.Is(err, os.ErrClosed) || s.held.Load() == f {
			return n, err
		}
	}
}

// Reopen takes up what the name of a source leads to now, if that is another file, or another version on a server, of the
// same size. Whoever reads must verify what comes then.
func Reopen(src Source) {
	if s, ok := bottom(src).(interface{ Reopen() }); ok {
		s.Reopen()
	}
}

// Reopen takes up a copy that replaced the file.
func (s *fileSource) Reopen() {
	if Replaced(s) == "" {
		return
	}
	f, info, err := openRegular(s.path)
	if err != nil {
		return
	}
	if info.Size() != s.size {
		f.Close()
		return
	}
	s.held.Swap(f).Close()
}
