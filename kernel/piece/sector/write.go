package sector

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/shale-cloud/shale/kernel/piece"
	"github.com/shale-cloud/shale/kernel/piece/fr32"
)

// PieceSize is the padded size of the piece that holds raw bytes.
func PieceSize(raw int64) int64 {
	quads := uint64(raw+fr32.Raw-1) / fr32.Raw
	if quads <= 1 {
		return minPiece
	}
	return minPiece << bits.Len64(quads-1)
}

// Write puts a piece into the unsealed sector file at path, at a padded offset that is free; the file is made if there
// is none. Cancelled, it leaves no new file, and in a sector that was there nothing is allocated.
func Write(ctx context.Context, path string, size int64, offset int64, src piece.Source) (Range, error) {
	at := Range{offset, PieceSize(src.Size())}
	if !slices.Contains(Sizes, size) {
		return at, fmt.Errorf("no sector has %d bytes: sizes are 2KiB, 8MiB, 512MiB, 32GiB and 64GiB", size)
	}
	_, err := os.Stat(path)
	if err == nil {
		return at, extend(ctx, path, size, at, src)
	}
	if !errors.Is(err, os.ErrNotExist) {
		return at, err
	}
	file, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return at, err
	}
	defer os.Remove(file.Name())
	defer file.Close()
	if err := write(ctx, file, path, size, nil, at, src); err != nil {
		return at, err
	}
	if err := file.Chmod(0o644); err != nil {
		return at, err
	}
	if err := os.Rename(file.Name(), path); err != nil {
		return at, err
	}
	return at, piece.SyncDir(filepath.Dir(path))
}

// extend adds a piece to a sector that is there. Two at once would each write a trailer without the other's piece.
func extend(ctx context.Context, path string, size int64, at Range, src piece.Source) error {
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer file.Close()
	if err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return fmt.Errorf("%s: somebody else is writing to it: try again when it is done", path)
	}
	have, err := piece.OpenFile(path)
	if err != nil {
		return err
	}
	defer have.Close()
	s, err := Open(have)
	if err != nil {
		return err
	}
	if s.Size != size {
		return fmt.Errorf("%s: a sector of %d bytes, not %d", path, s.Size, size)
	}
	return write(ctx, file, path, size, s.Allocated, at, src)
}

func write(ctx context.Context, file *os.File, name string, size int64, have Allocation, at Range, src piece.Source) error {
	target := &fileAt{file, name, size}
	if err := (&Sector{Size: size, src: target}).check(at); err != nil {
		return err
	}
	allocated, err := have.add(at)
	if err != nil {
		return piece.FormatErrorf(target, at.Offset, "a piece of %d bytes %v: %s", at.Size, err, have)
	}
	if have == nil {
		if err := file.Truncate(size); err != nil {
			return err
		}
	}
	if err := pad(ctx, file, at, src); err != nil {
		return err
	}
	// The data is durable before anything says that it is there.
	if err := file.Sync(); err != nil {
		return err
	}
	trailer, err := allocated.encode()
	if err != nil {
		return err
	}
	trailer = binary.LittleEndian.AppendUint32(trailer, uint32(len(trailer)))
	if _, err := file.WriteAt(trailer, size); err != nil {
		return err
	}
	if err := file.Truncate(size + int64(len(trailer))); err != nil {
		return err
	}
	return file.Sync()
}

// pad writes the piece's bytes, and zeros up to its padded size.
func pad(ctx context.Context, file *os.File, at Range, src piece.Source) error {
	raw, padded := make([]byte, batch*fr32.Raw), make([]byte, batch*fr32.Padded)
	for first := int64(0); first*fr32.Padded < at.Size; first += batch {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := src.ReadAt(raw, first*fr32.Raw)
		if err != nil && err != io.EOF {
			return err
		}
		if want := min(int64(len(raw)), max(src.Size()-first*fr32.Raw, 0)); int64(n) < want {
			return piece.FormatErrorf(src, first*fr32.Raw+int64(n), "truncated: %d bytes are missing", want-int64(n))
		}
		clear(raw[n:])
		fr32.Pad(padded, raw)
		if _, err := file.WriteAt(padded[:min(int64(len(padded)), at.Size-first*fr32.Padded)], at.Offset+first*fr32.Padded); err != nil {
			return err
		}
	}
	return nil
}

// A fileAt names the sector that is being written, for errors.
type fileAt struct {
	*os.File
	name string
	size int64
}

func (f *fileAt) Name() string { return f.name }
func (f *fileAt) Size() int64  { return f.size }
