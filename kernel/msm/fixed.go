package msm

import (
	"sync"
	"sync/atomic"

	curve "github.com/consensys/gnark-crypto/ecc/bn254"
	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
)

// Multiples1 gives scalars[i] * base for each i, on so many tasks.
func Multiples1(base *curve.G1Affine, scalars []fr.Element, tasks int) []curve.G1Affine {
	if !hasLanes {
		return curve.BatchScalarMultiplicationG1(base, scalars)
	}
	return multiples(g1, base, scalars, tasks)
}

// Multiples2 is Multiples1 for points of the other group.
func Multiples2(base *curve.G2Affine, scalars []fr.Element, tasks int) []curve.G2Affine {
	if !hasLanes {
		return curve.BatchScalarMultiplicationG2(base, scalars)
	}
	return multiples(g2, base, scalars, tasks)
}

const (
	fixedBits    = 14 // of a digit: all multiples that one can name are in a table, which stays in the third-level cache
	fixedBuckets = 1 << (fixedBits - 1)
	fixedScalars = 4096 // multiplied side by side
)

func multiples[P, J any](g *group[P, J], base *P, values []fr.Element, tasks int) []P {
	table := newTable(g, base)
	products := make([]P, len(values))
	var next atomic.Int64
	var wait sync.WaitGroup
	for range tasks {
		wait.Go(func() {
			d, room := newAdder(g), make([]P, fixedScalars+1)
			var pairs list
			for {
				from := int(next.Add(fixedScalars)) - fixedScalars
				if from >= len(values) {
					return
				}
				to := min(from+fixedScalars, len(values))
				multiply(d, table, values[from:to], room, &pairs)
				copy(products[from:to], room)
			}
		})
	}
	wait.Wait()
	return products
}

// newTable gives (d+1) * 2^(w*fixedBits) * base at row w*fixedBuckets + d.
func newTable[P, J any](g *group[P, J], base *P) []P {
	windows := windowsOf(fixedBits)
	table := make([]P, windows*fixedBuckets+1)
	spare := uint32(windows * fixedBuckets)
	table[0] = *base
	double := func(p *P) { g.sum(p, p, p) }
	for w := 1; w < windows; w++ {
		p := table[(w-1)*fixedBuckets]
		for range fixedBits {
			double(&p)
		}
		table[w*fixedBuckets] = p
	}
	d := newAdder(g)
	var pairs list
	for have := uint32(1); have < fixedBuckets; have *= 2 {
		pairs.clear()
		for w := range uint32(windows) {
			first := w * fixedBuckets
			last := first + have - 1
			table[last+have] = table[last]
			double(&table[last+have])
			for i := first; i < last; i++ {
				pairs.append(i<<rowShift, last<<rowShift, (i+have)<<rowShift)
			}
		}
		d.add(table, table, table, &pairs, spare)
	}
	return table
}

// multiply sets room[i] to values[i] times the table's base.
func multiply[P, J any](d *adder[P, J], table []P, values []fr.Element, room []P, pairs *list) {
	s := cut(values, fixedBits, 1)
	clear(room)
	for w, digits := range s.windows {
		pairs.clear()
		for i, digit := range digits {
			if digit == noDigit {
				continue
			}
			row := uint32(w*fixedBuckets) + uint32(digit>>1)
			if w == 0 {
				room[i] = table[row]
				if digit&1 != 0 {
					d.group.negate(&room[i])
				}
				continue
			}
			pairs.append(uint32(i)<<rowShift, row<<rowShift|uint32(digit&1), uint32(i)<<rowShift)
		}
		d.add(room, table, room, pairs, fixedScalars)
	}
}
