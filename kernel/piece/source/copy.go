package source

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

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
	return piece.WriteFile(path, 0o644, func(out io.Writer) error { return write(ctx, out, src) })
}

func write(ctx context.Context, out io.Writer, src piece.Source) error {
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
		if _, err := out.Write(buf[:n]); err != nil {
			return err
		}
		off += int64(n)
	}
	return nil
}
