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
