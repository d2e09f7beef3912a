package msm

import (
	"fmt"
	"math/big"
	"testing"

	"github.com/consensys/gnark-crypto/ecc"
	curve "github.com/consensys/gnark-crypto/ecc/bn254"
	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
)

// kindsOfScalars are the ways in which scalars are unusual.
var kindsOfScalars = map[string]func(i int) fr.Element{
	"random": func(int) (s fr.Element) { return *s.MustSetRandom() },
	"zero":   func(int) (s fr.Element) { return s },
	"one":    func(int) (s fr.Element) { return *s.SetOne() },
	"minus one": func(int) (s fr.Element) {
		s.SetOne()
		return *s.Neg(&s)
	},
	"bits":  func(i int) (s fr.Element) { return *s.SetUint64(uint64(i*i>>3) & 1) },
	"small": func(i int) (s fr.Element) { return *s.SetInt64(int64(i%7 - 3)) },
	"half": func(i int) (s fr.Element) {
		s.SetBigInt(new(big.Int).Rsh(fr.Modulus(), 1))
		var near fr.Element
		return *s.Add(&s, near.SetInt64(int64(i%5-2)))
	},
	"edges": func(i int) (s fr.Element) {
		s.SetUint64(1 << 15)
		s.Exp(s, big.NewInt(int64(1+i%16)))
		var small fr.Element
		small.SetInt64(int64(i%3 - 1))
		return *s.Add(&s, &small)
	},
	"mixed": func(i int) (s fr.Element) {
		if i%3 == 0 {
			return *s.MustSetRandom()
		}
		return *s.SetUint64(uint64(i % 2))
	},
}

func TestSumsAreThoseOfGnarkCrypto(t *testing.T) {
	needLanes(t)
	points, points2 := randomPoints(5000), randomPoints2(1500)
	for name, kind := range kindsOfScalars {
		for _, n := range []int{0, 1, 2, 3, 7, 8, 9, 100, 127, 128, 129, 1000, 5000} {
			scalars := make([]fr.Element, n)
			for i := range scalars {
				scalars[i] = kind(i)
			}
			t.Run(fmt.Sprintf("%s/%d", name, n), func(t *testing.T) {
				testSum(t, points[:n], scalars)
				if n <= len(points2) {
					testSum2(t, points2[:n], scalars)
				}
			})
		}
	}
}

func TestSumsOfEqualOppositeAndInfinitePointsAreThoseOfGnarkCrypto(t *testing.T) {
	needLanes(t)
	const n = 3000
	points, points2 := randomPoints(n), randomPoints2(n)
	for i := range n {
		switch i % 5 {
		case 1:
			points[i], points2[i] = points[i-1], points2[i-1]
		case 2:
			points[i].Neg(&points[i-1])
			points2[i].Neg(&points2[i-1])
		case 3:
			points[i], points2[i] = curve.G1Affine{}, curve.G2Affine{}
		}
	}
	for name, kind := range kindsOfScalars {
		scalars := make([]fr.Element, n)
		for i := range scalars {
			scalars[i] = kind(i / 5)
		}
		t.Run(name, func(t *testing.T) {
			testSum(t, points, scalars)
			testSum2(t, points2, scalars)
		})
	}
}

func TestLargeSumIsThatOfGnarkCrypto(t *testing.T) {
	needLanes(t)
	const n = 1 << 16
	scalars := make([]fr.Element, n)
	for i := range scalars {
		scalars[i] = kindsOfScalars["mixed"](i)
	}
	testSum(t, randomPoints(n), scalars)
	testSum2(t, randomPoints2(n), scalars)
}

func TestWithoutLanesTheSumsAreTheSame(t *testing.T) {
	had := hasLanes
	hasLanes = false
	defer func() { hasLanes = had }()
	scalars := make([]fr.Element, 500)
	for i := range scalars {
		scalars[i] = kindsOfScalars["mixed"](i)
	}
	testSum(t, randomPoints(500), scalars)
	testSum2(t, randomPoints2(500), scalars)
}

func TestEveryWidthOfDigitsGivesTheScalarBack(t *testing.T) {
	for width := 4; width <= digitBits; width++ {
		for name, kind := range kindsOfScalars {
			scalars := make([]fr.Element, 50)
			for i := range scalars {
				scalars[i] = kind(i)
			}
			s := cut(scalars, width, 2)
			for i := range scalars {
				var sum, step fr.Element
				step.SetUint64(1 << width)
				for w := len(s.windows) - 1; w >= 0; w-- {
					sum.Mul(&sum, &step)
					if d := s.windows[w][i]; d != noDigit {
						digit := int64(d>>1) + 1
						if d&1 != 0 {
							digit = -digit
						}
						var v fr.Element
						sum.Add(&sum, v.SetInt64(digit))
					}
				}
				if sum != scalars[i] {
					t.Fatalf("digits of %d bits: %s scalar %d comes back as %v", width, name, i, sum.String())
				}
			}
		}
	}
}

func TestSumsThatShareScalarsTakeTheirOwnPoints(t *testing.T) {
	for _, lanes := range []bool{hasLanes, false} {
		had := hasLanes
		hasLanes = lanes
		defer func() { hasLanes = had }()
		const n = 2000
		scalars := make([]fr.Element, n)
		for i := range scalars {
			scalars[i] = kindsOfScalars["mixed"](i)
		}
		first, second := &Term1{Points: randomPoints(n), Places: NewPlaces(n)}, &Term2{Points: randomPoints2(n / 4), Places: NewPlaces(n)}
		of1, of2 := make([]fr.Element, n), make([]fr.Element, n/4)
		for i := range n {
			first.Places.Put(i, n-1-i)
			of1[n-1-i] = scalars[i]
			if i%4 == 2 {
				second.Places.Put(i, i/4)
				of2[i/4] = scalars[i]
			}
		}
		last := 0.0
		NewMachine(2).Sum(scalars, []*Term1{first}, []*Term2{second}, func(share float64) {
			if share <= last {
				t.Errorf("progress goes from %v to %v", last, share)
			}
			last = share
		})
		if last != 1 {
			t.Errorf("progress ends at %v", last)
		}
		var want1 curve.G1Jac
		var want2 curve.G2Jac
		must(want1.MultiExp(first.Points, of1, ecc.MultiExpConfig{}))
		must(want2.MultiExp(second.Points, of2, ecc.MultiExpConfig{}))
		if !first.Sum.Equal(&want1) || !second.Sum.Equal(&want2) {
			t.Errorf("with lanes %v the sums are wrong", lanes)
		}
	}
}

func testSum(t *testing.T, points []curve.G1Affine, scalars []fr.Element) {
	t.Helper()
	var want curve.G1Jac
	if _, err := want.MultiExp(points, scalars, ecc.MultiExpConfig{}); err != nil {
		t.Fatal(err)
	}
	machine, term := NewMachine(3), &Term1{Points: points}
	machine.Sum(scalars, []*Term1{term}, nil, func(float64) {})
	if !term.Sum.Equal(&want) {
		t.Fatalf("the sum of %d points of G1 is wrong", len(points))
	}
	if hasLanes && len(points) < fewPoints {
		machine.sum(cut(scalars, bitsFor(len(points)), 3), []*Term1{term}, nil, func(float64) {})
		if !term.Sum.Equal(&want) {
			t.Fatalf("the sum of %d points of G1 is wrong by lanes", len(points))
		}
	}
}

func testSum2(t *testing.T, points []curve.G2Affine, scalars []fr.Element) {
	t.Helper()
	var want curve.G2Jac
	if _, err := want.MultiExp(points, scalars, ecc.MultiExpConfig{}); err != nil {
		t.Fatal(err)
	}
	machine, term := NewMachine(3), &Term2{Points: points}
	machine.Sum(scalars, nil, []*Term2{term}, func(float64) {})
	if !term.Sum.Equal(&want) {
		t.Fatalf("the sum of %d points of G2 is wrong", len(points))
	}
	if hasLanes && len(points) < fewPoints {
		machine.sum(cut(scalars, bitsFor(len(points)), 3), nil, []*Term2{term}, func(float64) {})
		if !term.Sum.Equal(&want) {
			t.Fatalf("the sum of %d points of G2 is wrong by lanes", len(points))
		}
	}
}

func BenchmarkSum(b *testing.B) {
	const n = 1 << 20
	base, base2 := randomPoints(1<<16), randomPoints2(1<<16)
	points, points2, scalars := make([]curve.G1Affine, n), make([]curve.G2Affine, n), make([]fr.Element, n)
	for i := range n {
		points[i], points2[i] = base[i%len(base)], base2[i%len(base)]
		scalars[i].MustSetRandom()
	}
	b.Run("G1", func(b *testing.B) {
		for b.Loop() {
			NewMachine(2).Sum(scalars, []*Term1{{Points: points}}, nil, func(float64) {})
		}
	})
	b.Run("G1 of gnark-crypto", func(b *testing.B) {
		for b.Loop() {
			var sum curve.G1Jac
			_, _ = sum.MultiExp(points, scalars, ecc.MultiExpConfig{NbTasks: 2})
		}
	})
	b.Run("G2", func(b *testing.B) {
		for b.Loop() {
			NewMachine(2).Sum(scalars, nil, []*Term2{{Points: points2}}, func(float64) {})
		}
	})
	b.Run("G2 of gnark-crypto", func(b *testing.B) {
		for b.Loop() {
			var sum curve.G2Jac
			_, _ = sum.MultiExp(points2, scalars, ecc.MultiExpConfig{NbTasks: 2})
		}
	})
}
