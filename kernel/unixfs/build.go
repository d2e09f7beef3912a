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

// Build unfolds the UnixFS DAG under root into a tree. It reads and verifies every dag-pb node and no raw leaf. A file
// may lack blocks, of which the rest is read all the same; a directory may not. A root that is a file becomes the only
// entry of a directory, named by its CID. Errors name the source, the offset of the block and the path.
func Build(src piece.Source, index *piece.Index, root cid.Cid) (*Tree, error) {
	b := &builder{src: src, index: index, tree: &Tree{}, limits: limitsFor(src.Size()), budget: nodeBudget + src.Size(),
		leafOf: make([]uint32, index.Len()), met: newBitmap(index.Len()), built: map[int]built{}, laidOut: map[int]stretch{}}
	top, _, err := b.entry(nil, root.String(), format.Link{Cid: root}, 0)
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
	if e, err := b.tree.checkSymlinks(); err != nil {
		// Its own block, wherever that is: a copy of it may lead elsewhere.
		block, _ := b.index.Find(e.CID)
		return nil, b.errorf(block.Offset, e.Path(), "%v", err)
	}
	b.tree.leaves = slices.Clip(b.tree.leaves)
	b.tree.sortNodes()
	b.tree.number()
	return b.tree, nil
}

type builder struct {
	src     piece.Source
	index   *piece.Index
	tree    *Tree
	limits  limits
	budget  int64
	extents int
	paths   uint64          // bytes
	bytes   int64           // of files
	leafOf  []uint32        // by a block's ordinal: the number of its leaf, plus one
	met     bitmap          // by a block's ordinal: dag-pb blocks whose places are known
	built   map[int]built   // by a block's ordinal: entries of dag-pb blocks
	laidOut map[int]stretch // by a block's ordinal: nodes of files
}

// A node is a decoded dag-pb block.
type node struct {
	id     blockID
	block  piece.Block // of an identity CID: none, at offset 0
	raw    []byte
	links  []*format.Link
	unixfs *ft.FSNode
	data   []byte // that unixfs was decoded from
}

func (b *builder) errorf(offset int64, path string, reason string, args ...any) error {
	reason = fmt.Sprintf(reason, args...)
	if path != "" {
		reason = path + ": " + reason
	}
	return piece.FormatErrorf(b.src, offset, "%s", reason)
}

// entry builds what link leads to, and everything below it, which it counts. parentAt is the offset of the block that holds
// the link.
func (b *builder) entry(parent *Entry, name string, link format.Link, parentAt int64) (*Entry, subtree, error) {
	e := &Entry{Name: name, Parent: parent, CID: link.Cid}
	below := subtree{}
	id, err := parseID(link.Cid)
	if err != nil {
		return nil, below, b.errorf(parentAt, e.Path(), "%v", err)
	}
	ordinal, stored := b.ordinal(id)
	if first, ok := b.built[ordinal]; ok && stored && id.dagpb {
		below, err = b.again(e, first, parentAt)
		return e, below, err
	}
	if err := b.admit(e, below, parentAt); err != nil {
		return nil, below, err
	}
	f := fileBuilder{builder: b, entry: e}
	if !id.dagpb {
		// The link's size is all that is known of a raw leaf that isn't there.
		if err = f.raw(id, int64(min(link.Size, maxFileSize+1)), false, parentAt); err == nil {
			e.Size = f.size
			err = b.holds(e, e.Size, parentAt)
		}
		return e, below, err
	}
	n, ok, err := b.node(id, parentAt, e)
	if err == nil && !ok {
		err = b.errorf(parentAt, e.Path(), "block %s is missing", id.cid)
	}
	if err != nil {
		return nil, below, err
	}
	below, err = b.fill(e, n)
	if err == nil && stored {
		b.built[ordinal] = built{e, below}
	}
	return e, below, err
}

// ordinal is the number of a block, if it is one that the source holds.
func (b *builder) ordinal(id blockID) (int, bool) {
	if id.hash == identity {
		return -1, false
	}
	block, ok := b.index.Find(id.cid)
	return block.Ordinal, ok
}

// fill makes an entry of its node.
func (b *builder) fill(e *Entry, n *node) (below subtree, err error) {
	e.Mode, e.MTime = uint16(n.unixfs.Mode().Perm()), modTime(n.data)
	switch n.unixfs.Type() {
	case ft.TFile, ft.TRaw:
		f := fileBuilder{builder: b, entry: e}
		if err = f.node(n, 0); err == nil {
			e.Size = f.size
			e.extents = slices.Clip(e.extents)
			err = b.holds(e, e.Size, n.block.Offset)
		}
	case ft.TSymlink:
		e.Type, e.Target = Symlink, string(n.unixfs.Data())
		e.Size = int64(len(e.Target))
		if err := checkTarget(e.Target, depth(e)); err != nil {
			return below, b.errorf(n.block.Offset, e.Path(), "%v", err)
		}
	case ft.TDirectory, ft.THAMTShard:
		e.Type = Directory
		if depth(e) > maxDepth {
			return below, b.errorf(n.block.Offset, e.Path(), "more than %d directories deep", maxDepth)
		}
		d := dirBuilder{builder: b, dir: e, below: &below}
		if n.unixfs.Type() == ft.THAMTShard {
			err = d.shard(n, 0)
		} else {
			err = d.children(n)
		}
		if err == nil {
			err = d.sort(n)
		}
	default:
		err = b.errorf(n.block.Offset, e.Path(), "UnixFS type %v is not supported", n.unixfs.Type())
	}
	return below, err
}

// depth is the number of directories between the root and the entry.
func depth(e *Entry) int {
	n := -1
	for ; e.Parent != nil; e = e.Parent {
		n++
	}
	return n
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
		n.data = decoded.Data()
		n.unixfs, err = ft.FSNodeFromBytes(n.data)
	}
	if err != nil {
		return nil, false, b.errorf(n.block.Offset, e.Path(), "block %s is not UnixFS: %s", id.cid, oneLine(err))
	}
	return n, true, nil
}

func oneLine(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }
