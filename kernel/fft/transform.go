package fft

import (
	"sync"
	"sync/atomic"

	"github.com/shale-cloud/shale/kernel/lanes"
)

const (
	shareLog = 17 // parts of up to so many values are transformed each by one task
	cacheLog = 13 // and below that, layer by layer: they fit in a second-level cache
)

// The order in which the leaf kernels want, and leave, the values of a block.
var (
	difOrder = &[lanes.Lanes]uint64{0, 4, 1, 5, 2, 6, 3, 7}
	ditOrder = &[lanes.Lanes]uint64{0, 2, 4, 6, 1, 3, 5, 7}
)

// transform is one way to go over data of 2^log values.
type transform struct {
	twiddles *twiddles
	log      int
	tasks    int
}

// step is one pass over parts of 2^log values each: one layer, or two where quarters is set.
type step struct {
	log      int
	quarters bool
}

func (s step) blocks() int { // of a half or a quarter
	if s.quarters {
		return 1 << (s.log - 2 - leafLog)
	}
	return 1 << (s.log - 1 - leafLog)
}

// run calls the kernel for blocks from to to of each half or quarter, in groups that follow each other.
func (t *transform) run(kernel2, kernel4 func(*layer), s step, data []uint64, groups, from, to int, space []uint64) {
	w := t.twiddles.layers[s.log]
	l := layer{
		data: &data[from*lanes.Block], stride: s.blocks() * lanes.Block * 8, count: to - from, groups: groups,
		w: &w[from*lanes.Block], field: lanes.ScalarField, workspace: &space[0],
	}
	if !s.quarters {
		kernel2(&l)
		return
	}
	l.wNext = &w[(s.blocks()+from)*lanes.Block]
	l.wInner = &t.twiddles.layers[s.log-1][from*lanes.Block]
	kernel4(&l)
}

// shared gives the passes that all tasks make together, from the largest on, and the logarithm of what remains of a part.
func (t *transform) shared() (steps []step, log int) {
	log = t.log
	if (log-leafLog)%2 == 1 {
		steps = append(steps, step{log, false})
		log--
	}
	for ; log > shareLog; log -= 2 {
		steps = append(steps, step{log, true})
	}
	return steps, log
}

func space() []uint64 { return lanes.Aligned(2 * lanes.Block) }

// together makes one pass over all data.
func (t *transform) together(kernel2, kernel4 func(*layer), s step, data []uint64) {
	size := lanes.Block << (s.log - leafLog)
	for ; len(data) > 0; data = data[size:] {
		lanes.InParallel(s.blocks(), t.tasks, func(from, to int) {
			t.run(kernel2, kernel4, s, data, 1, from, to, space())
		})
	}
}

// parts lets tasks take parts of 2^log values.
func (t *transform) parts(data []uint64, log int, do func(part, space []uint64)) {
	size := lanes.Block << (log - leafLog)
	var next atomic.Int64
	var wait sync.WaitGroup
	for range t.tasks {
		wait.Go(func() {
			s := space()
			for {
				i := int(next.Add(1)) - 1
				if i*size >= len(data) {
					return
				}
				do(data[i*size:(i+1)*size], s)
			}
		})
	}
	wait.Wait()
}

// toCoefficients transforms by decimation in frequency: from natural to bit-reversed order.
func (t *transform) toCoefficients(data []uint64) {
	steps, log := t.shared()
	for _, s := range steps {
		t.together(dif2, dif4, s, data)
	}
	t.parts(data, log, func(part, space []uint64) { t.frequency(part, log, space) })
}

func (t *transform) frequency(data []uint64, log int, space []uint64) {
	if log > cacheLog {
		s := step{log, true}
		t.run(dif2, dif4, s, data, 1, 0, s.blocks(), space)
		quarter := len(data) / 4
		for i := range 4 {
			t.frequency(data[i*quarter:(i+1)*quarter], log-2, space)
		}
		return
	}
	for groups := 1; log > leafLog; log, groups = log-2, groups*4 {
		s := step{log, true}
		t.run(dif2, dif4, s, data, groups, 0, s.blocks(), space)
	}
	difLeaf(&data[0], len(data)/(2*lanes.Block), &t.twiddles.dif[0], &difOrder[0], lanes.ScalarField)
}

// toValues transforms by decimation in time: from bit-reversed to natural order.
func (t *transform) toValues(data []uint64) {
	steps, log := t.shared()
	t.parts(data, log, func(part, space []uint64) { t.time(part, log, space) })
	for i := len(steps) - 1; i >= 0; i-- {
		t.together(dit2, dit4, steps[i], data)
	}
}

func (t *transform) time(data []uint64, log int, space []uint64) {
	if log > cacheLog {
		quarter := len(data) / 4
		for i := range 4 {
			t.time(data[i*quarter:(i+1)*quarter], log-2, space)
		}
		s := step{log, true}
		t.run(dit2, dit4, s, data, 1, 0, s.blocks(), space)
		return
	}
	ditLeaf(&data[0], len(data)/(2*lanes.Block), &t.twiddles.dit[0], &ditOrder[0], lanes.ScalarField)
	for at := leafLog + 2; at <= log; at += 2 {
		s := step{at, true}
		t.run(dit2, dit4, s, data, 1<<(log-at), 0, s.blocks(), space)
	}
}
