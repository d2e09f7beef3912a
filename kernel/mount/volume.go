package mount

import (
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"

	"github.com/shale-cloud/shale/kernel/unixfs"
)

const (
	fileMode = 0o444
	dirMode  = 0o555
	linkMode = 0o777
	// blockSize is what stat recommends to read by: a leaf.
	blockSize = 1 << 20
)

// A volume is what all files and folders of a mount share.
type volume struct {
	since time.Time
	count uint64
	bytes uint64
}

func (v *volume) attr(e *unixfs.Entry, out *fuse.Attr) {
	out.Ino = e.Number
	out.Size = uint64(e.Size)
	out.Blocks = (out.Size + 511) / 512
	out.Blksize = blockSize
	out.Nlink = 1
	modified := v.since
	if !e.MTime.IsZero() {
		modified = e.MTime
	}
	out.SetTimes(&modified, &modified, &modified)
	out.Mode = kind(e) | permissions(e)
	if e.Type == unixfs.Directory {
		out.Nlink = 2
	}
}

// permissions are those that the dataset stores, without leave to write: nobody can. Set-user-id and its like it cannot
// store.
func permissions(e *unixfs.Entry) uint32 {
	switch {
	case e.Type == unixfs.Symlink:
		return linkMode
	case e.Mode != 0:
		return uint32(e.Mode) & dirMode
	case e.Type == unixfs.Directory:
		return dirMode
	}
	return fileMode
}

func kind(e *unixfs.Entry) uint32 {
	switch e.Type {
	case unixfs.Directory:
		return syscall.S_IFDIR
	case unixfs.Symlink:
		return syscall.S_IFLNK
	}
	return syscall.S_IFREG
}

func (v *volume) statfs(out *fuse.StatfsOut) {
	out.Bsize, out.Frsize = blockSize, 512
	out.Blocks = (v.bytes + 511) / 512
	out.Files = v.count
	out.NameLen = 255
}
