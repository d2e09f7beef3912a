package fastgroth

import (
	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	"github.com/klauspost/cpuid/v2"
)

// hasDot tells whether this processor has the instructions of dot. Tests change it.
var hasDot = cpuid.CPU.Supports(cpuid.ADX, cpuid.BMI2)

// dot sums coefficient * value over n terms, pairs of indices, at least one. It doesn't reduce.
//
//go:noescape
func dot(sum *[9]uint64, terms *uint32, n int, coefficients, values *fr.Element)
