// Package unixfs reads and writes directory trees in UnixFS (https://specs.ipfs.tech/unixfs/): which bytes of which
// blocks make up each file of a dataset.
package unixfs

import (
	"slices"
	"strings"
	"time"

	"github.com/ipfs/go-cid"
)

// Type is what an entry of a tree is.
type Type uint8

const (
	File Type = iota
	Directory
	Symlink
)

func (t Type) String() string { return [...]string{"file", "directory", "symlink"}[t] }

// A Tree is one dataset: its entries and the leaves that hold their bytes. It doesn't change once built.
type Tree struct {
	Root *Entry
	// Count is the number of entries, the root included; their numbers run from 1 to it.
	Count  uint64
	leaves []leaf
	nodes  []place // sorted
	inline []byte  // bytes of identity CIDs, which have no block
}

// An Entry is a file, directory or symlink. Names are valid for a path: no "/", no NUL, neither "." nor "..".
type Entry struct {
	Name    string
	Parent  *Entry // nil for the root
	Number  uint64 // unique in its tree; the root's is 1
	Type    Type
	Mode    uint16    // permission bits, 0 if none are stored; whoever shows them decides which of them count
	MTime   time.Time // zero if none is stored
	CID     cid.Cid
	Size    int64    // of a file's content or a symlink's target
	Target  string   // of a symlink: relative, and never out of the tree
	Entries []*Entry // of a directory, sorted by name
	extents []extent
}

// An extent says that a file goes on in a leaf from an offset, up to the next extent or the file's end.
type extent struct {
	at   int64
	leaf uint32
}

// Path is the entry's path from the root, without a leading slash; the root's is empty.
func (e *Entry) Path() string {
	var names []string
	for ; e.Parent != nil; e = e.Parent {
		names = append(names, e.Name)
	}
	slices.Reverse(names)
	return strings.Join(names, "/")
}

// Child finds an entry of a directory by name.
func (e *Entry) Child(name string) (*Entry, bool) {
	i, ok := slices.BinarySearchFunc(e.Entries, name, func(e *Entry, name string) int { return strings.Compare(e.Name, name) })
	if !ok {
		return nil, false
	}
	return e.Entries[i], true
}

// Lookup finds an entry by its path from the root, without following symlinks.
func (t *Tree) Lookup(path string) (*Entry, bool) {
	e := t.Root
	for name := range strings.SplitSeq(path, "/") {
		if name == "" || name == "." {
			continue
		}
		var ok bool
		if e, ok = e.Child(name); !ok {
			return nil, false
		}
	}
	return e, true
}

// Walk calls visit for every entry below the root, each directory before its entries, in order of names.
func (t *Tree) Walk(visit func(*Entry) error) error { return t.Root.Walk(visit) }

// Walk does the same below an entry.
func (e *Entry) Walk(visit func(*Entry) error) error {
	for _, child := range e.Entries {
		if err := visit(child); err != nil {
			return err
		}
		if err := child.Walk(visit); err != nil {
			return err
		}
	}
	return nil
}
