package unixfs

import "sync"

const (
	// cacheBytes is what the verified leaves of one reader may hold in memory, unless minSlots of them hold more.
	cacheBytes = 32 << 20
	minSlots   = 4
	maxSlots   = 64
)

// A leafCache keeps the leaves that were verified last, so that a leaf is read and hashed once for the many reads that
// it answers. Each leaf in it has its own lock: who asks for a leaf that is being loaded waits for that load alone.
type leafCache struct {
	mu    sync.Mutex
	slots []slot
	of    map[int]*slot
	clock uint64
}

// A slot's leaf and used are guarded by the cache's lock, its data by its own.
type slot struct {
	leaf int
	used uint64
	mu   sync.RWMutex
	ok   bool
	data []byte
}

func newLeafCache(largest int) *leafCache {
	n := min(max(cacheBytes/max(largest, 1), minSlots), maxSlots)
	c := &leafCache{slots: make([]slot, n), of: make(map[int]*slot, n)}
	for i := range c.slots {
		c.slots[i].leaf = -1
	}
	return c
}

// copy fills p from a cached leaf, or reports false.
func (c *leafCache) copy(leaf int, p []byte, within int64) bool {
	c.mu.Lock()
	s := c.touch(leaf)
	c.mu.Unlock()
	return s != nil && s.copy(leaf, p, within)
}

// load fills p from a leaf, which it has fetch load into a buffer first if it isn't cached. fetch returns the buffer
// that it was given, or a larger one.
func (c *leafCache) load(leaf int, p []byte, within int64, fetch func(buf []byte) ([]byte, *Fault)) *Fault {
	c.mu.Lock()
	if s := c.touch(leaf); s != nil {
		c.mu.Unlock()
		if s.copy(leaf, p, within) {
			return nil
		}
		// The load that we waited for failed, or the slot went to another leaf meanwhile.
		c.mu.Lock()
	}
	s := c.evict(leaf)
	c.mu.Unlock()
	if s == nil {
		// Every slot is in use: rather than wait for one, load without keeping.
		data, fault := fetch(nil)
		if fault == nil {
			copy(p, data[within:])
		}
		return fault
	}
	data, fault := fetch(s.data)
	s.data, s.ok = data, fault == nil
	if fault == nil {
		copy(p, data[within:])
	}
	s.mu.Unlock()
	return fault
}

// drop forgets every leaf. Loads under way go to who waits for them, and to nobody else.
func (c *leafCache) drop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.of)
}

func (c *leafCache) touch(leaf int) *slot {
	s := c.of[leaf]
	if s != nil {
		c.clock++
		s.used = c.clock
	}
	return s
}

// evict gives the leaf the slot that was used longest ago among those that nobody holds, and returns it locked.
func (c *leafCache) evict(leaf int) *slot {
	s := c.of[leaf]
	if s == nil || !s.mu.TryLock() {
		s = nil
		for i := range c.slots {
			if t := &c.slots[i]; (s == nil || t.used < s.used) && t.mu.TryLock() {
				if s != nil {
					s.mu.Unlock()
				}
				s = t
			}
		}
	}
	if s == nil {
		return nil
	}
	if c.of[s.leaf] == s {
		delete(c.of, s.leaf)
	}
	c.clock++
	s.leaf, s.ok, s.used = leaf, false, c.clock
	c.of[leaf] = s
	return s
}

// copy waits for a load under way. s.leaf stands still while the slot is held: evict changes it under s.mu.
func (s *slot) copy(leaf int, p []byte, within int64) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.leaf != leaf || !s.ok {
		return false
	}
	copy(p, s.data[within:])
	return true
}
