package msm

import "math/bits"

const (
	weighRuns = 512 // runs of buckets that are summed side by side
	weighFew  = 64  // buckets that are not worth it
)

// weighted gives the sum of (b+1) * bucket b, from rows[:buckets].
//
// The buckets are cut into runs of equal, even length, a power of two. In each run, from its end, running sums up the
// buckets and total the values that running takes: total is then the run's own weighted sum, and running its plain one.
func (s *summer[P, J]) weighted(buckets int) J {
	if buckets <= weighFew {
		return s.horner(s.rows[:buckets])
	}
	length := max(2, 1<<bits.Len(uint((buckets-1)/weighRuns)))
	runs := (buckets + length - 1) / length
	s.rows = grown(s.rows, buckets, runs*length+3*runs+1)
	running := [2]uint32{uint32(runs * length), uint32(runs*length + runs)}
	total := uint32(runs*length + 2*runs)
	spare := total + uint32(runs)

	// The first two steps only add buckets: total begins as what running was after the first.
	for r := range uint32(runs) {
		last := s.rows[r*uint32(length)+uint32(length)-1]
		s.rows[running[0]+r], s.rows[total+r] = last, last
	}
	for step := 1; step <= length; step++ {
		s.pairs.clear()
		for r := range uint32(runs) {
			if step > 1 {
				s.pairs.append((total+r)<<rowShift, (running[0]+r)<<rowShift, (total+r)<<rowShift)
			}
			if step < length {
				bucket := (r+1)*uint32(length) - 1 - uint32(step)
				s.pairs.append((running[0]+r)<<rowShift, bucket<<rowShift, (running[1]+r)<<rowShift)
			}
		}
		s.adder.add(s.rows, s.rows, s.rows, &s.pairs, spare)
		if step < length {
			running[0], running[1] = running[1], running[0]
		}
	}

	// Run r's plain sum counts r*length times more.
	g := s.adder.group
	var sum, plain, over J
	for r := runs - 1; r >= 0; r-- {
		g.mixed(&sum, &s.rows[int(total)+r])
		if r > 0 {
			g.mixed(&plain, &s.rows[int(running[0])+r])
			g.add(&over, &plain)
		}
	}
	for range bits.Len(uint(length)) - 1 {
		g.double(&over)
	}
	g.add(&sum, &over)
	return sum
}

// horner is weighted for few buckets.
func (s *summer[P, J]) horner(buckets []P) J {
	g := s.adder.group
	var running, sum J
	for b := len(buckets) - 1; b >= 0; b-- {
		g.mixed(&running, &buckets[b])
		g.add(&sum, &running)
	}
	return sum
}

// grown gives n rows: the first kept ones as they were, those up to n zero or of unknown content. Rows that follow the kept
// ones and belong to no bucket are cleared by the caller's rule that infinity is zero.
func grown[P any](rows []P, kept, n int) []P {
	if len(rows) < n {
		more := make([]P, n)
		copy(more, rows[:kept])
		return more
	}
	clear(rows[kept:n])
	return rows
}
