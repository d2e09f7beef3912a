package unixfs

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/ipfs/go-cid"
)

// maxBlock is the largest block of a CAR that is taken, see piece.WalkCAR.
const maxBlock = 8 << 20

// errStored is what Load says of every tree that Store didn't write.
var errStored = errors.New("not a stored tree")

// Load reads a tree that Store wrote, length bytes of it, over a source of the given size. It takes no place, name or
// link that Build would not have made, whatever the bytes are, and no more memory than they are worth.
func Load(r io.Reader, length, sourceSize int64) (*Tree, error) {
	l := &loading{r: r, left: length, sourceSize: sourceSize, tree: &Tree{}}
	err := l.load()
	if err == nil && l.left != 0 {
		err = l.errorf("%d bytes are left", l.left)
	}
	if err != nil {
		return nil, err
	}
	return l.tree, nil
}

type loading struct {
	r          io.Reader
	left       int64
	sourceSize int64
	tree       *Tree
	buf        []byte
	entries    []Entry
	extents    []extent
	children   []*Entry // each entry but the root, in the order of numbers
	depth      []uint8
	bytes      int64
}

func (l *loading) errorf(format string, args ...any) error {
	return fmt.Errorf("%w: %s", errStored, fmt.Sprintf(format, args...))
}

// next is the next n bytes, valid until the next call.
func (l *loading) next(n int) ([]byte, error) {
	if int64(n) > l.left {
		return nil, l.errorf("truncated")
	}
	if cap(l.buf) < n {
		l.buf = make([]byte, n)
	}
	l.left -= int64(n)
	_, err := io.ReadFull(l.r, l.buf[:n])
	return l.buf[:n], err
}

// count takes a number of rows that can still follow.
func (l *loading) count(row []byte, i int, size int64) (int, error) {
	n := binary.LittleEndian.Uint64(row[8*i:])
	if n > uint64(l.left/size) || n > 1<<31 {
		return 0, l.errorf("%d rows of %d bytes in %d", n, size, l.left)
	}
	return int(n), nil
}

func (l *loading) load() error {
	row, err := l.next(countsSize)
	if err != nil {
		return err
	}
	var counts [5]int
	for i, size := range [...]int64{leafSizeAt, nodeSizeAt, 1, entrySize, extentSize} {
		if counts[i], err = l.count(row, i, size); err != nil {
			return err
		}
	}
	t := l.tree
	t.leaves, t.nodes, t.inline = make([]leaf, counts[0]), make([]place, counts[1]), make([]byte, counts[2])
	for i := range t.leaves {
		if err := l.leaf(&t.leaves[i]); err != nil {
			return err
		}
	}
	for i := range t.nodes {
		if err := l.node(i); err != nil {
			return err
		}
	}
	inline, err := l.next(counts[2])
	if err != nil {
		return err
	}
	copy(t.inline, inline)
	return l.all(counts[3], counts[4])
}

func (l *loading) leaf(out *leaf) error {
	row, err := l.next(leafSizeAt)
	if err != nil {
		return err
	}
	le := binary.LittleEndian
	*out = leaf{offset: int64(le.Uint64(row)), size: le.Uint32(row[8:]), start: le.Uint32(row[12:]), length: le.Uint32(row[16:]),
		hash: hashFunc(row[20]), dagpb: row[21] == 1, digest: [32]byte(row[22:])}
	end := l.sourceSize
	switch {
	case out.hash > identity || row[21] > 1:
		return l.errorf("leaf with hash function %d", out.hash)
	case out.offset == missing:
		if out.size != 0 || out.start != 0 || out.length != 0 || out.hash == identity {
			return l.errorf("missing leaf of %d bytes", out.size)
		}
		return nil
	case out.hash == identity:
		end = int64(len(l.tree.inline))
	}
	if out.size > maxBlock && out.hash != identity || !within(out.offset, out.size, end) {
		return l.errorf("leaf of %d bytes at %d", out.size, out.offset)
	}
	if out.length == 0 || uint64(out.start)+uint64(out.length) > uint64(out.size) {
		return l.errorf("leaf with %d bytes at %d of %d", out.length, out.start, out.size)
	}
	return nil
}

func (l *loading) node(i int) error {
	row, err := l.next(nodeSizeAt)
	if err != nil {
		return err
	}
	le, nodes := binary.LittleEndian, l.tree.nodes
	nodes[i] = place{digest: [32]byte(row), offset: int64(le.Uint64(row[32:])), size: le.Uint32(row[40:]), hash: hashFunc(row[44])}
	if p := &nodes[i]; p.hash >= identity || p.size > maxBlock || !within(p.offset, p.size, l.sourceSize) {
		return l.errorf("node of %d bytes at %d", p.size, p.offset)
	}
	if i > 0 && nodes[i-1].compare(nodes[i]) >= 0 {
		return l.errorf("nodes out of order")
	}
	return nil
}

func within(offset int64, size uint32, end int64) bool {
	return offset >= 0 && offset <= end-int64(size)
}

// all reads the entries. Each directory's lie together, behind those of the directories before it.
func (l *loading) all(entries, extents int) error {
	if entries == 0 {
		return l.errorf("no root")
	}
	l.entries, l.extents = make([]Entry, entries), make([]extent, 0, extents)
	l.children, l.depth = make([]*Entry, entries-1), make([]uint8, entries)
	for i := range l.children {
		l.children[i] = &l.entries[i+1]
	}
	given := 1
	for i := range l.entries {
		e := &l.entries[i]
		if i >= given {
			return l.errorf("entry %d is in no directory", i+1)
		}
		count, err := l.entry(e, i)
		if err != nil {
			return err
		}
		if e.Type != Directory {
			continue
		}
		if count > entries-given {
			return l.errorf("directory of %d entries", count)
		}
		e.Entries = l.children[given-1 : given-1+count : given-1+count]
		for k := range e.Entries {
			e.Entries[k].Parent, l.depth[given+k] = e, l.depth[i]+1
		}
		given += count
	}
	l.tree.Root, l.tree.Count = &l.entries[0], uint64(entries)
	if e, err := l.tree.checkSymlinks(); err != nil {
		return l.errorf("symlink %q: %v", e.Name, err)
	}
	return nil
}

// entry reads one entry, whose parent is known, and its extents. It returns the number of its children.
func (l *loading) entry(e *Entry, i int) (int, error) {
	row, err := l.next(entrySize)
	if err != nil {
		return 0, err
	}
	le := binary.LittleEndian
	e.Number, e.Type, e.Mode = uint64(i+1), Type(row[0]), le.Uint16(row[2:])
	e.Size = int64(le.Uint64(row[4:]))
	seconds, nanos := int64(le.Uint64(row[12:])), le.Uint32(row[20:])
	if row[1]&^hasTime != 0 || nanos > 999_999_999 || e.Mode > 0o777 || e.Type > Symlink || e.Size < 0 || e.Size > maxFileSize {
		return 0, l.errorf("entry %d is malformed", i+1)
	}
	if l.bytes += e.Size; l.bytes > maxBytes {
		return 0, l.errorf("files of more than %d bytes", int64(maxBytes))
	}
	if row[1] == hasTime {
		e.MTime = time.Unix(seconds, int64(nanos))
	}
	count := le.Uint32(row[24:])
	name, target, id := int(le.Uint16(row[28:])), int(le.Uint16(row[30:])), int64(le.Uint32(row[32:]))
	if id > l.left {
		return 0, l.errorf("truncated")
	}
	if row, err = l.next(name + target + int(id)); err != nil {
		return 0, err
	}
	e.Name, e.Target = string(row[:name]), string(row[name:name+target])
	if e.CID, err = cid.Cast(row[name+target:]); err != nil {
		return 0, l.errorf("entry %d: %v", i+1, err)
	}
	if err := l.place(e, i); err != nil {
		return 0, err
	}
	if e.Type == File {
		return 0, l.file(e, int(count))
	}
	if e.Type == Symlink && count != 0 || int64(count) > l.left {
		return 0, l.errorf("%s of %d entries", e.Type, count)
	}
	return int(count), nil
}

// place checks what an entry is called, and where it stands.
func (l *loading) place(e *Entry, i int) error {
	if i == 0 {
		if e.Type != Directory || e.Name != "" {
			return l.errorf("the root is %s %q", e.Type, e.Name)
		}
		return nil
	}
	if err := checkName(e.Name); err != nil {
		return l.errorf("%v", err)
	}
	if before := &l.entries[i-1]; before.Parent == e.Parent && before.Name >= e.Name {
		return l.errorf("name %q out of order", e.Name)
	}
	switch {
	case e.Type == Directory && (l.depth[i] > maxDepth+1 || e.Size != 0):
		return l.errorf("directory %q is too deep", e.Name)
	case e.Type != Symlink && e.Target != "":
		return l.errorf("%s with a target", e.Type)
	case e.Type == Symlink:
		if err := checkTarget(e.Target, depth(e)); err != nil || e.Size != int64(len(e.Target)) {
			return l.errorf("symlink %q: %v", e.Name, err)
		}
	}
	return nil
}

// file reads a file's extents: they cover it, each with just what its leaf holds.
func (l *loading) file(e *Entry, count int) error {
	if count > cap(l.extents)-len(l.extents) || int64(count) > l.left/extentSize || (count == 0) != (e.Size == 0) {
		return l.errorf("file of %d bytes in %d extents", e.Size, count)
	}
	rows, err := l.next(count * extentSize)
	if err != nil {
		return err
	}
	first := len(l.extents)
	for k := range count {
		row := rows[k*extentSize:]
		x := extent{int64(binary.LittleEndian.Uint64(row)), binary.LittleEndian.Uint32(row[8:])}
		end := e.Size
		if k+1 < count {
			end = int64(binary.LittleEndian.Uint64(row[extentSize:]))
		}
		if k == 0 && x.at != 0 || end <= x.at || end > e.Size || int64(x.leaf) >= int64(len(l.tree.leaves)) {
			return l.errorf("extent from %d to %d of %d in leaf %d", x.at, end, e.Size, x.leaf)
		}
		if leaf := &l.tree.leaves[x.leaf]; leaf.offset != missing && int64(leaf.length) != end-x.at {
			return l.errorf("extent of %d bytes in a leaf of %d", end-x.at, leaf.length)
		}
		l.extents = append(l.extents, x)
	}
	e.extents = l.extents[first:len(l.extents):len(l.extents)]
	return nil
}
