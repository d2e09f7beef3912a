package unixfs

import (
	"bytes"

	ft "github.com/ipfs/boxo/ipld/unixfs"
)

// A fileBuilder lays out one file: size is what it has come to so far.
type fileBuilder struct {
	*builder
	entry *Entry
	size  int64
}

// node appends a dag-pb node of a file: its own data, then its children's, whose sizes it states.
func (f *fileBuilder) node(n *node, level int) error {
	before, at, u := f.size, n.block.Offset, n.unixfs
	if level > maxFileDepth {
		return f.fail(at, "more than %d nodes deep", maxFileDepth)
	}
	if t := u.Type(); t != ft.TFile && t != ft.TRaw {
		return f.fail(at, "a %v where a part of a file belongs", t)
	}
	sizes := u.BlockSizes()
	if len(sizes) != len(n.links) {
		return f.fail(at, "%d links with %d sizes", len(n.links), len(sizes))
	}
	if data := u.Data(); len(data) > 0 {
		// Wherever in the block the same bytes stand, they are the data.
		start := bytes.Index(n.raw, data)
		if err := f.append(n.id, leaf{offset: at, size: n.block.Size, start: uint32(start), length: uint32(len(data))},
			n.block.Ordinal, n.raw, at); err != nil {
			return err
		}
	}
	for i, link := range n.links {
		id, err := parseID(link.Cid)
		if err != nil {
			return f.fail(at, "%v", err)
		}
		size := int64(min(sizes[i], maxFileSize+1))
		if !id.dagpb {
			if err := f.raw(id, size, true, at); err != nil {
				return err
			}
			continue
		}
		start := f.size
		if err := f.child(id, size, level+1, at); err != nil {
			return err
		}
		if f.size-start != size {
			return f.fail(at, "block %s holds %d bytes of the file, stated are %d", id.cid, f.size-start, size)
		}
	}
	if stated := u.FileSize(); stated != 0 && stated != uint64(f.size-before) {
		return f.fail(at, "a file of %d bytes, stated are %d", f.size-before, stated)
	}
	return nil
}

// child appends a dag-pb node below another, size bytes of the file if it isn't there.
func (f *fileBuilder) child(id blockID, size int64, level int, at int64) error {
	ordinal, stored := f.ordinal(id)
	if before, ok := f.laidOut[ordinal]; ok && stored {
		return f.repeat(before, at)
	}
	n, ok, err := f.builder.node(id, at, f.entry)
	if err != nil {
		return err
	}
	if !ok {
		return f.absent(id, size, at)
	}
	s := stretch{entry: f.entry, from: len(f.entry.extents), at: f.size}
	if err := f.node(n, level); err != nil {
		return err
	}
	if s.to, s.size = len(f.entry.extents), f.size-s.at; stored {
		f.laidOut[ordinal] = s
	}
	return nil
}

// raw appends a raw leaf. size is what the link states of it: binding inside a file, a hint in a directory.
func (f *fileBuilder) raw(id blockID, size int64, binding bool, parentAt int64) error {
	l := leaf{size: uint32(len(id.inline))}
	ordinal := 0
	if id.hash != identity {
		block, ok := f.index.Find(id.cid)
		if !ok && !binding && size == 0 {
			return f.fail(parentAt, "block %s is missing", id.cid)
		}
		if !ok {
			return f.absent(id, size, parentAt)
		}
		l.offset, l.size, ordinal = block.Offset, block.Size, block.Ordinal
	}
	l.length = l.size
	if binding && int64(l.length) != size {
		return f.fail(parentAt, "leaf %s has %d bytes, stated are %d", id.cid, l.length, size)
	}
	return f.append(id, l, ordinal, id.inline, parentAt)
}

// absent appends size bytes that the source doesn't hold.
func (f *fileBuilder) absent(id blockID, size int64, parentAt int64) error {
	if size == 0 {
		return nil
	}
	l := leaf{offset: missing, hash: id.hash, dagpb: id.dagpb, digest: id.digest}
	f.tree.leaves = append(f.tree.leaves, l)
	return f.extend(uint32(len(f.tree.leaves)-1), size, parentAt)
}

// append adds the leaf's bytes to the file. A block that is used many times has one leaf, so that it is verified once.
// data is the block of an identity CID.
func (f *fileBuilder) append(id blockID, l leaf, ordinal int, data []byte, at int64) error {
	if l.length == 0 {
		return nil
	}
	l.hash, l.dagpb, l.digest = id.hash, id.dagpb, id.digest
	if id.hash == identity {
		if len(f.tree.inline)+len(data) > maxInline {
			return f.fail(at, "more than %d bytes in identity CIDs", maxInline)
		}
		l.offset = int64(len(f.tree.inline))
		l.size = uint32(len(data))
		f.tree.inline = append(f.tree.inline, data...)
	} else if known := f.leafOf[ordinal]; known != 0 {
		if other := &f.tree.leaves[known-1]; *other == l {
			return f.extend(known-1, int64(l.length), at)
		}
	}
	f.tree.leaves = append(f.tree.leaves, l)
	number := uint32(len(f.tree.leaves))
	if id.hash != identity {
		f.leafOf[ordinal] = number
	}
	return f.extend(number-1, int64(l.length), at)
}

func (f *fileBuilder) extend(leaf uint32, size int64, at int64) error {
	if size == 0 {
		return nil
	}
	if err := f.counts(f.entry, 1, at); err != nil {
		return err
	}
	if size > maxFileSize-f.size {
		return f.fail(at, "a file of more than %d bytes", int64(maxFileSize))
	}
	f.entry.extents = append(f.entry.extents, extent{f.size, leaf})
	f.size += size
	return nil
}

func (f *fileBuilder) fail(at int64, reason string, args ...any) error {
	return f.errorf(at, f.entry.Path(), reason, args...)
}
