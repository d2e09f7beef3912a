package remote

import (
	"container/list"
	"errors"
	"io"
	"sync"
)

// Reads are answered from chunks. A read that follows another fetches ahead of itself, and a run of chunks is one
// request: walking over a CAR's headers costs a chunk each, reading it through a request for 2 MiB.
const (
	chunkSize = 64 << 10
	maxRun    = 32  // chunks of a request
	maxChunks = 512 // that are kept of all sources together: 32 MiB
)

// A cache is what the sources of a process have of chunks, and keeps those that were used last.
type cache struct {
	mu     sync.Mutex
	recent *list.List // of *chunk, the one used last in front
}

func newCache() *cache { return &cache{recent: list.New()} }

// kept is the cache of all sources: a dataset may have a thousand pieces.
var kept = newCache()

// A readAhead is a cache of a file's chunks. Fetches under way are shared by all who wait for them.
type readAhead struct {
	name  string
	size  int64
	fetch func(off int64, n int) ([]byte, error)

	*cache  // whose lock guards the rest
	chunks  map[int64]*chunk
	next    int64 // where the last read ended
	window  int   // chunks to fetch ahead
	fetches sync.WaitGroup
}

// A chunk's data and err are there once ready is closed.
type chunk struct {
	of     *readAhead
	number int64
	place  *list.Element
	ready  chan struct{}
	data   []byte
	err    error
}

func newReadAhead(name string, size int64, in *cache, fetch func(off int64, n int) ([]byte, error)) *readAhead {
	return &readAhead{name: name, size: size, fetch: fetch, chunks: map[int64]*chunk{}, cache: in}
}

func (r *readAhead) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, errors.New(r.name + ": negative offset")
	}
	if off >= r.size {
		return 0, io.EOF
	}
	var atEnd error
	if left := r.size - off; int64(len(p)) > left {
		p, atEnd = p[:left], io.EOF
	}
	done := 0
	for done < len(p) {
		// At most a run at a time, so that what a large read waits for isn't evicted before it is copied.
		part := min(len(p)-done, maxRun*chunkSize)
		for _, c := range r.want(off+int64(done), part) {
			<-c.ready
			if c.err != nil {
				return done, c.err
			}
			done += copy(p[done:], c.data[off+int64(done)-c.number*chunkSize:])
		}
	}
	return done, atEnd
}

// want returns the chunks of a range, those that are missing on their way.
func (r *readAhead) want(off int64, n int) []*chunk {
	first, last := off/chunkSize, (off+int64(n)-1)/chunkSize
	r.mu.Lock()
	defer r.mu.Unlock()
	wanted := make([]*chunk, 0, last-first+1)
	var missing []*chunk
	for number := first; number <= last; number++ {
		c, ok := r.chunks[number]
		if ok {
			r.recent.MoveToFront(c.place)
			r.start(missing)
			missing = nil
		} else {
			c = r.add(number)
			missing = append(missing, c)
		}
		wanted = append(wanted, c)
	}
	r.start(missing)
	if off != r.next {
		r.window = 0
	} else {
		r.window = min(max(2*r.window, 2), maxRun)
		r.ahead(last + 1)
	}
	r.next = off + int64(n)
	return wanted
}

// ahead fetches what follows, unless half of it is there: then it waits until a longer run is missing.
func (r *readAhead) ahead(from int64) {
	end := min(from+int64(r.window), (r.size+chunkSize-1)/chunkSize)
	for from < end && r.chunks[from] != nil {
		from++
	}
	if from >= end || end-from < int64(r.window)/2 {
		return
	}
	var missing []*chunk
	for ; from < end && r.chunks[from] == nil; from++ {
		missing = append(missing, r.add(from))
	}
	r.start(missing)
}

// keep puts the first chunk into an empty cache.
func (r *readAhead) keep(data []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(data) > 0 {
		c := r.add(0)
		c.data = data
		close(c.ready)
	}
}

func (r *readAhead) add(number int64) *chunk {
	c := &chunk{of: r, number: number, ready: make(chan struct{})}
	r.chunks[number] = c
	c.place = r.recent.PushFront(c)
	if r.recent.Len() > maxChunks {
		oldest := r.recent.Back().Value.(*chunk)
		oldest.of.drop(oldest)
	}
	return c
}

// drop forgets a chunk; who waits for it still gets it.
func (r *readAhead) drop(c *chunk) {
	if r.chunks[c.number] == c {
		delete(r.chunks, c.number)
		r.recent.Remove(c.place)
	}
}

// forget drops all chunks of a source.
func (r *readAhead) forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.chunks {
		r.drop(c)
	}
}

// start fetches a run of neighbouring chunks in one request.
func (r *readAhead) start(run []*chunk) {
	for len(run) > maxRun {
		r.start(run[:maxRun])
		run = run[maxRun:]
	}
	if len(run) == 0 {
		return
	}
	off := run[0].number * chunkSize
	n := int(min(int64(len(run))*chunkSize, r.size-off))
	r.fetches.Go(func() {
		data, err := r.fetch(off, n)
		r.mu.Lock()
		defer r.mu.Unlock()
		for i, c := range run {
			if c.err = err; err == nil {
				// A copy, so that a chunk that is kept keeps no others in memory.
				c.data = append([]byte(nil), data[i*chunkSize:min((i+1)*chunkSize, n)]...)
			} else {
				r.drop(c)
			}
			close(c.ready)
		}
	})
}
