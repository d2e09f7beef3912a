package unixfs

// Bounds on what a DAG may unfold to: a few bytes of CAR that link to themselves many times over may name any number of
// files and bytes. What is allowed grows with the source's size, as the links of an honest dataset do, from what every
// source may have to what fits into a machine's memory.
var (
	freeEntries, maxEntries uint64 = 1 << 18, 8 << 20
	freeExtents, maxExtents        = 1 << 20, 8 << 20
	freePaths, maxPaths     uint64 = 64 << 20, 4 << 30 // bytes of all paths together
)

const (
	// bytesOfEntry is less than a directory's link to an entry takes, bytesOfExtent than a file's to a leaf.
	bytesOfEntry  = 4
	bytesOfExtent = 4
	// pathsOfByte is by how much paths may be longer than the links that they are made of.
	pathsOfByte = 16

	maxInline   = 64 << 20
	maxFileSize = 1 << 50
	maxBytes    = 1 << 60 // of all files, so that no sum of them overflows
	// maxPath is the longest path below the root, as Linux takes them (PATH_MAX).
	maxPath = 4095
	// nodeBudget bounds the bytes of dag-pb nodes that are read beyond the source's size, each at nodeCost at least.
	nodeBudget = 2 << 30
	nodeCost   = 512
	// maxShards bounds the depth of a sharded directory, maxFileDepth that of a file.
	maxShards    = 64
	maxFileDepth = 64
)

// limits are the bounds for one source.
type limits struct {
	entries uint64
	extents int
	paths   uint64
}

func limitsFor(size int64) limits {
	return limits{
		entries: min(maxEntries, freeEntries+uint64(size)/bytesOfEntry),
		extents: min(maxExtents, freeExtents+int(size/bytesOfExtent)),
		paths:   min(maxPaths, freePaths+uint64(size)*pathsOfByte),
	}
}
