package main

import "fmt"

// Offsets in lanes.Field, which R12 points to.
const (
	fieldRatio = 56
	fieldMinus = 64
	fieldFour  = 104
	fieldEight = 144
)

// Offsets in type layer.
const (
	layerData   = 0
	layerStride = 8
	layerCount  = 16
	layerGroups = 24
	layerW      = 32
	layerWNext  = 40
	layerWInner = 48
	layerField  = 56
	layerSpace  = 64
)

// constant adds a multiple of p.
func (e *emitter) constant(offset int, v vector) {
	for j, r := range v {
		e.op("VPADDQ.BCST", fmt.Sprintf("%d(R12)", offset+8*j), r, r)
	}
}

// fold reduces a sum of limbs, below 16p, to below 1.2p: it subtracts p as often as the highest limb tells, by adding
// 2^260 - p and dropping 2^260. The limbs become normal. It works in Z6 and Z7.
func (e *emitter) fold(v vector) {
	e.op("VPXORQ", regB, regB, regB)
	e.op("VPMADD52HUQ.BCST", fmt.Sprintf("%d(R12)", fieldRatio), v[limbs-1], regB)
	for j := range limbs {
		e.op("VPMADD52LUQ.BCST", fmt.Sprintf("%d(R12)", fieldMinus+8*j), regB, v[j])
	}
	for j := range limbs - 1 {
		e.op("VPMADD52HUQ.BCST", fmt.Sprintf("%d(R12)", fieldMinus+8*j), regB, v[j+1])
	}
	e.normal(v)
	e.op("VPANDQ", regMask, v[limbs-1], v[limbs-1])
}

// layerLoop emits a kernel that goes over groups of count places: quarters gives the operands of one.
func layerLoop(e *emitter, name string, parts int, body func(part func(int) [limbs]string, w, wNext, wInner [limbs]string)) {
	fmt.Fprintf(e, "// func %s(arguments *layer)\n", name)
	e.function(name, 8)
	e.op("MOVQ", "arguments+0(FP)", "DX")
	e.argument(layerField, "R12")
	e.prologue("R12")
	e.argument(layerData, "SI")
	e.argument(layerStride, "R8")
	e.op("LEAQ", "(R8)(R8*2)", "R9")
	e.argument(layerGroups, "R11")
	e.argument(layerSpace, "R13")
	e.label(name + "Group")
	e.argument(layerCount, "R10")
	e.argument(layerW, "BX")
	e.argument(layerWNext, "CX")
	e.argument(layerWInner, "DI")
	e.label(name + "Loop")
	part := func(i int) (o [limbs]string) {
		index := []string{"", "(R8*1)", "(R8*2)", "(R9*1)"}[i]
		for j := range o {
			o[j] = fmt.Sprintf("%d(SI)%s", 64*j, index)
		}
		return o
	}
	body(part, block("BX", 0), block("CX", 0), block("DI", 0))
	for _, r := range []string{"SI", "BX", "CX", "DI"} {
		e.op("ADDQ", fmt.Sprintf("$%d", blockBytes), r)
	}
	e.op("DECQ", "R10")
	e.op("JNZ", name+"Loop")
	if parts == 4 {
		e.op("ADDQ", "R9", "SI")
	} else {
		e.op("ADDQ", "R8", "SI")
	}
	e.op("DECQ", "R11")
	e.op("JNZ", name+"Group")
	e.end()
}

// dif4 is two layers of decimation in frequency: (u, v) becomes u + v and (u - v) * w, first over halves with w and wNext,
// then over quarters with wInner. Operands and results are below 2.4p.
func dif4(e *emitter) {
	layerLoop(e, "dif4", 4, func(part func(int) [limbs]string, w, wNext, wInner [limbs]string) {
		x, y, sum, b2 := at(8), at(13), at(18), block("R13", 0)
		e.fetch(part(0), x)
		e.add(x.operands(), part(2), sum)
		e.minusMemory(x, part(2), fieldFour)
		e.normal(x)
		e.store(e.mul(product{x.operands(), w}), b2)
		e.fetch(part(1), x)
		e.add(x.operands(), part(3), y)
		e.minusMemory(x, part(3), fieldFour)
		e.normal(x)
		b3 := e.mul(product{x.operands(), wNext})
		e.add(b3.operands(), b2, x)
		e.normal(x)
		e.store(x, part(2))
		e.sub(b2, b3.operands(), x)
		e.constant(fieldFour, x)
		e.normal(x)
		e.store(e.mul(product{x.operands(), wInner}), part(3))
		e.add(sum.operands(), y.operands(), x)
		e.fold(x)
		e.store(x, part(0))
		e.sub(sum.operands(), y.operands(), x)
		e.constant(fieldEight, x)
		e.normal(x)
		e.store(e.mul(product{x.operands(), wInner}), part(1))
	})
}

// dit4 is two layers of decimation in time: (u, v) becomes u + v*w and u - v*w, first over quarters with wInner, then over
// halves with w and wNext.
func dit4(e *emitter) {
	layerLoop(e, "dit4", 4, func(part func(int) [limbs]string, w, wNext, wInner [limbs]string) {
		x, y, b0, b1, b3 := at(8), at(13), at(18), block("R13", 0), block("R13", blockBytes)
		e.fetch(part(1), x)
		r := e.mul(product{x.operands(), wInner})
		e.fetch(part(0), y)
		e.add(y.operands(), r.operands(), b0)
		e.sub(y.operands(), r.operands(), y)
		e.constant(fieldFour, y)
		e.store(y, b1)
		e.fetch(part(3), x)
		r = e.mul(product{x.operands(), wInner})
		e.fetch(part(2), y)
		e.add(y.operands(), r.operands(), x)
		e.normal(x)
		e.sub(y.operands(), r.operands(), y)
		e.constant(fieldFour, y)
		e.normal(y)
		e.store(y, b3)
		r = e.mul(product{x.operands(), w})
		e.bothFolded(r, b0, x, y, part(0), part(2))
		e.fetch(b3, x)
		r = e.mul(product{x.operands(), wNext})
		e.fetch(b1, b0)
		e.bothFolded(r, b0, x, y, part(1), part(3))
	})
}

// bothFolded stores u + v and u - v + 4p.
func (e *emitter) bothFolded(v, u, x, y vector, sum, difference [limbs]string) {
	e.add(u.operands(), v.operands(), x)
	e.sub(u.operands(), v.operands(), y)
	e.constant(fieldFour, y)
	e.fold(x)
	e.store(x, sum)
	e.fold(y)
	e.store(y, difference)
}

// dif2 is one layer of dif4.
func dif2(e *emitter) {
	layerLoop(e, "dif2", 2, func(part func(int) [limbs]string, w, _, _ [limbs]string) {
		x, y := at(8), at(13)
		e.fetch(part(0), x)
		e.add(x.operands(), part(1), y)
		e.minusMemory(x, part(1), fieldFour)
		e.fold(y)
		e.store(y, part(0))
		e.normal(x)
		e.store(e.mul(product{x.operands(), w}), part(1))
	})
}

// dit2 is one layer of dit4.
func dit2(e *emitter) {
	layerLoop(e, "dit2", 2, func(part func(int) [limbs]string, w, _, _ [limbs]string) {
		x, y, u := at(8), at(13), at(18)
		e.fetch(part(1), x)
		r := e.mul(product{x.operands(), w})
		e.fetch(part(0), u)
		e.bothFolded(r, u, x, y, part(0), part(1))
	})
}

// minusMemory subtracts from v and adds a multiple of p.
func (e *emitter) minusMemory(v vector, from [limbs]string, offset int) {
	for j, r := range v {
		e.op("VPSUBQ", from[j], r, r)
	}
	e.constant(offset, v)
}

// A leaf's twiddles are three blocks: of the strides four, two and one.
func leafTwiddles(i int) [limbs]string { return block("BX", blockBytes*i) }

func (e *emitter) each(a, b, low, high vector, first, second func(a, b, to int)) {
	for j := range limbs {
		first(a[j], b[j], low[j])
		second(a[j], b[j], high[j])
	}
}

func (e *emitter) lanesOf(imm string) func(a, b, to int) {
	return func(a, b, to int) { e.op("VSHUFI64X2", imm, b, a, to) }
}

func (e *emitter) low(a, b, to int) { e.op("VPUNPCKLQDQ", b, a, to) }

func (e *emitter) high(a, b, to int) { e.op("VPUNPCKHQDQ", b, a, to) }

func leafLoop(e *emitter, name string, body func(a, b [limbs]string)) {
	fmt.Fprintf(e, "// func %s(data *uint64, pairs int, twiddles *uint64, order *uint64, field *lanes.Field)\n", name)
	e.function(name, 40)
	e.op("MOVQ", "field+32(FP)", "R12")
	e.prologue("R12")
	e.op("MOVQ", "data+0(FP)", "SI")
	e.op("MOVQ", "pairs+8(FP)", "R10")
	e.op("MOVQ", "twiddles+16(FP)", "BX")
	e.op("MOVQ", "order+24(FP)", "CX")
	e.op("VMOVDQU64", "(CX)", 24)
	e.label(name + "Loop")
	body(block("SI", 0), block("SI", blockBytes))
	e.op("ADDQ", fmt.Sprintf("$%d", 2*blockBytes), "SI")
	e.op("DECQ", "R10")
	e.op("JNZ", name+"Loop")
	e.end()
}

// difLeaf is the last three layers, inside blocks, two blocks A and B at a time. Comments name the 128-bit lanes' indices.
func difLeaf(e *emitter) {
	leafLoop(e, "difLeaf", func(a, b [limbs]string) {
		x, y, sum := at(8), at(13), at(18)
		for j := range limbs { // order 0 4 1 5 2 6 3 7
			e.op("VPERMQ", a[j], 24, sum[j])
			e.op("VPERMQ", b[j], 24, y[j])
		}
		e.each(sum, y, x, y, e.low, e.high) // A0B0 A1B1 A2B2 A3B3 | A4B4 A5B5 A6B6 A7B7
		butterfly := func(twiddles int, offset, times int) vector {
			e.add(x.operands(), y.operands(), sum)
			e.sub(x.operands(), y.operands(), x)
			for range times {
				e.constant(offset, x)
			}
			e.normal(x)
			return e.mul(product{x.operands(), leafTwiddles(twiddles)})
		}
		r := butterfly(0, fieldFour, 1)
		e.each(sum, r, x, y, e.lanesOf("$0x44"), e.lanesOf("$0xee")) // 0 1 4 5 | 2 3 6 7
		r = butterfly(1, fieldEight, 1)
		e.each(sum, r, x, y, e.lanesOf("$0x88"), e.lanesOf("$0xdd")) // 0 4 2 6 | 1 5 3 7
		r = butterfly(2, fieldEight, 2)
		e.move(r, x)
		e.fold(sum)
		e.each(sum, x, y, sum, e.low, e.high) // A01 A45 A23 A67 | B01 B45 B23 B67
		for j := range limbs {
			e.op("VSHUFI64X2", "$0xd8", y[j], y[j], y[j])
			e.op("VSHUFI64X2", "$0xd8", sum[j], sum[j], sum[j])
		}
		e.store(y, a)
		e.store(sum, b)
	})
}

// ditLeaf is the first three layers, inside blocks.
func ditLeaf(e *emitter) {
	leafLoop(e, "ditLeaf", func(a, b [limbs]string) {
		x, y, sum := at(8), at(13), at(18)
		e.fetch(a, sum)
		e.fetch(b, y)
		e.each(sum, y, x, y, e.low, e.high) // A0B0 A2B2 A4B4 A6B6 | A1B1 A3B3 A5B5 A7B7
		butterfly := func(twiddles int) {
			r := e.mul(product{y.operands(), leafTwiddles(twiddles)})
			e.add(x.operands(), r.operands(), sum)
			e.sub(x.operands(), r.operands(), y)
			e.constant(fieldFour, y)
			e.fold(sum)
			e.fold(y)
		}
		butterfly(0)
		e.each(sum, y, x, y, e.lanesOf("$0x88"), e.lanesOf("$0xdd")) // 0 4 1 5 | 2 6 3 7
		butterfly(1)
		e.each(sum, y, x, y, e.lanesOf("$0x88"), e.lanesOf("$0xdd")) // 0 1 2 3 | 4 5 6 7
		butterfly(2)
		e.each(sum, y, x, y, e.low, e.high) // A0 A4 A1 A5 A2 A6 A3 A7 | B...
		for j := range limbs {
			e.op("VPERMQ", x[j], 24, x[j]) // order 0 2 4 6 1 3 5 7
			e.op("VPERMQ", y[j], 24, y[j])
		}
		e.store(x, a)
		e.store(y, b)
	})
}

// combine sets a to a*b*s + c*t, s and t being blocks.
func combine(e *emitter) {
	e.WriteString("// func combine(a, b, c *uint64, blocks int, scales *uint64, field *lanes.Field)\n")
	e.function("combine", 48)
	e.op("MOVQ", "field+40(FP)", "R12")
	e.prologue("R12")
	for i, r := range []string{"SI", "DI", "BX", "R10", "CX"} {
		e.op("MOVQ", fmt.Sprintf("%s+%d(FP)", []string{"a", "b", "c", "blocks", "scales"}[i], 8*i), r)
	}
	e.label("combineLoop")
	x, y := at(8), at(13)
	e.fetch(block("SI", 0), x)
	e.move(e.mul(product{x.operands(), block("DI", 0)}), x)
	e.fetch(block("BX", 0), y)
	e.store(e.mul(product{x.operands(), block("CX", 0)}, product{y.operands(), block("CX", blockBytes)}), block("SI", 0))
	for _, r := range []string{"SI", "DI", "BX"} {
		e.op("ADDQ", fmt.Sprintf("$%d", blockBytes), r)
	}
	e.op("DECQ", "R10")
	e.op("JNZ", "combineLoop")
	e.end()
}

// toBlocks and fromBlocks turn elements of four words into blocks and back; back they are reduced.
func toBlocks(e *emitter) {
	e.WriteString("// func toBlocks(blocks *uint64, elements *fr.Element, n int, field *lanes.Field)\n")
	e.function("toBlocks", 32)
	e.op("MOVQ", "field+24(FP)", "R12")
	e.prologue("R12")
	e.op("MOVQ", "blocks+0(FP)", "DI")
	e.op("MOVQ", "elements+8(FP)", "SI")
	e.op("MOVQ", "n+16(FP)", "R10")
	e.label("toBlocksLoop")
	for i, first := range []int{0, 1, 4, 5} {
		e.op("VMOVDQU", fmt.Sprintf("%d(SI)", 32*first), fmt.Sprintf("Y%d", i))
		e.op("VINSERTI64X4", "$1", fmt.Sprintf("%d(SI)", 32*(first+2)), i, i)
	}
	w := [4]int{8, 9, 10, 11}
	e.transposeWords(w)
	e.split(w, at(13))
	e.store(at(13), block("DI", 0))
	e.op("ADDQ", fmt.Sprintf("$%d", blockBytes), "DI")
	e.op("ADDQ", "$256", "SI")
	e.op("DECQ", "R10")
	e.op("JNZ", "toBlocksLoop")
	e.end()
}

func fromBlocks(e *emitter) {
	e.WriteString("// func fromBlocks(elements *fr.Element, blocks *uint64, n int, field *lanes.Field)\n")
	e.function("fromBlocks", 32)
	e.op("MOVQ", "field+24(FP)", "R12")
	e.prologue("R12")
	e.op("MOVQ", "elements+0(FP)", "DI")
	e.op("MOVQ", "blocks+8(FP)", "SI")
	e.op("MOVQ", "n+16(FP)", "R10")
	e.label("fromBlocksLoop")
	x := at(8)
	e.fetch(block("SI", 0), x)
	e.fold(x)
	x = e.reduce(x, at(13), 1)
	w := [4]int{18, 19, 20, 21}
	e.join(x, w)
	e.low(w[0], w[1], 0)
	e.low(w[2], w[3], 1)
	e.high(w[0], w[1], 2)
	e.high(w[2], w[3], 3)
	e.transposeRows()
	for k := range 4 {
		e.op("VMOVDQU64", k, fmt.Sprintf("%d(DI)", 64*k))
	}
	e.op("ADDQ", fmt.Sprintf("$%d", blockBytes), "SI")
	e.op("ADDQ", "$256", "DI")
	e.op("DECQ", "R10")
	e.op("JNZ", "fromBlocksLoop")
	e.end()
}
