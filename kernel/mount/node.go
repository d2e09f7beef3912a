package mount

import (
	"math/bits"
	"sync/atomic"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"

	"github.com/shale-cloud/shale/kernel/unixfs"
)

// dataNode is the first node of a dataset that lies in a folder: whatever lies beside it is counted from 1 on.
const dataNode = 1 << 62

// An entryFS shows the entries of a tree. The kernel knows each by its number, so that nothing has to be kept of what it has
// looked up, however much that is. What lies beside the tree, if anything does, is another's to show.
type entryFS struct {
	fuse.RawFileSystem // says of all that isn't here that there is no such thing
	beside             fuse.RawFileSystem
	top                []listed // what lies in the folder above the tree, if there is one
	first              uint64   // the node before that of the root

	tree    *unixfs.Tree
	reader  *unixfs.Reader
	volume  *volume
	entries []*unixfs.Entry // by number
	opened  []atomic.Uint64 // a bit for each number: the kernel may have pages of it
	server  *fuse.Server
}

// newEntryFS shows the tree at the root of a mount, or, with something beside, in a folder of its root, which has the entries
// of top.
func newEntryFS(tree *unixfs.Tree, reader *unixfs.Reader, v *volume, beside fuse.RawFileSystem, top []listed) *entryFS {
	f := &entryFS{RawFileSystem: fuse.NewDefaultRawFileSystem(), beside: beside, top: top, tree: tree, reader: reader, volume: v,
		entries: make([]*unixfs.Entry, tree.Count+1), opened: make([]atomic.Uint64, tree.Count/64+1)}
	if beside != nil {
		f.first = dataNode
	}
	f.entries[tree.Root.Number] = tree.Root
	_ = tree.Walk(func(e *unixfs.Entry) error {
		f.entries[e.Number] = e
		return nil
	})
	return f
}

// entry is that of a node, or nil for one that isn't the tree's. There are no others than those that the kernel was told of.
func (f *entryFS) entry(node uint64) *unixfs.Entry {
	if node < f.first {
		return nil
	}
	return f.entries[node-f.first]
}

func (f *entryFS) Init(server *fuse.Server) {
	f.server = server
	if f.beside != nil {
		f.beside.Init(server)
	}
}

func (f *entryFS) Lookup(cancel <-chan struct{}, header *fuse.InHeader, name string, out *fuse.EntryOut) fuse.Status {
	dir := f.entry(header.NodeId)
	if dir == nil {
		if header.NodeId == fuse.FUSE_ROOT_ID && name == dataDir {
			f.tell(f.tree.Root, out)
			return fuse.OK
		}
		return f.beside.Lookup(cancel, header, name, out)
	}
	if entry, ok := dir.Child(name); ok {
		f.tell(entry, out)
	} else {
		out.SetEntryTimeout(cacheTime) // of the name that isn't there
	}
	return fuse.OK
}

func (f *entryFS) tell(e *unixfs.Entry, out *fuse.EntryOut) {
	out.NodeId = f.first + e.Number
	out.SetEntryTimeout(cacheTime)
	out.SetAttrTimeout(cacheTime)
	f.volume.attr(e, &out.Attr)
}

func (f *entryFS) Forget(node, lookups uint64) {
	if f.entry(node) == nil {
		f.beside.Forget(node, lookups)
	}
}

func (f *entryFS) GetAttr(cancel <-chan struct{}, in *fuse.GetAttrIn, out *fuse.AttrOut) fuse.Status {
	e := f.entry(in.NodeId)
	if e == nil {
		return f.beside.GetAttr(cancel, in, out)
	}
	out.SetTimeout(cacheTime)
	f.volume.attr(e, &out.Attr)
	return fuse.OK
}

// Access lets everyone read and look, as Open does: the dataset is whose mount it is, whoever its files once were. Only
// what nobody may run is no program.
func (f *entryFS) Access(cancel <-chan struct{}, in *fuse.AccessIn) fuse.Status {
	e := f.entry(in.NodeId)
	if e == nil {
		return f.beside.Access(cancel, in)
	}
	const execute = 1
	if in.Mask&execute != 0 && e.Type == unixfs.File && permissions(e)&0o111 == 0 {
		return fuse.EACCES
	}
	return fuse.OK
}

func (f *entryFS) Readlink(cancel <-chan struct{}, header *fuse.InHeader) ([]byte, fuse.Status) {
	if e := f.entry(header.NodeId); e != nil {
		return []byte(e.Target), fuse.OK
	}
	return f.beside.Readlink(cancel, header)
}

func (f *entryFS) Open(cancel <-chan struct{}, in *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	e := f.entry(in.NodeId)
	if e == nil {
		return f.beside.Open(cancel, in, out)
	}
	if in.Flags&syscall.O_ACCMODE != syscall.O_RDONLY {
		return fuse.EROFS
	}
	f.opened[e.Number/64].Or(1 << (e.Number % 64))
	out.OpenFlags = fuse.FOPEN_KEEP_CACHE
	return fuse.OK
}

func (f *entryFS) Read(cancel <-chan struct{}, in *fuse.ReadIn, dest []byte) (fuse.ReadResult, fuse.Status) {
	e := f.entry(in.NodeId)
	if e == nil {
		return f.beside.Read(cancel, in, dest)
	}
	got, err := f.reader.ReadAt(e, dest, int64(in.Offset))
	if _, fault := err.(*unixfs.Fault); fault {
		return nil, fuse.EIO
	}
	return fuse.ReadResultData(dest[:got]), fuse.OK
}

func (f *entryFS) Lseek(cancel <-chan struct{}, in *fuse.LseekIn, out *fuse.LseekOut) fuse.Status {
	if f.entry(in.NodeId) == nil {
		return f.beside.Lseek(cancel, in, out)
	}
	return fuse.ENOSYS // the kernel knows how: there are no holes
}

func (f *entryFS) Flush(cancel <-chan struct{}, in *fuse.FlushIn) fuse.Status {
	if f.entry(in.NodeId) == nil {
		return f.beside.Flush(cancel, in)
	}
	return fuse.OK
}

// Fsync has nothing to write: a program that makes sure of a file which it only reads is no failure.
func (f *entryFS) Fsync(cancel <-chan struct{}, in *fuse.FsyncIn) fuse.Status {
	if f.entry(in.NodeId) == nil {
		return f.beside.Fsync(cancel, in)
	}
	return fuse.OK
}

func (f *entryFS) FsyncDir(cancel <-chan struct{}, in *fuse.FsyncIn) fuse.Status {
	if f.entry(in.NodeId) == nil {
		return f.beside.FsyncDir(cancel, in)
	}
	return fuse.OK
}

func (f *entryFS) Release(cancel <-chan struct{}, in *fuse.ReleaseIn) {
	if f.entry(in.NodeId) == nil {
		f.beside.Release(cancel, in)
	}
}

func (f *entryFS) OpenDir(cancel <-chan struct{}, in *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	if f.entry(in.NodeId) == nil {
		return f.beside.OpenDir(cancel, in, out)
	}
	out.OpenFlags = fuse.FOPEN_CACHE_DIR | fuse.FOPEN_KEEP_CACHE
	return fuse.OK
}

// ReadDir goes on behind as many entries as the offset says.
func (f *entryFS) ReadDir(cancel <-chan struct{}, in *fuse.ReadIn, out *fuse.DirEntryList) fuse.Status {
	dir := f.entry(in.NodeId)
	if dir == nil {
		return f.beside.ReadDir(cancel, in, out)
	}
	for at := in.Offset; at < uint64(len(dir.Entries)); at++ {
		if !out.AddDirEntry(listedAt(dir, at)) {
			break
		}
	}
	return fuse.OK
}

func (f *entryFS) ReadDirPlus(cancel <-chan struct{}, in *fuse.ReadIn, out *fuse.DirEntryList) fuse.Status {
	dir := f.entry(in.NodeId)
	if dir == nil && in.NodeId == fuse.FUSE_ROOT_ID {
		// Without nodes, that is: the one of the tree isn't theirs who show the rest.
		for at := in.Offset; at < uint64(len(f.top)); at++ {
			e := f.top[at]
			if out.AddDirLookupEntry(fuse.DirEntry{Mode: e.stable.Mode, Name: e.name, Ino: e.stable.Ino, Off: at + 1}) == nil {
				break
			}
		}
		return fuse.OK
	}
	if dir == nil {
		return f.beside.ReadDirPlus(cancel, in, out)
	}
	for at := in.Offset; at < uint64(len(dir.Entries)); at++ {
		entry := out.AddDirLookupEntry(listedAt(dir, at))
		if entry == nil {
			break
		}
		f.tell(dir.Entries[at], entry)
	}
	return fuse.OK
}

func listedAt(dir *unixfs.Entry, at uint64) fuse.DirEntry {
	e := dir.Entries[at]
	return fuse.DirEntry{Mode: kind(e), Name: e.Name, Ino: e.Number, Off: at + 1}
}

func (f *entryFS) ReleaseDir(in *fuse.ReleaseIn) {
	if f.entry(in.NodeId) == nil {
		f.beside.ReleaseDir(in)
	}
}

func (f *entryFS) StatFs(cancel <-chan struct{}, header *fuse.InHeader, out *fuse.StatfsOut) fuse.Status {
	f.volume.statfs(out)
	return fuse.OK
}

// dropPages has the kernel drop what it keeps of files that were opened.
func (f *entryFS) dropPages() {
	for i := range f.opened {
		for word := f.opened[i].Load(); word != 0; word &= word - 1 {
			number := uint64(i*64 + bits.TrailingZeros64(word))
			_ = f.server.InodeNotify(f.first+number, 0, 0) // one that the kernel has forgotten meanwhile keeps nothing
		}
	}
}
