package source

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/shale-cloud/shale/kernel/piece"
)

const copyBuffer = 4 << 20

// Copy writes a source's bytes as a new file, whole or not at all.
func Copy(ctx context.Context, path string, src piece.Source) error {
	if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
		if err == nil {
			err = fmt.Errorf("%s: exists already: choose another place", path)
		}
		return err
	}
	file, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	// Once it is renamed there is nothing to remove.
	defer os.Remove(file.Name())
	defer file.Close()
	buf := make([]byte, copyBuffer)
	for off := int64(0); off < src.Size(); {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := src.ReadAt(buf[:min(int64(len(buf)), src.Size()-off)], off)
		if n == 0 {
			if err == io.EOF {
				err = piece.FormatErrorf(src, off, "truncated: %d bytes were here when it was opened", src.Size())
			}
			return err
		}
		if _, err := file.Write(buf[:n]); err != nil {
			return err
		}
		off += int64(n)
	}
	if err := file.Chmod(0o644); err != nil {
		return err
	}
	if err := file.Sync(); err != nil {
		return err
	}
	if err := os.Rename(file.Name(), path); err != nil {
		return err
	}
	return piece.SyncDir(filepath.Dir(path))
}
