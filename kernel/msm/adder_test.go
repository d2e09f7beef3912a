package msm

import (
	"math/rand/v2"
	"syscall"
	"testing"
	"unsafe"

	curve "github.com/consensys/gnark-crypto/ecc/bn254"
	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
)

func needLanes(t testing.TB) {
	t.Helper()
	if !hasLanes {
		t.Skip("this processor has no AVX-512 IFMA")
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

// A page that must not be read follows the lists and the points.
func TestNothingIsReadPastTheEnd(t *testing.T) {
	needLanes(t)
	for _, n := range []int{8, 16, 1024, 1032, 2048} {
		points := atTheEnd[curve.G1Affine](t, 16)
		copy(points, randomPoints(16))
		l := list{atTheEnd[uint32](t, n), atTheEnd[uint32](t, n), atTheEnd[uint32](t, n)}
		for i := range uint32(n) {
			l.a[i], l.b[i], l.to[i] = (i%15)<<rowShift, 15<<rowShift, i<<rowShift
		}
		newAdder(g1).add(points, points, make([]curve.G1Affine, n+1), &l, uint32(n))
	}
}

// atTheEnd gives n elements that end where readable memory does.
func atTheEnd[T any](t *testing.T, n int) []T {
	t.Helper()
	var one T
	page := syscall.Getpagesize()
	size := n * int(unsafe.Sizeof(one))
	whole := (size + page - 1) / page * page
	memory, err := syscall.Mmap(-1, 0, whole+page, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Munmap(memory) })
	if err := syscall.Mprotect(memory[whole:], syscall.PROT_NONE); err != nil {
		t.Fatal(err)
	}
	return unsafe.Slice((*T)(unsafe.Pointer(&memory[whole-size])), n)
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
