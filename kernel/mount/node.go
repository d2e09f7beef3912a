package mount

import (
	"context"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
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

// A node is an entry of the tree as the kernel sees it. The kernel makes and forgets them; the entry stays.
type node struct {
	fs.Inode
	entry  *unixfs.Entry
	reader *unixfs.Reader
	mount  *volume
}

// A volume is what all nodes of a mount share.
type volume struct {
	since time.Time
	count uint64
	bytes uint64
}

var (
	_ fs.NodeLookuper       = (*node)(nil)
	_ fs.NodeGetattrer      = (*node)(nil)
	_ fs.NodeOpendirHandler = (*node)(nil)
	_ fs.NodeReaddirer      = (*node)(nil)
	_ fs.NodeReadlinker     = (*node)(nil)
	_ fs.NodeOpener         = (*node)(nil)
	_ fs.NodeReader         = (*node)(nil)
	_ fs.NodeStatfser       = (*node)(nil)
	_ fs.NodeAccesser       = (*node)(nil)
	_ fs.NodeFsyncer        = (*node)(nil)
)

func (n *node) Lookup(ctx context.Context, name string, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	entry, ok := n.entry.Child(name)
	if !ok {
		return nil, syscall.ENOENT
	}
	n.mount.attr(entry, &out.Attr)
	child := &node{entry: entry, reader: n.reader, mount: n.mount}
	return n.NewInode(ctx, child, fs.StableAttr{Mode: kind(entry), Ino: entry.Number}), 0
}

func (n *node) Getattr(_ context.Context, _ fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	n.mount.attr(n.entry, &out.Attr)
	return 0
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

// Access lets everyone read and look, as Open does: the dataset is whose mount it is, whoever its files once were. Only
// what nobody may run is no program.
func (n *node) Access(_ context.Context, mask uint32) syscall.Errno {
	const execute = 1
	if mask&execute != 0 && n.entry.Type == unixfs.File && permissions(n.entry)&0o111 == 0 {
		return syscall.EACCES
	}
	return 0
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

func (n *node) OpendirHandle(context.Context, uint32) (fs.FileHandle, uint32, syscall.Errno) {
	return &dirStream{entries: n.entry.Entries}, fuse.FOPEN_CACHE_DIR | fuse.FOPEN_KEEP_CACHE, 0
}

func (n *node) Readdir(context.Context) (fs.DirStream, syscall.Errno) {
	return &dirStream{entries: n.entry.Entries}, 0
}

func (n *node) Readlink(context.Context) ([]byte, syscall.Errno) {
	return []byte(n.entry.Target), 0
}

func (n *node) Open(_ context.Context, flags uint32) (fs.FileHandle, uint32, syscall.Errno) {
	if flags&syscall.O_ACCMODE != syscall.O_RDONLY {
		return nil, 0, syscall.EROFS
	}
	return nil, fuse.FOPEN_KEEP_CACHE, 0
}

func (n *node) Read(_ context.Context, _ fs.FileHandle, dest []byte, off int64) (fuse.ReadResult, syscall.Errno) {
	got, err := n.reader.ReadAt(n.entry, dest, off)
	if _, fault := err.(*unixfs.Fault); fault {
		return nil, syscall.EIO
	}
	return fuse.ReadResultData(dest[:got]), 0
}

// Fsync has nothing to write: a program that makes sure of a file which it only reads is no failure.
func (n *node) Fsync(context.Context, fs.FileHandle, uint32) syscall.Errno { return 0 }

func (n *node) Statfs(_ context.Context, out *fuse.StatfsOut) syscall.Errno {
	out.Bsize, out.Frsize = blockSize, 512
	out.Blocks = (n.mount.bytes + 511) / 512
	out.Files = n.mount.count
	out.NameLen = 255
	return 0
}

// A dirStream lists a directory. An offset is the number of entries before it.
type dirStream struct {
	entries []*unixfs.Entry
	next    int
}

var (
	_ fs.FileReaddirenter = (*dirStream)(nil)
	_ fs.FileSeekdirer    = (*dirStream)(nil)
)

func (s *dirStream) HasNext() bool { return s.next < len(s.entries) }

func (s *dirStream) Next() (fuse.DirEntry, syscall.Errno) {
	e := s.entries[s.next]
	s.next++
	return fuse.DirEntry{Mode: kind(e), Name: e.Name, Ino: e.Number, Off: uint64(s.next)}, 0
}

func (s *dirStream) Close() {}

func (s *dirStream) Readdirent(context.Context) (*fuse.DirEntry, syscall.Errno) {
	if !s.HasNext() {
		return nil, 0
	}
	e, errno := s.Next()
	return &e, errno
}

func (s *dirStream) Seekdir(_ context.Context, off uint64) syscall.Errno {
	if off > uint64(len(s.entries)) {
		return syscall.EINVAL
	}
	s.next = int(off)
	return 0
}
