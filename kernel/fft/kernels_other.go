//go:build !amd64

package fft

import (
	"github.com/consensys/gnark-crypto/ecc/bn254/fr"

	"github.com/shale-cloud/shale/kernel/lanes"
)

type layer struct {
	data                  *uint64
	stride, count, groups int
	w, wNext, wInner      *uint64
	field                 *lanes.Field
	workspace             *uint64
}

const noKernels = "fft: this processor has no kernels"

func dif4(*layer)                                               { panic(noKernels) }
func dit4(*layer)                                               { panic(noKernels) }
func dif2(*layer)                                               { panic(noKernels) }
func dit2(*layer)                                               { panic(noKernels) }
func difLeaf(*uint64, int, *uint64, *uint64, *lanes.Field)      { panic(noKernels) }
func ditLeaf(*uint64, int, *uint64, *uint64, *lanes.Field)      { panic(noKernels) }
func combine(_, _, _ *uint64, _ int, _ *uint64, _ *lanes.Field) { panic(noKernels) }
func toBlocks(*uint64, *fr.Element, int, *lanes.Field)          { panic(noKernels) }
func fromBlocks(*fr.Element, *uint64, int, *lanes.Field)        { panic(noKernels) }
