package main

import "fmt"

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
