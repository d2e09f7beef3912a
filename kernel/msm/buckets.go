package msm

// sorted are the points of one window by their digit's magnitude: bucket b has those of starts[b] to starts[b+1].
type sorted struct {
	entries []uint32 // a point's index * 64, and in bit 0 its sign
	starts  []uint32
	next    []uint32
}

// fill sorts a window's digits.
func (s *sorted) fill(by *scalars, window int) {
	digits := by.windows[window]
	buckets := 1 << (by.bits - 1)
	s.starts = sized(s.starts, buckets+1)
	s.next = sized(s.next, buckets)
	clear(s.starts)
	counts := s.starts[1:]
	for _, d := range digits {
		if d != noDigit {
			counts[d>>1]++
		}
	}
	var sum uint32
	for b := range counts {
		s.next[b] = sum
		sum += counts[b]
		counts[b] = sum
	}
	s.entries = sized(s.entries, int(sum))
	next, entries := s.next, s.entries
	for i, d := range digits {
		if d != noDigit {
			b := d >> 1
			entries[next[b]] = uint32(i)<<rowShift | uint32(d&1)
			next[b]++
		}
	}
}

// sized gives n elements of unknown content, in s where they fit.
func sized[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	return s[:n]
}

// chunkEntries is how many points are summed to their buckets at a time: their rows stay in the third-level cache.
const chunkEntries = 1 << 16

// segment is a run of points of one bucket.
type segment struct{ bucket, start, count uint32 }

// summer sums the points of a window. Not for concurrent use.
type summer[P, J any] struct {
	adder            *adder[P, J]
	rows             []P // the buckets, one spare row, and room for sums in between
	entries          []uint32
	segments, remain []segment
	pairs            list
}

func newSummer[P, J any](g *group[P, J]) *summer[P, J] { return &summer[P, J]{adder: newAdder(g)} }

// window gives the sum over the window's points of digit * point.
func (s *summer[P, J]) window(points []P, places Places, by *sorted) J {
	buckets := len(by.starts) - 1
	for buckets > 0 && by.starts[buckets] == by.starts[buckets-1] {
		buckets--
	}
	s.rows = sized(s.rows, max(buckets+1+2*chunkEntries, 5*buckets)) // more is taken where one bucket needs it
	for b := 0; b < buckets; {
		s.entries, s.segments = s.entries[:0], s.segments[:0]
		for ; b < buckets && len(s.entries) < chunkEntries; b++ {
			s.take(points, places, by.entries[by.starts[b]:by.starts[b+1]], uint32(b))
		}
		s.chunk(points, buckets)
	}
	return s.weighted(buckets)
}

// take appends a bucket's points to the chunk.
func (s *summer[P, J]) take(points []P, places Places, entries []uint32, bucket uint32) {
	start := len(s.entries)
	s.entries = append(s.entries, entries...)
	if places != nil {
		kept := s.entries[start:]
		n := 0
		for _, e := range entries {
			at := places[e>>rowShift]
			kept[n] = at | e&1
			if at != nowhere {
				n++
			}
		}
		s.entries = s.entries[:start+n]
	}
	switch count := len(s.entries) - start; count {
	case 0:
		var infinity P
		s.rows[bucket] = infinity
	case 1:
		s.rows[bucket] = s.signed(points, s.entries[start])
		s.entries = s.entries[:start]
	default:
		s.segments = append(s.segments, segment{bucket, uint32(start), uint32(count)})
	}
}

func (s *summer[P, J]) signed(points []P, entry uint32) P {
	p := points[entry>>rowShift]
	if entry&1 != 0 {
		s.adder.group.negate(&p)
	}
	return p
}

// chunk adds the points of each segment in rounds: in one, neighbours make pairs. The sums go to one of two rooms in turn,
// the last one of a segment to its bucket.
func (s *summer[P, J]) chunk(points []P, buckets int) {
	spare, half := buckets, len(s.entries)/2+len(s.segments)
	if need := spare + 1 + 2*half; need > len(s.rows) {
		rows := make([]P, need)
		copy(rows, s.rows[:spare])
		s.rows = rows
	}
	rooms := [2]int{spare + 1, spare + 1 + half}
	from := points
	for round := 0; len(s.segments) > 0; round++ {
		s.pairs.sized(half)
		s.remain = s.remain[:0]
		at, n := uint32(rooms[round%2]), 0
		for _, g := range s.segments {
			couples := int(g.count / 2)
			a, b, to := s.pairs.a[n:n+couples], s.pairs.b[n:n+couples], s.pairs.to[n:n+couples]
			n += couples
			if round == 0 {
				entries := s.entries[g.start : g.start+g.count]
				for i := range a {
					a[i], b[i] = entries[2*i], entries[2*i+1]
				}
			} else {
				entry := g.start << rowShift
				for i := range a {
					a[i], b[i] = entry, entry+1<<rowShift
					entry += 2 << rowShift
				}
			}
			if g.count == 2 {
				to[0] = g.bucket << rowShift
				continue
			}
			start := at
			for i := range to {
				to[i] = at << rowShift
				at++
			}
			if g.count%2 == 1 {
				last := g.start + g.count - 1
				if round == 0 {
					s.rows[at] = s.signed(points, s.entries[last])
				} else {
					s.rows[at] = s.rows[last]
				}
				at++
			}
			s.remain = append(s.remain, segment{g.bucket, start, at - start})
		}
		s.pairs.sized(n)
		s.adder.add(from, from, s.rows, &s.pairs, uint32(spare))
		s.segments, s.remain = s.remain, s.segments
		from = s.rows
	}
}
