package main

import "fmt"

// Offsets in type batch.
const (
	argA      = 0
	argB      = 8
	argOut    = 16
	argPA     = 24
	argPB     = 32
	argPO     = 40
	argGroups = 48
	argDX     = 56
	argPrefix = 64
	argNorm   = 72
	argQ      = 80
	argMasks  = 88
	argSpace  = 96
	argField  = 104
)

const (
	blockBytes = 64 * limbs
	slotBytes  = 512 // of q: one for even groups, one for odd ones
)

func (e *emitter) function(name string, size int) {
	fmt.Fprintf(e, "TEXT ·%s(SB), NOSPLIT, $0-%d\n", name, size)
}

func (e *emitter) end() { e.WriteString("\tVZEROUPPER\n\tRET\n\n") }

// argument loads a field of the batch that DX points to.
func (e *emitter) argument(offset int, register string) {
	e.op("MOVQ", fmt.Sprintf("%d(DX)", offset), register)
}

// mul multiplies arrays of blocks of eight elements. step is the bytes from one block of b to the next.
func mul(e *emitter) {
	e.WriteString("// func mul(dst, a, b *uint64, step, blocks int, field *Field)\n")
	e.function("mul", 48)
	for i, r := range []string{"DI", "SI", "BX", "R8", "CX", "DX"} {
		e.op("MOVQ", fmt.Sprintf("%s+%d(FP)", []string{"dst", "a", "b", "step", "blocks", "field"}[i], 8*i), r)
	}
	e.prologue("DX")
	e.label("mulLoop")
	e.fetch(block("SI", 0), at(8))
	e.store(e.mul(product{at(8).operands(), block("BX", 0)}), block("DI", 0))
	e.op("ADDQ", fmt.Sprintf("$%d", blockBytes), "DI")
	e.op("ADDQ", fmt.Sprintf("$%d", blockBytes), "SI")
	e.op("ADDQ", "R8", "BX")
	e.op("DECQ", "CX")
	e.op("JNZ", "mulLoop")
	e.end()
}

// zero sets mask where all limbs or words are zero. It works in Z7.
func (e *emitter) zero(registers []int, mask string) {
	e.op("VPORQ", registers[0], registers[1], 7)
	for _, r := range registers[2:] {
		e.op("VPORQ", r, 7, 7)
	}
	e.op("VPTESTNMQ", 7, 7, mask)
}

// prefetch asks for the rows of the group that is ahead groups further on.
func (e *emitter) prefetch(r rows, ahead, lines int) {
	for lane := range 8 {
		e.op("MOVL", fmt.Sprintf("%d(%s)", 32*ahead+4*lane, r.list), "AX")
		e.op("ANDL", "$-64", "AX")
		for line := range lines {
			e.op("PREFETCHT0", r.address("AX", 64*line))
		}
	}
}

// g1Forward computes of each pair x2 - x1, and the running products of these, separately for each lane and for even and odd
// groups. A lane that has no such difference (equal x, or infinity) is marked in masks and counts as one.
func g1Forward(e *emitter) {
	e.WriteString("// func g1Forward(arguments *batch)\n")
	e.function("g1Forward", 8)
	e.op("MOVQ", "arguments+0(FP)", "DX")
	e.argument(argField, "R12")
	e.prologue("R12")
	e.forwardArguments()
	a, b := rows{"SI", "BX", 1}, rows{"DI", "CX", 1}
	e.label("g1ForwardLoop")
	e.prefetch(a, 2, 1)
	e.prefetch(b, 2, 1)
	w := [4]int{8, 9, 10, 11}
	x1, x2, d := at(13), at(18), at(8)
	e.words(a, 0, w)
	e.zero(w[:], "K1")
	e.split(w, x1)
	e.words(b, 0, w)
	e.zero(w[:], "K2")
	e.split(w, x2)
	e.sub(x2.operands(), x1.operands(), d)
	e.zero(d[:], "K3")
	e.exceptions()
	e.plusP(d)
	e.normal(d)
	e.op("VPBROADCASTQ", "48(R12)", "K3", d[0])
	for _, r := range d[1:] {
		e.op("VPXORQ", r, r, "K3", r)
	}
	e.store(d, block("R8", 0))
	e.store(e.mul(product{d.operands(), block("R9", 0)}), block("R9", 2*blockBytes))
	e.op("ADDQ", fmt.Sprintf("$%d", blockBytes), "R8")
	e.forwardNext("g1ForwardLoop")
}

func (e *emitter) forwardArguments() {
	e.argument(argA, "BX")
	e.argument(argB, "CX")
	e.argument(argPA, "SI")
	e.argument(argPB, "DI")
	e.argument(argDX, "R8")
	e.argument(argPrefix, "R9")
	e.argument(argMasks, "R10")
	e.argument(argGroups, "R11")
}

// exceptions joins K1 to K3 in K3 and notes it.
func (e *emitter) exceptions() {
	e.op("KORB", "K1", "K2", "K2")
	e.op("KORB", "K2", "K3", "K3")
	e.op("KMOVB", "K3", "AX")
	e.op("MOVB", "AX", "(R10)")
}

func (e *emitter) forwardNext(loop string) {
	e.op("ADDQ", "$32", "SI")
	e.op("ADDQ", "$32", "DI")
	e.op("ADDQ", fmt.Sprintf("$%d", blockBytes), "R9")
	e.op("INCQ", "R10")
	e.op("DECQ", "R11")
	e.op("JNZ", loop)
	e.end()
}

// backwardArguments points to the last group. R13 is the slot of q, which alternates.
func (e *emitter) backwardArguments(perGroup int) {
	e.argument(argA, "BX")
	e.argument(argB, "CX")
	e.argument(argPA, "SI")
	e.argument(argPB, "DI")
	e.argument(argPO, "R10")
	e.argument(argDX, "R8")
	e.argument(argPrefix, "R9")
	e.argument(argQ, "R13")
	e.argument(argSpace, "R12")
	e.argument(argGroups, "R11")
	e.op("LEAQ", "-1(R11)", "AX")
	e.op("MOVQ", "AX", "R15")
	e.op("ANDQ", "$1", "R15")
	e.op("SHLQ", "$9", "R15") // slotBytes
	e.op("ADDQ", "R15", "R13")
	e.op("IMUL3Q", "$32", "AX", "R15")
	e.op("ADDQ", "R15", "SI")
	e.op("ADDQ", "R15", "DI")
	e.op("ADDQ", "R15", "R10")
	e.op("IMUL3Q", fmt.Sprintf("$%d", blockBytes), "AX", "R15")
	e.op("ADDQ", "R15", "R9")
	if perGroup == 2 {
		e.argument(argNorm, "DX")
		e.op("ADDQ", "R15", "DX")
		e.op("ADDQ", "R15", "R15")
	}
	e.op("ADDQ", "R15", "R8")
	if perGroup == 1 { // else DX goes over the norms
		e.argument(argOut, "DX")
	}
}

func (e *emitter) backwardNext(loop string) {
	e.op("XORQ", fmt.Sprintf("$%d", slotBytes), "R13")
	for _, r := range []string{"SI", "DI", "R10"} {
		e.op("SUBQ", "$32", r)
	}
	e.op("SUBQ", fmt.Sprintf("$%d", blockBytes), "R9")
	e.op("DECQ", "R11")
	e.op("JNZ", loop)
	e.end()
}

// signs sets mask where the entries of a list have bit 0 set.
func (e *emitter) signs(list, mask string) {
	e.op("VPMOVZXDQ", fmt.Sprintf("(%s)", list), 7)
	e.op("VPSLLQ", "$63", 7, 7)
	e.op("VPMOVQ2M", 7, mask)
}

// negate puts p - v where mask is set. The limbs are signed then.
func (e *emitter) negate(v vector, mask string) {
	for j, r := range v {
		e.op("VPSUBQ", r, regP+j, mask, r)
	}
}

func (e *emitter) move(from, to vector) {
	for j := range limbs {
		e.op("VMOVDQA64", from[j], to[j])
	}
}

// g1Backward adds each pair: q holds for even and odd groups the inverse of their last running product, times 2^518.
//
// With coordinates times 2^256, as in gnark-crypto, that factor gives the inverse of x2 - x1 times 2^262, the slope times
// 2^258, its square times 2^256; and y3, from 4 * (x1 - x3), times 2^256.
func g1Backward(e *emitter) {
	e.WriteString("// func g1Backward(arguments *batch)\n")
	e.function("g1Backward", 8)
	e.op("MOVQ", "arguments+0(FP)", "DX")
	e.argument(argField, "R12")
	e.prologue("R12")
	e.backwardArguments(1)
	a, b, out := rows{"SI", "BX", 1}, rows{"DI", "CX", 1}, rows{"R10", "DX", 1}
	space := func(i int) [limbs]string { return block("R12", blockBytes*i) }
	x1, sum, y1, dy, inv := space(0), space(1), space(2), space(3), space(4)
	w := [4]int{8, 9, 10, 11}
	u, v, slope := at(13), at(18), at(8)
	q := block("R13", 0)

	e.label("g1BackwardLoop")
	e.words(a, 0, w)
	e.split(w, u)
	e.store(u, x1)
	e.words(b, 0, w)
	e.split(w, v)
	e.add(u.operands(), v.operands(), v)
	e.store(v, sum)
	e.words(a, 32, w)
	e.split(w, u)
	e.signs("SI", "K1")
	e.negate(u, "K1")
	e.store(u, y1)
	e.words(b, 32, w)
	e.split(w, v)
	e.signs("DI", "K2")
	e.negate(v, "K2")
	e.sub(v.operands(), u.operands(), v)
	e.plusP(v)
	e.normal(v)
	e.store(v, dy)

	e.store(e.mul(product{block("R9", 0), q}), inv)
	e.store(e.mul(product{block("R8", 0), q}), q)
	e.move(e.mul(product{v.operands(), inv}), slope)
	square := e.mul(product{slope.operands(), slope.operands()})
	e.sub(square.operands(), sum, u)
	e.plusP(u)
	e.plusP(u)
	e.normal(u)
	x3 := e.reduce(e.reduce(u, v, 2), u, 1)
	wx, wy := [4]int{18, 19, 20, 21}, [4]int{13, 14, 15, 16}
	e.join(x3, wx)
	e.sub(x1, x3.operands(), u)
	e.plusP(u)
	e.shift(u, 2)
	e.normal(u)
	r := e.mul(product{slope.operands(), u.operands()})
	e.sub(r.operands(), y1, slope)
	e.plusP(slope)
	e.normal(slope)
	y3 := e.reduce(e.reduce(slope, u, 1), slope, 1)
	e.join(y3, wy)
	e.scatter(out, 0, wx, wy)

	e.op("SUBQ", fmt.Sprintf("$%d", blockBytes), "R8")
	e.backwardNext("g1BackwardLoop")
}

// g2Forward is g1Forward over the quadratic extension: the running products are of the differences' norms.
func g2Forward(e *emitter) {
	e.WriteString("// func g2Forward(arguments *batch)\n")
	e.function("g2Forward", 8)
	e.op("MOVQ", "arguments+0(FP)", "DX")
	e.argument(argField, "R12")
	e.prologue("R12")
	e.forwardArguments()
	e.argument(argNorm, "R13")
	a, b := rows{"SI", "BX", 2}, rows{"DI", "CX", 2}
	w := [4]int{8, 9, 10, 11}
	x1, x2 := at(13), at(18)

	e.label("g2ForwardLoop")
	e.prefetch(a, 2, 2)
	e.prefetch(b, 2, 2)
	for half := range 2 {
		name := func(i int) string { return fmt.Sprintf("K%d", 3*half+i) }
		e.words(a, 32*half, w)
		e.zero(w[:], name(1))
		e.split(w, x1)
		e.words(b, 32*half, w)
		e.zero(w[:], name(2))
		e.split(w, x2)
		e.sub(x2.operands(), x1.operands(), x1)
		e.zero(x1[:], name(3))
		e.plusP(x1)
		e.normal(x1)
		if half == 0 {
			e.store(x1, block("R8", 0))
		}
	}
	for i := 1; i <= 3; i++ {
		e.op("KANDB", fmt.Sprintf("K%d", i), fmt.Sprintf("K%d", i+3), fmt.Sprintf("K%d", i))
	}
	e.exceptions()
	d0, d1 := at(8), at(13)
	e.fetch(block("R8", 0), d0)
	e.op("VPBROADCASTQ", "48(R12)", "K3", d0[0])
	for _, r := range append(d0[1:], d1[:]...) {
		e.op("VPXORQ", r, r, "K3", r)
	}
	e.store(d0, block("R8", 0))
	e.store(d1, block("R8", blockBytes))
	norm := at(18)
	e.move(e.mul(product{d0.operands(), d0.operands()}, product{d1.operands(), d1.operands()}), norm)
	e.store(norm, block("R13", 0))
	e.store(e.mul(product{norm.operands(), block("R9", 0)}), block("R9", 2*blockBytes))
	e.op("ADDQ", fmt.Sprintf("$%d", 2*blockBytes), "R8")
	e.op("ADDQ", fmt.Sprintf("$%d", blockBytes), "R13")
	e.forwardNext("g2ForwardLoop")
}

// g2Backward is g1Backward over the quadratic extension.
func g2Backward(e *emitter) {
	e.WriteString("// func g2Backward(arguments *batch)\n")
	e.function("g2Backward", 8)
	e.op("MOVQ", "arguments+0(FP)", "DX")
	e.argument(argField, "R12")
	e.prologue("R12")
	e.backwardArguments(2)
	a, b := rows{"SI", "BX", 2}, rows{"DI", "CX", 2}
	next := 0
	space := func() [limbs]string { next++; return block("R12", blockBytes*(next-1)) }
	pair := func() [2][limbs]string { return [2][limbs]string{space(), space()} }
	x1, sum, y1, dy, dxInv, slope, x3, shifted := pair(), pair(), pair(), pair(), pair(), pair(), pair(), pair()
	inv, minus := space(), space()
	w := [4]int{8, 9, 10, 11}
	u, v, t := at(13), at(18), at(8)
	q := block("R13", 0)

	e.label("g2BackwardLoop")
	e.signs("SI", "K1")
	e.signs("DI", "K2")
	for c := range 2 {
		e.words(a, 32*c, w)
		e.split(w, u)
		e.store(u, x1[c])
		e.words(b, 32*c, w)
		e.split(w, v)
		e.add(u.operands(), v.operands(), v)
		e.store(v, sum[c])
		e.words(a, 64+32*c, w)
		e.split(w, u)
		e.negate(u, "K1")
		e.store(u, y1[c])
		e.words(b, 64+32*c, w)
		e.split(w, v)
		e.negate(v, "K2")
		e.sub(v.operands(), u.operands(), v)
		e.plusP(v)
		e.normal(v)
		e.store(v, dy[c])
	}

	// 1 / (d0 + d1 u) = (d0 - d1 u) / norm
	e.store(e.mul(product{block("R9", 0), q}), inv)
	e.store(e.mul(product{block("DX", 0), q}), q)
	e.store(e.mul(product{block("R8", 0), inv}), dxInv[0])
	e.store(e.mul(product{block("R8", blockBytes), inv}), dxInv[1])
	e.twiceP(u)
	e.minus(u, dy[0], minus)
	e.store(e.mul(product{dy[0], dxInv[0]}, product{dy[1], dxInv[1]}), slope[0])
	e.store(e.mul(product{dy[1], dxInv[0]}, product{minus, dxInv[1]}), slope[1])

	// The slope's square.
	e.fetch(slope[0], t)
	e.fetch(slope[1], u)
	e.add(t.operands(), u.operands(), v)
	e.normal(v)
	e.sub(t.operands(), u.operands(), t)
	e.plusP(t)
	e.plusP(t)
	e.normal(t)
	square := e.mul(product{t.operands(), v.operands()})
	e.g2X(square, sum[0], x3[0], u, v)
	e.fetch(slope[0], t)
	e.add(t.operands(), t.operands(), t)
	e.normal(t)
	square = e.mul(product{t.operands(), slope[1]})
	e.g2X(square, sum[1], x3[1], u, v)

	for c := range 2 {
		e.fetch(x3[c], u)
		e.sub(x1[c], u.operands(), u)
		e.plusP(u)
		e.shift(u, 2)
		e.normal(u)
		e.store(u, shifted[c])
	}
	e.twiceP(u)
	e.minus(u, slope[1], minus)
	wx, wy, wz := [4]int{18, 19, 20, 21}, [4]int{8, 9, 10, 11}, [4]int{14, 15, 16, 17}
	r := e.mul(product{slope[0], shifted[0]}, product{minus, shifted[1]})
	e.sub(r.operands(), y1[0], t)
	e.plusP(t)
	e.normal(t)
	e.join(e.reduce(e.reduce(t, u, 1), t, 1), wx)
	r = e.mul(product{slope[0], shifted[1]}, product{slope[1], shifted[0]})
	e.sub(r.operands(), y1[1], t)
	e.plusP(t)
	e.normal(t)
	e.join(e.reduce(e.reduce(t, u, 1), t, 1), wz)

	e.op("MOVQ", "DX", fmt.Sprintf("%d(R12)", blockBytes*next)) // there is no register left
	e.op("MOVQ", "arguments+0(FP)", "DX")
	e.argument(argOut, "DX")
	out := rows{"R10", "DX", 2}
	e.scatter(out, 64, wx, wz)
	e.fetch(x3[0], u)
	e.join(u, wx)
	e.fetch(x3[1], u)
	e.join(u, wy)
	e.scatter(out, 0, wx, wy)
	e.op("MOVQ", fmt.Sprintf("%d(R12)", blockBytes*next), "DX")

	e.op("SUBQ", fmt.Sprintf("$%d", 2*blockBytes), "R8")
	e.op("SUBQ", fmt.Sprintf("$%d", blockBytes), "DX")
	e.backwardNext("g2BackwardLoop")
}

// g2X stores the canonical square - sum.
func (e *emitter) g2X(square vector, sum, to [limbs]string, u, v vector) {
	e.sub(square.operands(), sum, u)
	e.plusP(u)
	e.plusP(u)
	e.normal(u)
	e.store(e.reduce(e.reduce(u, v, 2), u, 1), to)
}

func (e *emitter) twiceP(v vector) {
	for j, r := range v {
		e.op("VPADDQ", regP+j, regP+j, r)
	}
}

// minus stores v - from, normal.
func (e *emitter) minus(v vector, from, to [limbs]string) {
	e.sub(v.operands(), from, v)
	e.normal(v)
	e.store(v, to)
}
