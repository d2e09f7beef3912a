package lanes

import "github.com/klauspost/cpuid/v2"

//go:generate go run ./gen

// Supported tells whether this processor has the instructions of the kernels.
var Supported = cpuid.CPU.Supports(cpuid.AVX512F, cpuid.AVX512DQ, cpuid.AVX512BW, cpuid.AVX512VL, cpuid.AVX512IFMA, cpuid.AVX512VBMI2)

//go:noescape
func mul(dst, a, b *uint64, step, blocks int, field *Field)
