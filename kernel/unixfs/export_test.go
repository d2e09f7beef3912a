package unixfs

import "testing"

// Bound sets other bounds until the test ends: to reach the real ones takes seconds.
func Bound(t *testing.T, entries uint64, extents int) {
	oldEntries, oldExtents := maxEntries, maxExtents
	maxEntries, maxExtents = entries, extents
	t.Cleanup(func() { maxEntries, maxExtents = oldEntries, oldExtents })
}
