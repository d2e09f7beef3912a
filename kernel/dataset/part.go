package dataset

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/shale-cloud/shale/kernel/piece"
)

// A part is a directory that is being written beside its place. It is locked: what a process that was killed left
// behind is known by its lock being free, and the next one for the same place removes it.
type part struct {
	path string
	lock *os.File
	root *os.Root
}

func claimPart(dir string) (*part, error) {
	p := &part{path: filepath.Join(filepath.Dir(dir), "."+filepath.Base(dir)+".shale-part")}
	err := os.Mkdir(p.path, 0o700)
	left := errors.Is(err, os.ErrExist)
	if err != nil && !left {
		return nil, err
	}
	if p.lock, err = os.OpenFile(p.path, os.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0); err != nil {
		return nil, err
	}
	if err := unix.Flock(int(p.lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		p.lock.Close()
		return nil, fmt.Errorf("%s: is being written by another process: wait for it, or end it", dir)
	}
	if left {
		err = emptyDir(p.path)
	}
	if err == nil {
		p.root, err = os.OpenRoot(p.path)
	}
	if err != nil {
		p.lock.Close()
		return nil, err
	}
	return p, nil
}

// finish makes the part durable and moves it to its place, if that is still free.
func (p *part) finish(dir string) error {
	if err := unix.Syncfs(int(p.lock.Fd())); err != nil {
		return &os.PathError{Op: "syncfs", Path: p.path, Err: err}
	}
	err := unix.Renameat2(unix.AT_FDCWD, p.path, unix.AT_FDCWD, dir, unix.RENAME_NOREPLACE)
	if errors.Is(err, unix.EINVAL) { // a file system that cannot promise it
		err = unix.Rename(p.path, dir)
	}
	if err != nil {
		return &os.LinkError{Op: "rename", Old: p.path, New: dir, Err: err}
	}
	p.path = ""
	return piece.SyncDir(filepath.Dir(dir))
}

// Close removes the part, unless it was finished.
func (p *part) Close() {
	if p.path != "" && emptyDir(p.path) == nil {
		os.Remove(p.path)
	}
	p.root.Close()
	p.lock.Close()
}

// emptyDir removes what a directory holds, directories that forbid it too.
func emptyDir(dir string) error {
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			err = os.Chmod(path, 0o700)
		}
		return err
	})
	if err != nil {
		return err
	}
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		err = errors.Join(err, os.RemoveAll(filepath.Join(dir, e.Name())))
	}
	return err
}
