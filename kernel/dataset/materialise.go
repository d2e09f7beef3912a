package dataset

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/shale-cloud/shale/kernel/unixfs"
)

const (
	writeBuffer = 4 << 20
	// newDir and newFile are the modes of what stores none.
	newDir, newFile = 0o755, 0o644
)

// Materialise writes the dataset as a plain directory: each block verified, with the modes and times that are stored.
// dir must not exist; it is there when all of it is, durably, and else nothing is. wrote, if set, is told of bytes that
// were written, by several goroutines.
func (d *Dataset) Materialise(ctx context.Context, dir string, wrote func(int)) (Contents, error) {
	contents := d.Contents()
	dir, err := filepath.Abs(dir)
	if err != nil {
		return contents, err
	}
	if err := free(dir, contents.Size); err != nil {
		return contents, err
	}
	part, err := claimPart(dir)
	if err != nil {
		return contents, err
	}
	defer part.Close()
	w := &materialiser{ctx: ctx, reader: unixfs.NewReader(d.Source, d.Tree, unixfs.FirstTouch), root: part.root, wrote: wrote}
	if err := w.all(d.Tree.Root); err != nil {
		return contents, err
	}
	return contents, part.finish(dir)
}

// free refuses a place that is taken, or where there is no room.
func free(dir string, size int64) error {
	if _, err := os.Lstat(dir); !errors.Is(err, os.ErrNotExist) {
		if err == nil {
			err = fmt.Errorf("%s: exists already: choose another place", dir)
		}
		return err
	}
	var stat unix.Statfs_t
	if err := unix.Statfs(filepath.Dir(dir), &stat); err != nil {
		return &os.PathError{Op: "statfs", Path: filepath.Dir(dir), Err: err}
	}
	if room := int64(stat.Bavail) * stat.Bsize; room < size {
		return fmt.Errorf("%s: the files have %d bytes, and %d are free there", dir, size, room)
	}
	return nil
}

// A materialiser writes the entries of a tree below root, whose names lead nowhere else.
type materialiser struct {
	ctx    context.Context
	reader *unixfs.Reader
	root   *os.Root
	wrote  func(int)
}

func (w *materialiser) all(top *unixfs.Entry) error {
	if err := w.files(top); err != nil {
		return err
	}
	// Only now: a directory may be one that nothing can be put into, and what is put into it changes its time.
	return w.finishDirs(top)
}

// files makes the directories and hands the files to workers: the first failure ends them all.
func (w *materialiser) files(top *unixfs.Entry) error {
	ctx, cancel := context.WithCancelCause(w.ctx)
	defer cancel(nil)
	queue := make(chan *unixfs.Entry)
	var workers sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), 8) {
		workers.Go(func() {
			buf := make([]byte, writeBuffer)
			for e := range queue {
				if err := w.file(ctx, e, buf); err != nil {
					cancel(err)
				}
			}
		})
	}
	err := walkEntries(top, func(e *unixfs.Entry) error {
		switch e.Type {
		case unixfs.Directory:
			return w.root.Mkdir(e.Path(), 0o700)
		case unixfs.Symlink:
			return w.symlink(e)
		}
		select {
		case queue <- e:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	})
	close(queue)
	workers.Wait()
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}

// walkEntries visits what is below an entry, directories first.
func walkEntries(dir *unixfs.Entry, visit func(*unixfs.Entry) error) error {
	for _, e := range dir.Entries {
		if err := visit(e); err != nil {
			return err
		}
		if err := walkEntries(e, visit); err != nil {
			return err
		}
	}
	return nil
}

func (w *materialiser) file(ctx context.Context, e *unixfs.Entry, buf []byte) error {
	path := e.Path()
	f, err := w.root.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	for off := int64(0); off < e.Size; {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := w.reader.ReadAt(e, buf, off)
		if err != nil && err != io.EOF {
			return err
		}
		if _, err := f.Write(buf[:n]); err != nil {
			return err
		}
		if off += int64(n); w.wrote != nil {
			w.wrote(n)
		}
	}
	if err := f.Chmod(mode(e, newFile)); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return w.setTime(e, path)
}

func (w *materialiser) symlink(e *unixfs.Entry) error {
	path := e.Path()
	if err := w.root.Symlink(e.Target, path); err != nil {
		return err
	}
	if w.wrote != nil {
		w.wrote(len(e.Target))
	}
	return w.setTime(e, path)
}

func (w *materialiser) finishDirs(dir *unixfs.Entry) error {
	for _, e := range dir.Entries {
		if e.Type == unixfs.Directory {
			if err := w.finishDirs(e); err != nil {
				return err
			}
		}
	}
	path := dir.Path()
	if path == "" {
		path = "."
	}
	if err := w.setTime(dir, path); err != nil {
		return err
	}
	return w.root.Chmod(path, mode(dir, newDir))
}

func mode(e *unixfs.Entry, without fs.FileMode) fs.FileMode {
	if e.Mode == 0 {
		return without
	}
	return fs.FileMode(e.Mode)
}

// setTime sets the stored time, of a symlink its own.
func (w *materialiser) setTime(e *unixfs.Entry, path string) error {
	if e.MTime.IsZero() {
		return nil
	}
	parent, err := w.root.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer parent.Close()
	at, err := unix.TimeToTimespec(e.MTime)
	if err != nil {
		return fmt.Errorf("%s: the time %v cannot be set: %w", path, e.MTime, err)
	}
	err = unix.UtimesNanoAt(int(parent.Fd()), filepath.Base(path), []unix.Timespec{at, at}, unix.AT_SYMLINK_NOFOLLOW)
	if err != nil {
		return &os.PathError{Op: "utimensat", Path: path, Err: err}
	}
	return nil
}
