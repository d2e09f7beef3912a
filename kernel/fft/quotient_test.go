package fft

import (
	"math/bits"
	"slices"
	"testing"

	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	gnark "github.com/consensys/gnark-crypto/ecc/bn254/fr/fft"

	"github.com/shale-cloud/shale/kernel/lanes"
)

func needLanes(t testing.TB) {
	t.Helper()
	if !hasLanes {
		t.Skip("this processor has no AVX-512 IFMA")
	}
}

func random(n int) []fr.Element {
	v := make([]fr.Element, n)
	for i := range v {
		v[i].MustSetRandom()
	}
	return v
}

// edges are values that are zero, one, or p-1.
func edges(n int) []fr.Element {
	v := make([]fr.Element, n)
	for i := range v {
		v[i].SetInt64(int64(i*i%3 - 1))
	}
	return v
}

func TestQuotientsAreThoseOfGnarkCrypto(t *testing.T) {
	needLanes(t)
	for _, log := range []int{10, 11, 12, 13, 14, 15, 18} { // every way in which the layers are shared out
		n := 1 << log
		for name, values := range map[string]func(int) []fr.Element{"random": random, "edges": edges} {
			for _, length := range []int{n, n - 3, 8, 1} {
				if log == 18 && length != n-3 {
					continue
				}
				q := NewQuotients(gnark.NewDomain(uint64(n)), 3)
				a, b, c := values(length), values(length), values(length)
				got := q.Divide(a, b, c, func(float64) {})
				want := q.divideElsewhere(slices.Clone(a), slices.Clone(b), slices.Clone(c), func() {})
				if !slices.Equal(got, want) {
					t.Fatalf("the quotient of %d %s values on 2^%d differs", length, name, log)
				}
			}
		}
	}
}

func TestWithoutLanesTheQuotientIsTheSame(t *testing.T) {
	needLanes(t)
	domain := gnark.NewDomain(1 << 11)
	a, b, c := random(2000), random(2000), random(2000)
	want := NewQuotients(domain, 2).Divide(slices.Clone(a), slices.Clone(b), slices.Clone(c), func(float64) {})
	hasLanes = false
	defer func() { hasLanes = true }()
	last := 0.0
	got := NewQuotients(domain, 2).Divide(a, b, c, func(share float64) { last = share })
	if !slices.Equal(got, want) {
		t.Error("they differ")
	}
	if last != 1 {
		t.Errorf("progress ends at %v", last)
	}
}

// The definition, on a small transform.
func TestTransformGivesThePolynomialsValues(t *testing.T) {
	needLanes(t)
	const log, n = 6, 1 << 6
	domain := gnark.NewDomain(n)
	coefficients := random(n)
	data := lanes.Aligned(n / lanes.Lanes * lanes.Block)
	for i, c := range coefficients {
		at := bits.Reverse64(uint64(i)) >> (64 - log)
		lanes.Put(data[int(at)/lanes.Lanes*lanes.Block:], int(at)%lanes.Lanes, (*[4]uint64)(&c))
	}
	shift := domain.FrMultiplicativeGen
	(&transform{newTwiddles(log, domain.Generator, shift, 1), log, 2}).toValues(data)
	values := make([]fr.Element, n)
	fromBlocks(&values[0], &data[0], n/lanes.Lanes, lanes.ScalarField)
	for j := range n {
		var want fr.Element
		for i := n - 1; i >= 0; i-- {
			want.Mul(&want, &shift).Add(&want, &coefficients[i])
		}
		if values[j] != want {
			t.Fatalf("value %d is wrong", j)
		}
		shift.Mul(&shift, &domain.Generator)
	}
}

func TestBlocksComeBackReduced(t *testing.T) {
	needLanes(t)
	values := append(edges(24), random(40)...)
	blocks, back := make([]uint64, 8*lanes.Block), make([]fr.Element, len(values))
	blocks = append(lanes.Aligned(len(blocks))[:0], blocks...)
	toBlocks(&blocks[0], &values[0], 8, lanes.ScalarField)
	fromBlocks(&back[0], &blocks[0], 8, lanes.ScalarField)
	if !slices.Equal(back, values) {
		t.Error("they differ")
	}
	// Not reduced: p, which is zero, and 2p - 1, which is p - 1.
	modulus := fr.Modulus()
	var words [4]uint64
	for i, w := range modulus.Bits() {
		words[i] = uint64(w)
	}
	lanes.Put(blocks, 0, &words)
	fromBlocks(&back[0], &blocks[0], 8, lanes.ScalarField)
	if !back[0].IsZero() {
		t.Errorf("p comes back as %v", back[0])
	}
}

func BenchmarkQuotient(b *testing.B) {
	domain := gnark.NewDomain(1 << 20)
	x, y, z := random(1<<20), random(1<<20), random(1<<20)
	q := NewQuotients(domain, 2)
	b.Run("ours", func(b *testing.B) {
		for b.Loop() {
			q.Divide(x, y, z, func(float64) {})
		}
	})
	b.Run("gnark-crypto", func(b *testing.B) {
		for b.Loop() {
			q.divideElsewhere(x, y, z, func() {})
		}
	})
}
