package msm

import (
	"slices"
	"testing"

	curve "github.com/consensys/gnark-crypto/ecc/bn254"
	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
)

func TestMultiplesAreThoseOfGnarkCrypto(t *testing.T) {
	points, points2 := randomPoints(1), randomPoints2(1)
	for name, kind := range kindsOfScalars {
		for _, n := range []int{0, 1, 9, 100, 5000} {
			scalars := make([]fr.Element, n)
			for i := range scalars {
				scalars[i] = kind(i)
			}
			if want := curve.BatchScalarMultiplicationG1(&points[0], scalars); !slices.Equal(Multiples1(&points[0], scalars, 2), want) {
				t.Errorf("%d %s multiples in G1 differ", n, name)
			}
			if n <= 100 {
				if want := curve.BatchScalarMultiplicationG2(&points2[0], scalars); !slices.Equal(Multiples2(&points2[0], scalars, 2), want) {
					t.Errorf("%d %s multiples in G2 differ", n, name)
				}
			}
		}
	}
}

func TestWithoutLanesTheMultiplesAreTheSame(t *testing.T) {
	needLanes(t)
	points, points2 := randomPoints(1), randomPoints2(1)
	scalars := make([]fr.Element, 100)
	for i := range scalars {
		scalars[i] = kindsOfScalars["mixed"](i)
	}
	want, want2 := Multiples1(&points[0], scalars, 2), Multiples2(&points2[0], scalars, 2)
	hasLanes = false
	defer func() { hasLanes = true }()
	if !slices.Equal(Multiples1(&points[0], scalars, 2), want) || !slices.Equal(Multiples2(&points2[0], scalars, 2), want2) {
		t.Error("they differ")
	}
}
