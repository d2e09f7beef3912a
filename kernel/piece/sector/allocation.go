package sector

import (
	"errors"
	"fmt"
	"sort"

	rlepluslazy "github.com/filecoin-project/go-bitfield/rle"
)

// A Range is bytes of a sector, fr32-padded as they lie there.
type Range struct {
	Offset int64 `json:"offset"`
	Size   int64 `json:"size"`
}

func (r Range) end() int64 { return r.Offset + r.Size }

// Allocation is the ranges of a sector that are unsealed, apart from each other and in order. What lies between them
// reads as zeros and is no data.
type Allocation []Range

// maxRuns bounds what a trailer may unfold to: real ones have a run for each piece at most.
const maxRuns = 1 << 16

// decodeAllocation reads an RLE+ bitfield with a bit for each byte of the sector.
func decodeAllocation(encoded []byte, size int64) (Allocation, error) {
	field, err := rlepluslazy.FromBuf(encoded)
	if err != nil {
		return nil, err
	}
	runs, err := field.RunIterator()
	if err != nil {
		return nil, err
	}
	var a Allocation
	at := uint64(0)
	for count := 0; runs.HasNext(); count++ {
		run, err := runs.NextRun()
		if err != nil {
			return nil, err
		}
		if count == maxRuns {
			return nil, fmt.Errorf("more than %d runs", maxRuns)
		}
		if run.Len > uint64(size)-at {
			if run.Val {
				return nil, fmt.Errorf("bytes %d to %d are marked, the sector has %d", at, at+run.Len, size)
			}
			break
		}
		if run.Val {
			a = a.with(Range{int64(at), int64(run.Len)})
		}
		at += run.Len
	}
	return a, nil
}

// encode is decodeAllocation's inverse.
func (a Allocation) encode() ([]byte, error) {
	var runs []rlepluslazy.Run
	at := int64(0)
	for _, r := range a {
		if r.Offset > at {
			runs = append(runs, rlepluslazy.Run{Len: uint64(r.Offset - at)})
		}
		runs = append(runs, rlepluslazy.Run{Val: true, Len: uint64(r.Size)})
		at = r.end()
	}
	return rlepluslazy.EncodeRuns(&rlepluslazy.RunSliceIterator{Runs: runs}, nil)
}

var errOverlap = errors.New("overlaps what is allocated")

// add allocates a range that is free.
func (a Allocation) add(r Range) (Allocation, error) {
	i := sort.Search(len(a), func(i int) bool { return a[i].end() > r.Offset })
	if i < len(a) && a[i].Offset < r.end() {
		return nil, errOverlap
	}
	var out Allocation
	for _, have := range a[:i] {
		out = out.with(have)
	}
	out = out.with(r)
	for _, have := range a[i:] {
		out = out.with(have)
	}
	return out, nil
}

// with appends a range that begins where the last ends or after it.
func (a Allocation) with(r Range) Allocation {
	if last := len(a) - 1; last >= 0 && a[last].end() == r.Offset {
		a[last].Size += r.Size
		return a
	}
	return append(a, r)
}

// Covers reports whether all of a range is allocated.
func (a Allocation) Covers(r Range) bool {
	i := sort.Search(len(a), func(i int) bool { return a[i].end() > r.Offset })
	return r.Size == 0 || i < len(a) && a[i].Offset <= r.Offset && r.end() <= a[i].end()
}
