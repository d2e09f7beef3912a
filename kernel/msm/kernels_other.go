//go:build !amd64

package msm

import (
	"unsafe"

	"github.com/shale-cloud/shale/kernel/lanes"
)

type batch struct {
	a, b, out           unsafe.Pointer
	pa, pb, po          *uint32
	groups              int
	dx, prefix, norm, q *uint64
	masks               *uint8
	space               *uint64
	field               *lanes.Field
}

const noKernels = "msm: this processor has no kernels"

func g1Forward(*batch)  { panic(noKernels) }
func g1Backward(*batch) { panic(noKernels) }
func g2Forward(*batch)  { panic(noKernels) }
func g2Backward(*batch) { panic(noKernels) }
