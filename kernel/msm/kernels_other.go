//go:build !amd64

package msm

import "unsafe"

// hasLanes is false where no kernels are written: gnark-crypto sums then.
var hasLanes = false

type batch struct {
	a, b, out           unsafe.Pointer
	pa, pb, po          *uint32
	groups              int
	dx, prefix, norm, q *uint64
	masks               *uint8
	space               *uint64
	field               *field
}

const noKernels = "msm: this processor has no kernels"

func mulBlocks(_, _, _ *uint64, _ int, _ *field) { panic(noKernels) }

func g1Forward(*batch)  { panic(noKernels) }
func g1Backward(*batch) { panic(noKernels) }
func g2Forward(*batch)  { panic(noKernels) }
func g2Backward(*batch) { panic(noKernels) }
