package mount

import (
	"context"
	"fmt"
	"sync"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	"github.com/ipfs/go-cid"

	"github.com/shale-cloud/shale/kernel/piece"
	"github.com/shale-cloud/shale/kernel/unixfs"
)

// Names in a mount with proofs: dataset and proofs side by side.
const (
	dataDir   = "data"
	proofsDir = "proofs"
	blocksDir = "blocks"
	pieceFile = "piece.json"
)

// Numbers of the nodes that no tree has: entries count from 1, and places in a source are below the second.
const (
	folderNumber = 1 << 61
	blockNumber  = 1 << 62
)

const (
	// blocksAtOnce bounds the blocks that are in memory to be verified.
	blocksAtOnce = 4
	// toldAgain is after how long a fault is told again.
	toldAgain = time.Minute
	// maxCIDText is longer than any text of a CID that names a block.
	maxCIDText = 128
)

// Proofs is what a mount shows for those who trust nobody: the blocks by which a file's bytes are led back to the root,
// and the proof that the root's block lies in the piece. It is used for one mount.
type Proofs struct {
	// Source is what the tree was built from, and Piece an inclusion proof as JSON, or nil.
	Source piece.Source
	Piece  []byte
	// OnFault, if set, is told of the first fault in each block, again after a minute. It must not block.
	OnFault func(*unixfs.Fault)

	tree    *unixfs.Tree
	slots   chan struct{}
	mu      sync.Mutex
	told    map[int64]bool // blocks, by offset, whose faults were, in the minute since
	cleared time.Time
}

// WithProofs mounts as At does, with the tree in the folder data of dir, and in the folder proofs blocks/CID, each dag-pb
// block of the tree by any text of its CID, and piece.json.
func WithProofs(dir string, tree *unixfs.Tree, reader *unixfs.Reader, proofs *Proofs) (*Mount, error) {
	proofs.tree, proofs.slots = tree, make(chan struct{}, blocksAtOnce)
	v := newVolume(tree)
	beside := []listed{{blocksDir, folderAttr(3), func() fs.InodeEmbedder {
		return &folder{volume: v, number: 3, find: proofs.find(v)}
	}}}
	if proofs.Piece != nil {
		beside = append(beside, listed{pieceFile, fs.StableAttr{Mode: syscall.S_IFREG, Ino: folderNumber + 4},
			func() fs.InodeEmbedder { return &fixedFile{volume: v, number: 4, text: proofs.Piece} }})
	}
	top := &folder{volume: v, number: 1, entries: []listed{
		{dataDir, fs.StableAttr{Mode: syscall.S_IFDIR, Ino: tree.Root.Number}, nil}, // the tree, which is shown by others
		{proofsDir, folderAttr(2), func() fs.InodeEmbedder { return &folder{volume: v, number: 2, entries: beside} }},
	}}
	timeout, root := cacheTime, folderAttr(1)
	rest := fs.NewNodeFS(top, &fs.Options{
		EntryTimeout:    &timeout,
		AttrTimeout:     &timeout,
		NegativeTimeout: &timeout,
		RootStableAttr:  &root,
	})
	return at(dir, tree, reader, newEntryFS(tree, reader, v, rest, top.entries), top.EmbeddedInode(), true)
}

// find looks for the block that a name is the CID of.
func (p *Proofs) find(v *volume) func(name string) (listed, bool) {
	return func(name string) (listed, bool) {
		if len(name) > maxCIDText {
			return listed{}, false
		}
		id, err := cid.Decode(name)
		if err != nil {
			return listed{}, false
		}
		block, ok := p.tree.Block(id)
		stable := fs.StableAttr{Mode: syscall.S_IFREG, Ino: blockNumber | uint64(block.Offset)}
		return listed{name, stable, func() fs.InodeEmbedder {
			return &blockFile{volume: v, proofs: p, id: id, block: block}
		}}, ok
	}
}

// read fills dst from a block, which is verified as a whole at each read: the kernel keeps what it was given.
func (p *Proofs) read(id cid.Cid, block piece.Block, dst []byte, off int64) error {
	p.slots <- struct{}{}
	defer func() { <-p.slots }()
	whole := make([]byte, block.Size)
	if n, err := p.Source.ReadAt(whole, block.Offset); n < len(whole) {
		return p.fault(id, block, "unreadable", fmt.Sprintf("unreadable: %v", err))
	}
	if unixfs.CheckBlock(id, whole) != nil {
		return p.fault(id, block, "corrupt", "corrupt")
	}
	copy(dst, whole[off:])
	return nil
}

func (p *Proofs) fault(id cid.Cid, block piece.Block, kind, reason string) error {
	p.mu.Lock()
	if time.Since(p.cleared) > toldAgain {
		p.told, p.cleared = map[int64]bool{}, time.Now()
	}
	known := p.told[block.Offset]
	p.told[block.Offset] = true
	p.mu.Unlock()
	src, offset := piece.Locate(p.Source, block.Offset)
	fault := &unixfs.Fault{
		Source: src.Name(), Path: proofsDir + "/" + blocksDir, CID: id, Offset: offset, Kind: kind, Reason: reason,
	}
	if !known && p.OnFault != nil {
		p.OnFault(fault)
	}
	return fault
}

// A blockFile is a block as it lies in the source.
type blockFile struct {
	fs.Inode
	volume *volume
	proofs *Proofs
	id     cid.Cid
	block  piece.Block
}

var (
	_ fs.NodeGetattrer = (*blockFile)(nil)
	_ fs.NodeOpener    = (*blockFile)(nil)
	_ fs.NodeReader    = (*blockFile)(nil)
	_ fs.NodeFsyncer   = (*blockFile)(nil)
)

func (b *blockFile) Getattr(_ context.Context, _ fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	b.volume.plain(&out.Attr, blockNumber|uint64(b.block.Offset), int(b.block.Size))
	return 0
}

func (b *blockFile) Open(_ context.Context, flags uint32) (fs.FileHandle, uint32, syscall.Errno) {
	return openReadOnly(flags)
}

func (b *blockFile) Read(_ context.Context, _ fs.FileHandle, dest []byte, off int64) (fuse.ReadResult, syscall.Errno) {
	left := int64(b.block.Size) - off
	if left <= 0 {
		return fuse.ReadResultData(nil), 0
	}
	dest = dest[:min(int64(len(dest)), left)]
	if b.proofs.read(b.id, b.block, dest, off) != nil {
		return nil, syscall.EIO
	}
	return fuse.ReadResultData(dest), 0
}

func (b *blockFile) Fsync(context.Context, fs.FileHandle, uint32) syscall.Errno { return 0 }
