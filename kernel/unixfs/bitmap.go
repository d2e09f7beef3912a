package unixfs

import "sync/atomic"

// A bitmap is a set of small numbers that many goroutines add to.
type bitmap []uint32

func newBitmap(n int) bitmap { return make(bitmap, (n+31)/32) }

func (b bitmap) has(i int) bool { return atomic.LoadUint32(&b[i/32])&(1<<(i%32)) != 0 }

// set reports whether i is new.
func (b bitmap) set(i int) bool { return atomic.OrUint32(&b[i/32], 1<<(i%32))&(1<<(i%32)) == 0 }

// clear empties it; what is set meanwhile may be cleared or not.
func (b bitmap) clear() {
	for i := range b {
		atomic.StoreUint32(&b[i], 0)
	}
}
