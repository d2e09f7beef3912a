package fft

import (
	"github.com/consensys/gnark-crypto/ecc/bn254/fr"

	"github.com/shale-cloud/shale/kernel/lanes"
)

// layer is what the kernels of layers take. Their assembly knows its offsets.
type layer struct {
	data      *uint64
	stride    int // bytes from one half or quarter to the next
	count     int // blocks of each that are worked on
	groups    int // that follow each other
	w, wNext  *uint64
	wInner    *uint64
	field     *lanes.Field
	workspace *uint64 // two blocks
}

//go:noescape
func dif4(arguments *layer)

//go:noescape
func dit4(arguments *layer)

//go:noescape
func dif2(arguments *layer)

//go:noescape
func dit2(arguments *layer)

//go:noescape
func difLeaf(data *uint64, pairs int, twiddles *uint64, order *uint64, field *lanes.Field)

//go:noescape
func ditLeaf(data *uint64, pairs int, twiddles *uint64, order *uint64, field *lanes.Field)

//go:noescape
func combine(a, b, c *uint64, blocks int, scales *uint64, field *lanes.Field)

//go:noescape
func toBlocks(blocks *uint64, elements *fr.Element, n int, field *lanes.Field)

//go:noescape
func fromBlocks(elements *fr.Element, blocks *uint64, n int, field *lanes.Field)
