package unixfs

// A subtree is what is below a directory; paths are relative to it.
type subtree struct {
	entries uint64 // directories, files, symlinks
	paths   uint64 // bytes of all paths
	longest int    // path
	height  int    // directories below each other
	extents int    // of files
	bytes   int64  // of files and targets
}

// add counts an entry, and what is below it.
func (s *subtree) add(e *Entry, below subtree) {
	name := len(e.Name)
	s.entries += 1 + below.entries
	s.extents += len(e.extents) + below.extents
	s.bytes += e.Size + below.bytes
	s.paths += uint64(name) + below.entries*uint64(name+1) + below.paths
	s.longest = max(s.longest, name)
	if below.entries > 0 {
		s.longest = max(s.longest, name+1+below.longest)
	}
	if e.Type == Directory {
		s.height = max(s.height, 1+below.height)
	}
}

// A built entry is the first that was built of a block: when the block is met again, its parts are taken from there, and
// neither read nor decoded anew.
type built struct {
	entry *Entry
	below subtree
}

// admit counts an entry and what is below it, before any of it is made.
func (b *builder) admit(e *Entry, below subtree, at int64) error {
	length := pathLength(e)
	longest := length
	if below.entries > 0 {
		longest += 1 + below.longest
	}
	b.tree.Count += 1 + below.entries
	b.paths += uint64(length) + below.entries*uint64(length+1) + below.paths
	switch {
	case b.tree.Count > b.limits.entries:
		return b.errorf(at, e.Path(), "the DAG unfolds to more than %d entries, which is the limit for %d bytes of CAR", b.limits.entries, b.src.Size())
	case longest > maxPath:
		return b.errorf(at, "", "%.100q…: a path of %d bytes, more than %d", e.Path(), longest, maxPath)
	case b.paths > b.limits.paths:
		return b.errorf(at, e.Path(), "the DAG unfolds to more than %d bytes of paths, which is the limit for %d bytes of CAR", b.limits.paths, b.src.Size())
	}
	return nil
}

// counts that files go on in so many leaves more.
func (b *builder) counts(e *Entry, extents int, at int64) error {
	if b.extents += extents; b.extents > b.limits.extents {
		return b.errorf(at, e.Path(), "the DAG unfolds to more than %d leaves, which is the limit for %d bytes of CAR", b.limits.extents, b.src.Size())
	}
	return nil
}

// holds counts bytes of files.
func (b *builder) holds(e *Entry, bytes, at int64) error {
	if b.bytes += bytes; b.bytes > maxBytes {
		return b.errorf(at, e.Path(), "the DAG unfolds to files of more than %d bytes", int64(maxBytes))
	}
	return nil
}

// pathLength is len(e.Path()).
func pathLength(e *Entry) int {
	n := 0
	for ; e.Parent != nil; e = e.Parent {
		n += len(e.Name) + 1
	}
	return max(n-1, 0)
}

// again makes e what the first entry of its block is.
func (b *builder) again(e *Entry, first built, at int64) (subtree, error) {
	err := b.admit(e, first.below, at)
	if err == nil {
		err = b.counts(e, len(first.entry.extents)+first.below.extents, at)
	}
	if err == nil {
		err = b.holds(e, first.entry.Size+first.below.bytes, at)
	}
	if err != nil {
		return subtree{}, err
	}
	if e.Type = first.entry.Type; e.Type == Directory && depth(e)+first.below.height > maxDepth {
		return subtree{}, b.errorf(at, e.Path(), "more than %d directories deep", maxDepth)
	}
	return first.below, b.copy(e, first.entry, at)
}

// copy fills e, which has a name and a place, from another entry of the same block.
func (b *builder) copy(e, from *Entry, at int64) error {
	name, parent := e.Name, e.Parent
	*e = *from
	e.Name, e.Parent, e.Entries = name, parent, nil
	if e.Type == Symlink {
		if err := checkTarget(e.Target, depth(e)); err != nil {
			return b.errorf(at, e.Path(), "%v", err)
		}
	}
	if len(from.Entries) == 0 {
		return nil
	}
	copies := make([]Entry, len(from.Entries))
	e.Entries = make([]*Entry, len(from.Entries))
	for i, child := range from.Entries {
		copies[i].Name, copies[i].Parent = child.Name, e
		e.Entries[i] = &copies[i]
		if err := b.copy(e.Entries[i], child, at); err != nil {
			return err
		}
	}
	return nil
}

// A stretch is the extents that a node of a file has come to, where they were first laid out.
type stretch struct {
	entry    *Entry
	from, to int
	at, size int64
}

// repeat appends what a node has come to before.
func (f *fileBuilder) repeat(s stretch, at int64) error {
	if s.size > maxFileSize-f.size {
		return f.fail(at, "a file of more than %d bytes", int64(maxFileSize))
	}
	if err := f.counts(f.entry, s.to-s.from, at); err != nil {
		return err
	}
	for _, x := range s.entry.extents[s.from:s.to] {
		f.entry.extents = append(f.entry.extents, extent{f.size + x.at - s.at, x.leaf})
	}
	f.size += s.size
	return nil
}
