package msm

import (
	"unsafe"

	"github.com/shale-cloud/shale/kernel/lanes"
)

// batch is what the kernels of points take. Their assembly knows its offsets.
type batch struct {
	a, b, out  unsafe.Pointer // rows of points
	pa, pb, po *uint32        // one entry a pair: the row's index * 64, and in bit 0 of pa and pb whether to negate the point
	groups     int            // of eight pairs
	dx         *uint64        // a block of eight lanes a group, in G2 two
	prefix     *uint64        // the same, and two more
	norm       *uint64        // G2 only
	q          *uint64        // two slots of 512 bytes, at a multiple of 1024
	masks      *uint8         // a bit a pair that the kernel could not add
	space      *uint64
	field      *lanes.Field
}

//go:noescape
func g1Forward(arguments *batch)

//go:noescape
func g1Backward(arguments *batch)

//go:noescape
func g2Forward(arguments *batch)

//go:noescape
func g2Backward(arguments *batch)
