package msm

import (
	"math/bits"
	"unsafe"

	"github.com/consensys/gnark-crypto/ecc/bn254/fp"

	"github.com/shale-cloud/shale/kernel/lanes"
)

// batchPairs is the number of pairs that share an inversion: so many that it costs little, so few that what is kept of
// them stays in the second-level cache.
const batchPairs = 1024

const batchGroups = batchPairs / lanes.Lanes

// ahead is how many entries beyond a batch the kernels read, to ask for the rows in advance.
const ahead = 2 * lanes.Lanes

// adder adds pairs of affine points, many at a time. Not for concurrent use.
type adder[P, J any] struct {
	group                *group[P, J]
	dx, prefix, norm, q  []uint64
	space                []uint64
	masks                []uint8
	lastA, lastB, lastTo [batchPairs + ahead]uint32 // the last batch, filled up
	mended               []mended[P]
}

// mended is a sum that the kernel could not make.
type mended[P any] struct {
	at    uint32
	point P
}

// list is three arrays of one entry a pair: a row's index * 64, and in bit 0 of a and b whether to negate the point.
type list struct{ a, b, to []uint32 }

func (l *list) clear() { l.a, l.b, l.to = l.a[:0], l.b[:0], l.to[:0] }

// sized gives the list n entries; those that it had stay.
func (l *list) sized(n int) {
	if cap(l.a) < n || cap(l.b) < n || cap(l.to) < n {
		l.a, l.b, l.to = make([]uint32, n), make([]uint32, n), make([]uint32, n)
	}
	l.a, l.b, l.to = l.a[:n], l.b[:n], l.to[:n]
}

func (l *list) append(a, b, to uint32) {
	l.a, l.b, l.to = append(l.a, a), append(l.b, b), append(l.to, to)
}

const (
	rowShift = 6 // of an entry
	slot     = 512 / 8
)

func newAdder[P, J any](g *group[P, J]) *adder[P, J] {
	a := &adder[P, J]{
		group:  g,
		dx:     lanes.Aligned(batchGroups * lanes.Block * g.coordinates),
		prefix: lanes.Aligned((batchGroups + 2) * lanes.Block),
		norm:   lanes.Aligned(batchGroups * lanes.Block),
		q:      lanes.Aligned(2 * slot),
		space:  lanes.Aligned(20 * lanes.Block),
		masks:  make([]uint8, batchGroups),
	}
	for lane := range lanes.Lanes {
		lanes.Put(a.prefix, lane, (*[4]uint64)(&montgomeryOne))
		lanes.Put(a.prefix[lanes.Block:], lane, (*[4]uint64)(&montgomeryOne))
	}
	return a
}

// montgomeryOne and inverseScale are plain numbers in gnark-crypto's type: 2^260 and, in its Montgomery form, 2^6.
var montgomeryOne, inverseScale = func() (one, scale fp.Element) {
	scale.SetUint64(1 << 6)
	return *new(fp.Element).SetUint64(1 << 4), scale // 2^4 * 2^256
}()

// add puts a[i] + b[i] at out[to[i]] for each entry of the list. Rows that are written must not be read by the same call,
// but for a pair's own. One row beyond those of the list, spare, is overwritten.
func (d *adder[P, J]) add(a, b, out []P, l *list, spare uint32) {
	for from := 0; from < len(l.a); from += batchPairs {
		n := min(batchPairs, len(l.a)-from)
		part := list{l.a[from : from+n], l.b[from : from+n], l.to[from : from+n]}
		if n%lanes.Lanes != 0 || len(l.a)-from-n < ahead {
			full := (n + lanes.Lanes - 1) / lanes.Lanes * lanes.Lanes
			copy(d.lastA[:], part.a)
			copy(d.lastB[:], part.b)
			copy(d.lastTo[:], part.to)
			for i := n; i < full; i++ {
				d.lastA[i], d.lastB[i], d.lastTo[i] = part.a[0], part.b[0], spare<<rowShift
			}
			part = list{d.lastA[:full], d.lastB[:full], d.lastTo[:full]}
		}
		d.batch(a, b, out, part, n)
	}
}

func (d *adder[P, J]) batch(a, b, out []P, l list, n int) {
	arguments := batch{
		a: unsafe.Pointer(unsafe.SliceData(a)), b: unsafe.Pointer(unsafe.SliceData(b)), out: unsafe.Pointer(unsafe.SliceData(out)),
		pa: unsafe.SliceData(l.a), pb: unsafe.SliceData(l.b), po: unsafe.SliceData(l.to),
		groups: len(l.a) / lanes.Lanes,
		dx:     &d.dx[0], prefix: &d.prefix[0], norm: &d.norm[0], q: &d.q[0],
		masks: &d.masks[0], space: &d.space[0], field: lanes.BaseField,
	}
	d.group.forward(&arguments)
	d.mended = d.mended[:0]
	for g, mask := range d.masks[:arguments.groups] {
		for ; mask != 0; mask &= mask - 1 {
			i := lanes.Lanes*g + bits.TrailingZeros8(mask)
			if i < n {
				d.mend(a, b, l, i)
			}
		}
	}
	d.invert(arguments.groups)
	d.group.backward(&arguments)
	for i := range d.mended {
		out[d.mended[i].at] = d.mended[i].point
	}
}

// mend adds one pair by the general rule.
func (d *adder[P, J]) mend(a, b []P, l list, i int) {
	p, q := a[l.a[i]>>rowShift], b[l.b[i]>>rowShift]
	if l.a[i]&1 != 0 {
		d.group.negate(&p)
	}
	if l.b[i]&1 != 0 {
		d.group.negate(&q)
	}
	switch {
	case d.group.infinite(&p):
		p = q
	case d.group.infinite(&q):
	default:
		d.group.sum(&p, &p, &q)
	}
	d.mended = append(d.mended, mended[P]{l.to[i] >> rowShift, p})
}

// invert sets q to 2^518 over the last running products. gnark-crypto's inverse of F is 2^512/F.
func (d *adder[P, J]) invert(groups int) {
	var products, running [2 * lanes.Lanes]fp.Element
	var all fp.Element
	all.SetOne()
	for i := range products {
		products[i] = lanes.Take(d.prefix[lanes.Block*(groups+i/lanes.Lanes):], i%lanes.Lanes)
		running[i] = all
		all.Mul(&all, &products[i])
	}
	all.Inverse(&all).Mul(&all, &inverseScale)
	for i := len(products) - 1; i >= 0; i-- {
		var q fp.Element
		q.Mul(&all, &running[i])
		all.Mul(&all, &products[i])
		parity := (groups + i/lanes.Lanes) & 1
		lanes.Put(d.q[slot*parity:], i%lanes.Lanes, (*[4]uint64)(&q))
	}
}
