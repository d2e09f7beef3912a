package fr32

import "github.com/klauspost/cpuid/v2"

func init() {
	if cpuid.CPU.Supports(cpuid.AVX2) {
		unpad = unpadWide
	}
}

// unpadQuads reports whether padding bits are set in any of the quads. It reads 8 bytes behind src and writes one byte
// behind dst.
//
//go:noescape
func unpadQuads(dst, src *byte, quads int) (set bool)

// unpadWide leaves the last quad, behind which nothing may be touched, to the portable loop, and to find the place of
// what shouldn't be there, too.
func unpadWide(dst, src []byte) int {
	quads := len(src)/Padded - 1
	if quads <= 0 {
		return unpadPortable(dst, src)
	}
	_ = dst[(quads+1)*Raw-1]
	if unpadQuads(&dst[0], &src[0], quads) {
		return unpadPortable(dst, src)
	}
	bad := unpadPortable(dst[quads*Raw:], src[quads*Padded:])
	if bad >= 0 {
		bad += quads * Padded
	}
	return bad
}
