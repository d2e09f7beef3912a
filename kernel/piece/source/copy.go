package source

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/shale-cloud/shale/kernel/piece"
)

const copyBuffer = 4 << 20

// Copy writes a source's bytes as a new file, whole or not at all. It returns how many zero bytes stand at the end, which
// are padding where the source's raw size isn't known.
func Copy(ctx context.Context, path string, src piece.Source) (zeros int64, err error) {
	if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
		if err == nil {
			err = fmt.Errorf("%s: exists already: choose another place", path)
		}
		return 0, err
	}
	err = piece.WriteFile(path, 0o644, func(out io.Writer) (err error) {
		zeros, err = write(ctx, out, src)
		return err
	})
	return zeros, err
}

func write(ctx context.Context, out io.Writer, src piece.Source) (zeros int64, err error) {
	buf := make([]byte, copyBuffer)
	for off := int64(0); off < src.Size(); {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		n, err := src.ReadAt(buf[:min(int64(len(buf)), src.Size()-off)], off)
		if n == 0 {
			if err == io.EOF {
				err = piece.FormatErrorf(src, off, "truncated: %d bytes were here when it was opened", src.Size())
			}
			return 0, err
		}
		if _, err := out.Write(buf[:n]); err != nil {
			return 0, err
		}
		off += int64(n)
		if sound := len(bytes.TrimRight(buf[:n], "\x00")); sound > 0 {
			zeros = int64(n - sound)
		} else {
			zeros += int64(n)
		}
	}
	return zeros, nil
}
