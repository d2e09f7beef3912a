package commp

import "github.com/klauspost/cpuid/v2"

// The loops that this processor has. Two lanes are the better ones where messages are few.
var (
	has2  = cpuid.CPU.Supports(cpuid.SHA, cpuid.AVX)
	has16 = cpuid.CPU.Supports(cpuid.AVX512F, cpuid.AVX512BW)
)

func init() {
	switch {
	case has16:
		hashPairs = hashPairs16
	case has2:
		hashPairs = hashPairs2
	}
}

// hash2 hashes groups of two pairs. dst may be src.
//
//go:noescape
func hash2(dst, src *byte, groups int)

// hash16 hashes groups of sixteen pairs. dst may be src.
//
//go:noescape
func hash16(dst, src *byte, groups int)

func hashPairs2(dst, src []byte) {
	pairs := len(src) / pairSize
	if groups := pairs / 2; groups > 0 {
		_ = dst[2*groups*nodeSize-1]
		hash2(&dst[0], &src[0], groups)
		src, dst = src[2*groups*pairSize:], dst[2*groups*nodeSize:]
	}
	if pairs%2 == 1 {
		var two [2 * pairSize]byte
		copy(two[:], src[:pairSize])
		hash2(&two[0], &two[0], 1)
		copy(dst[:nodeSize], two[:])
	}
}

func hashPairs16(dst, src []byte) {
	if groups := len(src) / (16 * pairSize); groups > 0 {
		_ = dst[16*groups*nodeSize-1]
		hash16(&dst[0], &src[0], groups)
		src, dst = src[16*groups*pairSize:], dst[16*groups*nodeSize:]
	}
	if has2 {
		hashPairs2(dst, src)
	} else {
		hashPairsPortable(dst, src)
	}
}
