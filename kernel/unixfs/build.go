package unixfs

import (
	"fmt"
	"slices"
	"strings"

	"github.com/ipfs/boxo/ipld/merkledag"
	ft "github.com/ipfs/boxo/ipld/unixfs"
	"github.com/ipfs/go-cid"
	format "github.com/ipfs/go-ipld-format"

	"github.com/shale-cloud/shale/kernel/piece"
)

// Bounds on what a DAG may unfold to: a few bytes of CAR that link to themselves many times over may name any number
// of files and bytes.
var (
	maxEntries uint64 = 2 << 20
	maxExtents        = 8 << 20
)

const (
	maxInline   = 64 << 20
	maxFileSize = 1 << 50
	// nodeBudget bounds the bytes of dag-pb nodes that are read beyond the source's size, each at nodeCost at least.
	nodeBudget = 2 << 30
	nodeCost   = 512
	// maxShards bounds the depth of a sharded directory, maxFileDepth that of a file.
	maxShards    = 64
	maxFileDepth = 64
)

// Build unfolds the UnixFS DAG under root into a tree. It reads and verifies every dag-pb node and no raw leaf. A file
// may lack blocks, of which the rest is read all the same; a directory may not. A root that is a file becomes the only
// entry of a directory, named by its CID. Errors name the source, the offset of the block and the path.
func Build(src piece.Source, index *piece.Index, root cid.Cid) (*Tree, error) {
	b := &builder{src: src, index: index, tree: &Tree{}, budget: nodeBudget + src.Size(), leafOf: make([]uint32, index.Len()),
		met: newBitmap(index.Len())}
	top, err := b.entry(nil, root.String(), format.Link{Cid: root}, 0)
	if err != nil {
		return nil, err
	}
	if top.Type != Directory {
		if top.Type != File {
			return nil, b.errorf(0, "", "root %s is a %s", root, top.Type)
		}
		dir := &Entry{Type: Directory, CID: root, Entries: []*Entry{top}}
		top.Parent = dir
		top = dir
	}
	top.Name = ""
	b.tree.Root = top
	b.tree.leaves = slices.Clip(b.tree.leaves)
	b.tree.sortNodes()
	b.tree.number()
	return b.tree, nil
}

type builder struct {
	src     piece.Source
	index   *piece.Index
	tree    *Tree
	budget  int64
	extents int
	leafOf  []uint32 // by a block's ordinal: the number of its leaf, plus one
	met     bitmap   // by a block's ordinal: dag-pb blocks whose places are known
}

// A node is a decoded dag-pb block.
type node struct {
	id     blockID
	block  piece.Block // of an identity CID: none, at offset 0
	raw    []byte
	links  []*format.Link
	unixfs *ft.FSNode
}

func (b *builder) errorf(offset int64, path string, reason string, args ...any) error {
	reason = fmt.Sprintf(reason, args...)
	if path != "" {
		reason = path + ": " + reason
	}
	return piece.FormatErrorf(b.src, offset, "%s", reason)
}

// entry builds what link leads to, and everything below it. parentAt is the offset of the block that holds the link.
func (b *builder) entry(parent *Entry, name string, link format.Link, parentAt int64) (*Entry, error) {
	b.tree.Count++
	e := &Entry{Name: name, Parent: parent, CID: link.Cid}
	if b.tree.Count > maxEntries {
		return nil, b.errorf(parentAt, e.Path(), "more than %d entries", maxEntries)
	}
	id, err := parseID(link.Cid)
	if err != nil {
		return nil, b.errorf(parentAt, e.Path(), "%v", err)
	}
	f := fileBuilder{builder: b, entry: e}
	if !id.dagpb {
		// The link's size is all that is known of a raw leaf that isn't there.
		err = f.raw(id, int64(min(link.Size, maxFileSize+1)), false, parentAt)
		e.Size = f.size
		return e, err
	}
	n, ok, err := b.node(id, parentAt, e)
	if err == nil && !ok {
		err = b.errorf(parentAt, e.Path(), "block %s is missing", id.cid)
	}
	if err != nil {
		return nil, err
	}
	e.Mode, e.MTime = uint16(n.unixfs.Mode().Perm()), n.unixfs.ModTime()
	switch n.unixfs.Type() {
	case ft.TFile, ft.TRaw:
		err = f.node(n, 0)
		e.Size = f.size
		e.extents = slices.Clip(e.extents)
	case ft.TSymlink:
		e.Type, e.Target = Symlink, string(n.unixfs.Data())
		e.Size = int64(len(e.Target))
		if err := checkTarget(e.Target, depth(e)); err != nil {
			return nil, b.errorf(n.block.Offset, e.Path(), "%v", err)
		}
	case ft.TDirectory, ft.THAMTShard:
		e.Type = Directory
		if depth(e) > maxDepth {
			return nil, b.errorf(n.block.Offset, e.Path(), "more than %d directories deep", maxDepth)
		}
		if n.unixfs.Type() == ft.THAMTShard {
			err = b.shard(e, n, 0)
		} else {
			err = b.children(e, n)
		}
		if err == nil {
			err = b.sort(e, n)
		}
	default:
		err = b.errorf(n.block.Offset, e.Path(), "UnixFS type %v is not supported", n.unixfs.Type())
	}
	return e, err
}

// depth is the number of directories between the root and the entry.
func depth(e *Entry) int {
	n := -1
	for ; e.Parent != nil; e = e.Parent {
		n++
	}
	return n
}

func (b *builder) children(dir *Entry, n *node) error {
	dir.Entries = make([]*Entry, 0, len(n.links))
	for _, link := range n.links {
		if err := b.child(dir, link.Name, link, n); err != nil {
			return err
		}
	}
	return nil
}

func (b *builder) child(dir *Entry, name string, link *format.Link, n *node) error {
	if err := checkName(name); err != nil {
		return b.errorf(n.block.Offset, dir.Path(), "%v", err)
	}
	e, err := b.entry(dir, strings.Clone(name), *link, n.block.Offset)
	if err != nil {
		return err
	}
	dir.Entries = append(dir.Entries, e)
	return nil
}

// shard adds the entries of one node of a sharded directory: a link's name is a slot in hexadecimal, followed by the
// entry's name, or alone when it leads to a shard below.
func (b *builder) shard(dir *Entry, n *node, level int) error {
	if level > maxShards {
		return b.errorf(n.block.Offset, dir.Path(), "more than %d shards deep", maxShards)
	}
	fanout := n.unixfs.Fanout()
	if fanout < 2 || fanout > 1<<16 {
		return b.errorf(n.block.Offset, dir.Path(), "shard with a fanout of %d", fanout)
	}
	slot := len(fmt.Sprintf("%X", fanout-1))
	for _, link := range n.links {
		if len(link.Name) < slot {
			return b.errorf(n.block.Offset, dir.Path(), "shard's link %q has no slot", link.Name)
		}
		if len(link.Name) > slot {
			if err := b.child(dir, link.Name[slot:], link, n); err != nil {
				return err
			}
			continue
		}
		id, err := parseID(link.Cid)
		if err != nil {
			return b.errorf(n.block.Offset, dir.Path(), "%v", err)
		}
		below, ok, err := b.node(id, n.block.Offset, dir)
		switch {
		case err != nil:
			return err
		case !ok:
			return b.errorf(n.block.Offset, dir.Path(), "shard %s is missing", id.cid)
		case below.unixfs.Type() != ft.THAMTShard:
			return b.errorf(below.block.Offset, dir.Path(), "a %v where a shard belongs", below.unixfs.Type())
		}
		if err := b.shard(dir, below, level+1); err != nil {
			return err
		}
	}
	return nil
}

func (b *builder) sort(dir *Entry, n *node) error {
	slices.SortFunc(dir.Entries, func(x, y *Entry) int { return strings.Compare(x.Name, y.Name) })
	for i := 1; i < len(dir.Entries); i++ {
		if dir.Entries[i].Name == dir.Entries[i-1].Name {
			return b.errorf(n.block.Offset, dir.Path(), "name %q stands twice", dir.Entries[i].Name)
		}
	}
	dir.Entries = slices.Clip(dir.Entries)
	return nil
}

// node reads, verifies and decodes a dag-pb block; it reports false if the source doesn't hold it.
func (b *builder) node(id blockID, parentAt int64, e *Entry) (*node, bool, error) {
	n := &node{id: id}
	if !id.dagpb {
		return nil, false, b.errorf(parentAt, e.Path(), "%s is not dag-pb", id.cid)
	}
	if id.hash == identity {
		n.raw = id.inline
	} else {
		var ok bool
		if n.block, ok = b.index.Find(id.cid); !ok {
			return nil, false, nil
		}
		n.raw = make([]byte, n.block.Size)
		if got, err := b.src.ReadAt(n.raw, n.block.Offset); got < len(n.raw) {
			return nil, false, b.errorf(n.block.Offset, e.Path(), "%v", err)
		}
		if id.hash.sum(n.raw) != id.digest {
			return nil, false, b.errorf(n.block.Offset, e.Path(), "block %s is corrupt", id.cid)
		}
		if b.met.set(n.block.Ordinal) {
			b.tree.nodes = append(b.tree.nodes, place{id.digest, n.block.Offset, n.block.Size, id.hash})
		}
	}
	if b.budget -= max(int64(len(n.raw)), nodeCost); b.budget < 0 {
		return nil, false, b.errorf(n.block.Offset, e.Path(), "the DAG unfolds to more than %d bytes of nodes", nodeBudget+b.src.Size())
	}
	decoded, err := merkledag.DecodeProtobuf(n.raw)
	if err == nil {
		n.links = decoded.Links()
		n.unixfs, err = ft.FSNodeFromBytes(decoded.Data())
	}
	if err != nil {
		return nil, false, b.errorf(n.block.Offset, e.Path(), "block %s is not UnixFS: %s", id.cid, oneLine(err))
	}
	return n, true, nil
}

func oneLine(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }
