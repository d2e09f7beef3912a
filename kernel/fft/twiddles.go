package fft

import (
	"math/bits"

	"github.com/consensys/gnark-crypto/ecc/bn254/fr"

	"github.com/shale-cloud/shale/kernel/lanes"
)

// twiddles are the factors of a transform of 2^log values: for the layer of size 2^s, shift^(n/2^s) * root^(k n/2^s) with k
// below half of that size. So a transform by decimation in time gives a polynomial's values at shift * root^j, and one by
// decimation in frequency, with both inverted, goes back.
type twiddles struct {
	layers [][]uint64 // by s, from leafLog + 1 on
	dif    []uint64   // of the layers inside a block, as the kernels want them
	dit    []uint64
}

// leafLog is the logarithm of a block's lanes.
const leafLog = 3

// laneOrder are the twiddles' exponents that the lanes of a leaf have in the layers of strides four, two and one.
var (
	difLanes = [3][lanes.Lanes]int{{0, 0, 1, 1, 2, 2, 3, 3}, {0, 0, 1, 1, 0, 0, 1, 1}, {}}
	ditLanes = [3][lanes.Lanes]int{{}, {0, 0, 0, 0, 1, 1, 1, 1}, {0, 0, 1, 1, 2, 2, 3, 3}}
)

func newTwiddles(log int, root, shift fr.Element, tasks int) *twiddles {
	t := &twiddles{layers: make([][]uint64, log+1), dif: lanes.Aligned(3 * lanes.Block), dit: lanes.Aligned(3 * lanes.Block)}
	for s := log; s > 0; s-- {
		if s > leafLog {
			t.layers[s] = powers(1<<(s-1), root, shift, tasks)
		} else {
			leaf(t.dif[(leafLog-s)*lanes.Block:], difLanes[leafLog-s], root, shift)
			leaf(t.dit[(s-1)*lanes.Block:], ditLanes[s-1], root, shift)
		}
		root.Square(&root)
		shift.Square(&shift)
	}
	return t
}

func leaf(block []uint64, exponents [lanes.Lanes]int, root, shift fr.Element) {
	for lane, exponent := range exponents {
		v := shift
		for range exponent {
			v.Mul(&v, &root)
		}
		put(block, lane, v)
	}
}

// put sets one element of a block to v in the kernels' Montgomery form, times 2^260: gnark-crypto's is times 2^256.
func put(block []uint64, lane int, v fr.Element) {
	v.Mul(&v, &sixteen)
	lanes.Put(block, lane, (*[4]uint64)(&v))
}

var sixteen = *new(fr.Element).SetUint64(16)

// powers gives first * ratio^k for k below n, at least a block.
func powers(n int, ratio, first fr.Element, tasks int) []uint64 {
	all := lanes.Aligned(n / lanes.Lanes * lanes.Block)
	for lane := range lanes.Lanes {
		put(all, lane, first)
		first.Mul(&first, &ratio)
	}
	for range leafLog {
		ratio.Square(&ratio)
	}
	step := lanes.Aligned(lanes.Block)
	for have := 1; have < n/lanes.Lanes; have *= 2 {
		for lane := range lanes.Lanes {
			put(step, lane, ratio)
		}
		lanes.InParallel(have, tasks, func(from, to int) {
			lanes.Scale(all[(have+from)*lanes.Block:(have+to)*lanes.Block], all[from*lanes.Block:], step, lanes.ScalarField)
		})
		ratio.Square(&ratio)
	}
	return all
}

func logOf(n uint64) int { return bits.Len64(n) - 1 }
