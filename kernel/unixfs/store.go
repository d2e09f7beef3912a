package unixfs

import (
	"encoding/binary"
	"io"
)

// The stored form of a tree, all numbers little-endian:
//
//	counts   u64 leaves, nodes, bytes inline, entries, extents
//	leaves   54 bytes each: i64 offset, u32 size, start, length, u8 hash, dag-pb, 32 bytes digest
//	nodes    45 bytes each, sorted: 32 bytes digest, i64 offset, u32 size, u8 hash
//	inline   the bytes of identity CIDs
//	entries  in the order of their numbers: u8 type, u8 flags, u16 mode, i64 size, i64 seconds and u32 nanoseconds of the
//	         modification time, u32 count of children or extents, u16 lengths of the name and the target, u32 of the CID;
//	         these; and the extents, 12 bytes each: i64 offset in the file, u32 leaf
const (
	countsSize = 5 * 8
	leafSizeAt = 54
	nodeSizeAt = 45
	entrySize  = 36
	extentSize = 12
)

// hasTime is the flag of an entry with a modification time.
const hasTime = 1

// Store writes the tree in the form that Load reads.
func (t *Tree) Store(w io.Writer) error {
	extents := 0
	_ = t.Walk(func(e *Entry) error {
		extents += len(e.extents)
		return nil
	})
	s := storing{w: w}
	for _, n := range []int{len(t.leaves), len(t.nodes), len(t.inline), int(t.Count), extents} {
		s.row = binary.LittleEndian.AppendUint64(s.row, uint64(n))
	}
	s.flush()
	for i := range t.leaves {
		s.leaf(&t.leaves[i])
	}
	for i := range t.nodes {
		s.node(&t.nodes[i])
	}
	s.row = append(s.row, t.inline...)
	s.flush()
	for level := []*Entry{t.Root}; len(level) > 0; {
		var below []*Entry
		for _, e := range level {
			s.entry(e)
			below = append(below, e.Entries...)
		}
		level = below
	}
	return s.err
}

// A storing keeps the first failure of its writer.
type storing struct {
	w   io.Writer
	row []byte
	err error
}

func (s *storing) flush() {
	if s.err == nil {
		_, s.err = s.w.Write(s.row)
	}
	s.row = s.row[:0]
}

func (s *storing) leaf(l *leaf) {
	le := binary.LittleEndian
	s.row = le.AppendUint64(s.row, uint64(l.offset))
	s.row = le.AppendUint32(s.row, l.size)
	s.row = le.AppendUint32(s.row, l.start)
	s.row = le.AppendUint32(s.row, l.length)
	s.row = append(s.row, byte(l.hash), 0)
	if l.dagpb {
		s.row[len(s.row)-1] = 1
	}
	s.row = append(s.row, l.digest[:]...)
	s.flush()
}

func (s *storing) node(p *place) {
	s.row = append(s.row, p.digest[:]...)
	s.row = binary.LittleEndian.AppendUint64(s.row, uint64(p.offset))
	s.row = binary.LittleEndian.AppendUint32(s.row, p.size)
	s.row = append(s.row, byte(p.hash))
	s.flush()
}

func (s *storing) entry(e *Entry) {
	le := binary.LittleEndian
	flags, seconds, nanos := byte(0), int64(0), 0
	if !e.MTime.IsZero() {
		flags, seconds, nanos = hasTime, e.MTime.Unix(), e.MTime.Nanosecond()
	}
	id := e.CID.KeyString()
	s.row = append(s.row, byte(e.Type), flags)
	s.row = le.AppendUint16(s.row, e.Mode)
	s.row = le.AppendUint64(s.row, uint64(e.Size))
	s.row = le.AppendUint64(s.row, uint64(seconds))
	s.row = le.AppendUint32(s.row, uint32(nanos))
	s.row = le.AppendUint32(s.row, uint32(len(e.Entries)+len(e.extents)))
	s.row = le.AppendUint16(s.row, uint16(len(e.Name)))
	s.row = le.AppendUint16(s.row, uint16(len(e.Target)))
	s.row = le.AppendUint32(s.row, uint32(len(id)))
	s.row = append(append(append(s.row, e.Name...), e.Target...), id...)
	for _, x := range e.extents {
		s.row = le.AppendUint64(s.row, uint64(x.at))
		s.row = le.AppendUint32(s.row, x.leaf)
	}
	s.flush()
}
