// Package msm multiplies many points of bn254 with many scalars and sums them up, eight additions at a time where the
// processor has AVX-512 IFMA.
package msm

import (
	"sync"

	"github.com/consensys/gnark-crypto/ecc"
	curve "github.com/consensys/gnark-crypto/ecc/bn254"
	"github.com/consensys/gnark-crypto/ecc/bn254/fr"

	"github.com/shale-cloud/shale/kernel/lanes"
)

// hasLanes tells whether our own kernels sum here, or gnark-crypto does. Tests change it.
var hasLanes = lanes.Supported

// Term1 is a sum of points of G1 over scalars that other sums may share.
type Term1 = term[curve.G1Affine, curve.G1Jac]

// Term2 is a sum of points of G2.
type Term2 = term[curve.G2Affine, curve.G2Jac]

type term[P, J any] struct {
	Points []P    // infinity and equal points are allowed
	Places Places // nil: point i belongs to scalar i
	Sum    J      // set by Machine.Sum
}

// Places says which point belongs to a scalar: see At.
type Places []uint32

// nowhere marks a scalar that a sum leaves out.
const nowhere = ^uint32(0)

// NewPlaces gives places for n scalars which a sum all leaves out.
func NewPlaces(n int) Places {
	p := make(Places, n)
	for i := range p {
		p[i] = nowhere
	}
	return p
}

// Put lets the scalar belong to the point. Points are fewer than 2^26.
func (p Places) Put(scalar, point int) { p[scalar] = uint32(point) << rowShift }

// Machine sums on several tasks, and keeps the memory that it needs for that. Not for concurrent use.
type Machine struct {
	tasks []task
}

type task struct {
	by      sorted
	summer1 *summer[curve.G1Affine, curve.G1Jac]
	summer2 *summer[curve.G2Affine, curve.G2Jac]
}

// NewMachine gives a machine of so many tasks.
func NewMachine(tasks int) *Machine {
	m := &Machine{tasks: make([]task, max(1, tasks))}
	for i := range m.tasks {
		m.tasks[i].summer1, m.tasks[i].summer2 = newSummer(g1), newSummer(g2)
	}
	return m
}

// Sum computes every term over the scalars. It calls done, one call at a time, with the share that is done, in 0 to 1.
func (m *Machine) Sum(scalars []fr.Element, terms1 []*Term1, terms2 []*Term2, done func(float64)) {
	for _, t := range terms1 {
		t.check(len(scalars))
	}
	for _, t := range terms2 {
		t.check(len(scalars))
	}
	if !hasLanes || len(scalars) < fewPoints {
		m.sumElsewhere(scalars, terms1, terms2, done)
		return
	}
	m.sum(cut(scalars, bitsFor(len(scalars)), len(m.tasks)), terms1, terms2, done)
}

// fewPoints is where gnark-crypto's own sum is as fast.
const fewPoints = 128

func (t *term[P, J]) check(scalars int) {
	if t.Places == nil && len(t.Points) != scalars || t.Places != nil && len(t.Places) != scalars {
		panic("msm: points and scalars differ in number")
	}
}

func (m *Machine) sum(s *scalars, terms1 []*Term1, terms2 []*Term2, done func(float64)) {
	windows := len(s.windows)
	queue := make(chan int, windows)
	for w := range windows {
		queue <- w
	}
	close(queue)
	sums1, sums2 := make([][]curve.G1Jac, len(terms1)), make([][]curve.G2Jac, len(terms2))
	for i := range sums1 {
		sums1[i] = make([]curve.G1Jac, windows)
	}
	for i := range sums2 {
		sums2[i] = make([]curve.G2Jac, windows)
	}

	var lock sync.Mutex
	finished, all := 0, windows*(len(terms1)+2*len(terms2))
	count := func(steps int) {
		lock.Lock()
		defer lock.Unlock()
		finished += steps
		done(float64(finished) / float64(all))
	}
	var group sync.WaitGroup
	for i := range m.tasks {
		t := &m.tasks[i]
		group.Go(func() {
			for w := range queue {
				t.by.fill(s, w)
				for k, term := range terms1 {
					sums1[k][w] = t.summer1.window(term.Points, term.Places, &t.by)
					count(1)
				}
				for k, term := range terms2 {
					sums2[k][w] = t.summer2.window(term.Points, term.Places, &t.by)
					count(2)
				}
			}
		})
	}
	group.Wait()
	for k, term := range terms1 {
		term.Sum = joinWindows(g1, sums1[k], s.bits)
	}
	for k, term := range terms2 {
		term.Sum = joinWindows(g2, sums2[k], s.bits)
	}
}

// joinWindows adds the windows' sums, each doubled as often as its place asks.
func joinWindows[P, J any](g *group[P, J], sums []J, width int) (sum J) {
	for w := len(sums) - 1; w >= 0; w-- {
		for range width {
			g.double(&sum)
		}
		g.add(&sum, &sums[w])
	}
	return sum
}

// sumElsewhere is Sum by gnark-crypto.
func (m *Machine) sumElsewhere(scalars []fr.Element, terms1 []*Term1, terms2 []*Term2, done func(float64)) {
	config := ecc.MultiExpConfig{NbTasks: len(m.tasks)}
	finished, all := 0, len(terms1)+2*len(terms2)
	for _, t := range terms1 {
		must(t.Sum.MultiExp(t.Points, t.pick(scalars), config))
		finished++
		done(float64(finished) / float64(all))
	}
	for _, t := range terms2 {
		must(t.Sum.MultiExp(t.Points, t.pick(scalars), config))
		finished += 2
		done(float64(finished) / float64(all))
	}
}

// must takes the error that only differing numbers of points and scalars can make.
func must[T any](_ T, err error) {
	if err != nil {
		panic(err)
	}
}

// pick gives one scalar a point, zero to those that belong to none.
func (t *term[P, J]) pick(scalars []fr.Element) []fr.Element {
	if t.Places == nil {
		return scalars
	}
	picked := make([]fr.Element, len(t.Points))
	for i, at := range t.Places {
		if at != nowhere {
			picked[at>>rowShift] = scalars[i]
		}
	}
	return picked
}
