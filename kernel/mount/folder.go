package mount

import (
	"context"
	"slices"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// A folder is a directory that isn't the dataset's: entries that stand fast, or such as are found by their names and
// not listed.
type folder struct {
	fs.Inode
	volume  *volume
	number  uint64
	entries []listed
	find    func(name string) (listed, bool)
}

type listed struct {
	name   string
	stable fs.StableAttr
	make   func() fs.InodeEmbedder
}

var (
	_ fs.NodeLookuper  = (*folder)(nil)
	_ fs.NodeGetattrer = (*folder)(nil)
	_ fs.NodeReaddirer = (*folder)(nil)
	_ fs.NodeFsyncer   = (*folder)(nil)
)

func folderAttr(number uint64) fs.StableAttr {
	return fs.StableAttr{Mode: syscall.S_IFDIR, Ino: folderNumber + number}
}

func (f *folder) Lookup(ctx context.Context, name string, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	at := slices.IndexFunc(f.entries, func(e listed) bool { return e.name == name })
	var entry listed
	ok := at >= 0
	if ok {
		entry = f.entries[at]
	} else if f.find != nil {
		entry, ok = f.find(name)
	}
	if !ok {
		return nil, syscall.ENOENT
	}
	found := entry.make()
	var attr fuse.AttrOut
	if errno := found.(fs.NodeGetattrer).Getattr(ctx, nil, &attr); errno != 0 {
		return nil, errno
	}
	out.Attr = attr.Attr
	return f.NewInode(ctx, found, entry.stable), 0
}

func (f *folder) Getattr(_ context.Context, _ fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	f.volume.plain(&out.Attr, folderNumber+f.number, 0)
	out.Mode, out.Nlink = syscall.S_IFDIR|dirMode, 2
	return 0
}

func (f *folder) Readdir(context.Context) (fs.DirStream, syscall.Errno) {
	names := make([]fuse.DirEntry, 0, len(f.entries))
	for _, entry := range f.entries {
		names = append(names, fuse.DirEntry{Name: entry.name, Mode: entry.stable.Mode, Ino: entry.stable.Ino})
	}
	return fs.NewListDirStream(names), 0
}

func (f *folder) Fsync(context.Context, fs.FileHandle, uint32) syscall.Errno { return 0 }

// plain fills in what files and folders that aren't the dataset's have in common.
func (v *volume) plain(out *fuse.Attr, number uint64, size int) {
	out.Ino, out.Size, out.Blocks, out.Blksize, out.Nlink = number, uint64(size), uint64(size+511)/512, blockSize, 1
	out.Mode = syscall.S_IFREG | fileMode
	out.SetTimes(&v.since, &v.since, &v.since)
}

// A fixedFile is a text that was known when the mount was made.
type fixedFile struct {
	fs.Inode
	volume *volume
	number uint64
	text   []byte
}

var (
	_ fs.NodeGetattrer = (*fixedFile)(nil)
	_ fs.NodeOpener    = (*fixedFile)(nil)
	_ fs.NodeReader    = (*fixedFile)(nil)
	_ fs.NodeFsyncer   = (*fixedFile)(nil)
)

func (f *fixedFile) Getattr(_ context.Context, _ fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	f.volume.plain(&out.Attr, folderNumber+f.number, len(f.text))
	return 0
}

func (f *fixedFile) Open(_ context.Context, flags uint32) (fs.FileHandle, uint32, syscall.Errno) {
	return openReadOnly(flags)
}

func (f *fixedFile) Read(_ context.Context, _ fs.FileHandle, dest []byte, off int64) (fuse.ReadResult, syscall.Errno) {
	off = min(off, int64(len(f.text)))
	return fuse.ReadResultData(dest[:copy(dest, f.text[off:])]), 0
}

func (f *fixedFile) Fsync(context.Context, fs.FileHandle, uint32) syscall.Errno { return 0 }

func openReadOnly(flags uint32) (fs.FileHandle, uint32, syscall.Errno) {
	if flags&syscall.O_ACCMODE != syscall.O_RDONLY {
		return nil, 0, syscall.EROFS
	}
	return nil, fuse.FOPEN_KEEP_CACHE, 0
}
