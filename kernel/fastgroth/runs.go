package fastgroth

import (
	"sync"
	"sync/atomic"
)

// A run is what a solver solves in one go: constraints that follow each other.
type run struct {
	from, to  int   // constraints
	needs     int32 // runs that come before
	followers []int // runs that need this one
}

const (
	// runConstraints is the most that a run has.
	runConstraints = 4096
	// mostAbreast is how many runs one task solves at once.
	mostAbreast = 16
)

// What a wire is computed by, beside a constraint: not known yet, or given.
const (
	nobody = -1 - iota
	given
)

// split makes the runs. They end, where it can be, between constraints that have nothing to do with each other: so parts of a
// circuit that don't need one another, like the slots of a batch, don't meet in a run and wait for each other through it.
// since tells by constraint the first one near that it goes on from.
func (s *solver) split(by, since []int32) {
	n := len(since)
	across := make([]int32, n+1) // by constraint: how many go on across its beginning
	for i, first := range since {
		across[first+1]++
		across[i+1]--
	}
	for i := range n {
		across[i+1] += across[i]
	}
	of := make([]int32, n) // the run of a constraint
	for from := 0; from < n; {
		to := endOf(from, across)
		number := int32(len(s.runs))
		for i := from; i < to; i++ {
			of[i] = number
		}
		s.runs = append(s.runs, run{from: from, to: to})
		for before := range s.neededBy(from, to, by, of) {
			s.runs[before].followers = append(s.runs[before].followers, int(number))
			s.runs[number].needs++
		}
		from = to
	}
}

// endOf is the last end of a run from there that no constraint near goes on across, if there is one.
func endOf(from int, across []int32) int {
	end := min(from+runConstraints, len(across)-1)
	for i := end; i > from; i-- {
		if across[i] == 0 {
			return i
		}
	}
	return end
}

// neededBy are the runs that give wires to the constraints. What sums have in common with kin is looked at there; kin in an
// earlier run are none.
func (s *solver) neededBy(from, to int, by, of []int32) map[int32]bool {
	needed := map[int32]bool{}
	number, last := of[from], of[from]
	for i := from; i < to; i++ {
		terms, r, o := s.terms(i)
		for side, list := range [sides][]uint32{terms[:r], terms[r:o], terms[o:]} {
			if k := s.kinOf(i, side); k != nil {
				if i-int(k.back) >= from {
					list = s.more(k)
				} else {
					s.kin[i][side] = 0
				}
			}
			for k := 1; k < len(list); k += 2 {
				if giver := by[list[k]]; giver >= 0 && of[giver] != last && of[giver] != number {
					last = of[giver]
					needed[last] = true
				}
			}
		}
	}
	return needed
}

// inOrder gives the runs to the tasks, some at a time, each after those that it needs. It tells whether all of them held.
func (s *solver) inOrder(solve func(runs []int) bool) bool {
	waits := make([]atomic.Int32, len(s.runs))
	ready := make(chan int, len(s.runs))
	var unsolved atomic.Int32
	unsolved.Store(int32(len(s.runs)))
	for i := range s.runs {
		waits[i].Store(s.runs[i].needs)
	}
	for i := range s.runs {
		if s.runs[i].needs == 0 {
			ready <- i
		}
	}
	if len(s.runs) == 0 {
		close(ready)
	}
	var failed atomic.Bool
	var group sync.WaitGroup
	for range s.tasks {
		group.Go(func() {
			for first := range ready {
				runs := upTo(ready, first, min(mostAbreast, 1+len(ready)/(2*s.tasks)))
				if !failed.Load() && !solve(runs) {
					failed.Store(true)
				}
				for _, i := range runs {
					for _, next := range s.runs[i].followers {
						if waits[next].Add(-1) == 0 {
							ready <- next
						}
					}
				}
				if unsolved.Add(-int32(len(runs))) == 0 {
					close(ready)
				}
			}
		})
	}
	group.Wait()
	return !failed.Load()
}

// upTo takes up to so many, without waiting.
func upTo(ready <-chan int, first, most int) []int {
	runs := []int{first}
	for len(runs) < most {
		select {
		case i, ok := <-ready:
			if !ok {
				return runs
			}
			runs = append(runs, i)
		default:
			return runs
		}
	}
	return runs
}
