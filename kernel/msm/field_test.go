package msm

import (
	"math/big"
	"math/rand/v2"
	"testing"

	curve "github.com/consensys/gnark-crypto/ecc/bn254"
	"github.com/consensys/gnark-crypto/ecc/bn254/fp"
	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
)

func needLanes(t testing.TB) {
	t.Helper()
	if !hasLanes {
		t.Skip("this processor has no AVX-512 IFMA")
	}
}

func put(block []uint64, lane int, v *big.Int) {
	for i, l := range limbsOf(v) {
		block[lanes*i+lane] = l
	}
}

func take(block []uint64, lane int) *big.Int {
	v := new(big.Int)
	for i := limbs - 1; i >= 0; i-- {
		v.Lsh(v, limbBits).Add(v, new(big.Int).SetUint64(block[lanes*i+lane]))
	}
	return v
}

func TestProductsAreCongruentAndBoundedForReducedAndUnreducedOperands(t *testing.T) {
	needLanes(t)
	random := rand.New(rand.NewPCG(1, 2))
	for _, modulus := range []*big.Int{fp.Modulus(), fr.Modulus()} {
		f := newField(modulus)
		one := big.NewInt(1)
		limit := new(big.Int).Lsh(one, 256)
		edges := []*big.Int{
			big.NewInt(0), one, big.NewInt(2), new(big.Int).Sub(modulus, one), modulus, new(big.Int).Add(modulus, one),
			new(big.Int).Lsh(modulus, 1), new(big.Int).Sub(new(big.Int).Lsh(modulus, 1), one), new(big.Int).Sub(limit, one),
			new(big.Int).Sub(new(big.Int).Lsh(one, 52), one), new(big.Int).Lsh(one, 52), new(big.Int).Lsh(one, 208),
		}
		var as, bs []*big.Int
		for _, a := range edges {
			for _, b := range edges {
				as, bs = append(as, a), append(bs, b)
			}
		}
		for len(as)%lanes != 0 || len(as) < 4096 {
			draw := func() *big.Int {
				var w [4]uint64
				for i := range w {
					w[i] = random.Uint64()
				}
				l := splitWords(&w)
				v := new(big.Int)
				for i := limbs - 1; i >= 0; i-- {
					v.Lsh(v, limbBits).Add(v, new(big.Int).SetUint64(l[i]))
				}
				return v
			}
			as, bs = append(as, draw()), append(bs, draw())
		}
		blocks := len(as) / lanes
		a, b, c := aligned(blocks*blockSize), aligned(blocks*blockSize), aligned(blocks*blockSize)
		for i := range as {
			put(a[i/lanes*blockSize:], i%lanes, as[i])
			put(b[i/lanes*blockSize:], i%lanes, bs[i])
		}
		mulBlocks(&c[0], &a[0], &b[0], blocks, f)
		inverse := new(big.Int).ModInverse(new(big.Int).Lsh(one, 260), modulus)
		for i := range as {
			want := new(big.Int).Mul(as[i], bs[i])
			bound := new(big.Int).Add(new(big.Int).Rsh(want, 260), modulus)
			want.Mul(want, inverse).Mod(want, modulus)
			got := take(c[i/lanes*blockSize:], i%lanes)
			if got.Cmp(bound) > 0 {
				t.Fatalf("%v * %v gives %v, above its bound", as[i], bs[i], got)
			}
			if got.Mod(got, modulus).Cmp(want) != 0 {
				t.Fatalf("%v * %v gives %v, not %v", as[i], bs[i], got, want)
			}
		}
	}
}

func randomPoints(n int) []curve.G1Affine {
	scalars := make([]fr.Element, n)
	for i := range scalars {
		scalars[i].MustSetRandom()
	}
	_, _, g, _ := curve.Generators()
	return curve.BatchScalarMultiplicationG1(&g, scalars)
}

func randomPoints2(n int) []curve.G2Affine {
	scalars := make([]fr.Element, n)
	for i := range scalars {
		scalars[i].MustSetRandom()
	}
	_, _, _, g := curve.Generators()
	return curve.BatchScalarMultiplicationG2(&g, scalars)
}

func TestPairsOfEveryKindAreAdded(t *testing.T) {
	needLanes(t)
	t.Run("G1", func(t *testing.T) { testPairs(t, g1, randomPoints(300)) })
	t.Run("G2", func(t *testing.T) { testPairs(t, g2, randomPoints2(300)) })
}

func testPairs[P comparable, J any](t *testing.T, g *group[P, J], points []P) {
	var infinity P
	points[17], points[33], points[34] = infinity, infinity, infinity
	points[40] = points[41]
	random := rand.New(rand.NewPCG(3, 4))
	for _, n := range []int{1, 7, 8, 9, 15, 16, 17, 100, 1023, 1024, 1025, 5000} {
		var l list
		out := make([]P, n+1)
		for i := range n {
			a, b := uint32(random.IntN(len(points))), uint32(random.IntN(len(points)))
			switch i % 50 {
			case 0:
				b = a
			case 1:
				a = 17
			case 2:
				b = 33
			case 3:
				a, b = 33, 34
			case 4:
				a, b = 40, 41
			}
			l.append(a<<rowShift|random.Uint32N(2), b<<rowShift|random.Uint32N(2), uint32(n-1-i)<<rowShift)
		}
		newAdder(g).add(points, points, out, &l, uint32(n))
		for i := range n {
			a, b := points[l.a[i]>>rowShift], points[l.b[i]>>rowShift]
			if l.a[i]&1 != 0 {
				g.negate(&a)
			}
			if l.b[i]&1 != 0 {
				g.negate(&b)
			}
			g.sum(&a, &a, &b)
			if out[n-1-i] != a {
				t.Fatalf("of %d pairs, pair %d is wrong", n, i)
			}
		}
	}
}

func BenchmarkMul(b *testing.B) {
	needLanes(b)
	const blocks = 64
	x, y := aligned(blocks*blockSize), aligned(blocks*blockSize)
	for b.Loop() {
		mulBlocks(&x[0], &x[0], &y[0], blocks, baseField)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/blocks/lanes, "ns/mul")
}

func BenchmarkAdd(b *testing.B) {
	needLanes(b)
	b.Run("G1", func(b *testing.B) { benchmarkAdd(b, g1, randomPoints(2048)) })
	b.Run("G2", func(b *testing.B) { benchmarkAdd(b, g2, randomPoints2(2048)) })
}

func benchmarkAdd[P, J any](b *testing.B, g *group[P, J], points []P) {
	d, out := newAdder(g), make([]P, 1025)
	var l list
	for i := range uint32(1024) {
		l.append(2*i<<rowShift, (2*i+1)<<rowShift|i&1, i<<rowShift)
	}
	for b.Loop() {
		d.add(points, points, out, &l, 1024)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1024, "ns/add")
}
