package main

import (
	"fmt"
	"strings"
)

// limbs is the number of 52-bit limbs of a field element.
const limbs = 5

// Registers that hold the modulus, -1/p mod 2^52, 2^52-1 and p for the length of a kernel, as prologue loads them.
const (
	regP    = 27 // five of them
	regNInv = 26
	regMask = 25
)

// Registers that mul works in.
const (
	regT = 0 // six of them
	regM = 6
	regB = 7
)

type vector [limbs]int // numbers of Z registers

func at(first int) (v vector) {
	for i := range v {
		v[i] = first + i
	}
	return v
}

func (v vector) operands() (o [limbs]string) {
	for i, r := range v {
		o[i] = z(r)
	}
	return o
}

func z(r int) string { return fmt.Sprintf("Z%d", r) }

// block names the five limbs of eight elements in memory.
func block(base string, offset int) (o [limbs]string) {
	for i := range o {
		o[i] = fmt.Sprintf("%d(%s)", offset+64*i, base)
	}
	return o
}

type emitter struct {
	strings.Builder
}

func (e *emitter) op(name string, operands ...any) {
	text := make([]string, len(operands))
	for i, o := range operands {
		if r, ok := o.(int); ok {
			text[i] = z(r)
		} else {
			text[i] = fmt.Sprint(o)
		}
	}
	fmt.Fprintf(e, "\t%s %s\n", name, strings.Join(text, ", "))
}

func (e *emitter) comment(text string) { fmt.Fprintf(e, "\n\t// %s\n", text) }

func (e *emitter) label(name string) { fmt.Fprintf(e, "%s:\n", name) }

// prologue loads the field's constants from the block that reg points to: p in five limbs, then -1/p mod 2^52.
func (e *emitter) prologue(reg string) {
	for i := range limbs {
		e.op("VPBROADCASTQ", fmt.Sprintf("%d(%s)", 8*i, reg), regP+i)
	}
	e.op("VPBROADCASTQ", fmt.Sprintf("40(%s)", reg), regNInv)
	e.op("VPTERNLOGQ", "$0xff", regMask, regMask, regMask)
	e.op("VPSRLQ", "$12", regMask, regMask)
}

type product struct{ a, b [limbs]string }

// mul emits the sum of products, divided by 2^260, modulo p: below p + sum/2^260. The limbs of the operands are normal, and
// so are the result's. It works in Z0 to Z7 and names the registers of the result, which are among Z0 to Z5.
func (e *emitter) mul(products ...product) vector {
	t := []int{regT, regT + 1, regT + 2, regT + 3, regT + 4, regT + 5}
	for _, r := range t {
		e.op("VPXORQ", r, r, r)
	}
	for i := range limbs {
		for _, p := range products {
			b := p.b[i]
			if strings.HasSuffix(b, ")") {
				e.op("VMOVDQU64", b, regB)
				b = z(regB)
			}
			for j := range limbs {
				e.op("VPMADD52LUQ", p.a[j], b, t[j])
			}
			for j := range limbs {
				e.op("VPMADD52HUQ", p.a[j], b, t[j+1])
			}
		}
		e.op("VPXORQ", regM, regM, regM)
		e.op("VPMADD52LUQ", regNInv, t[0], regM)
		for j := range limbs {
			e.op("VPMADD52LUQ", regP+j, regM, t[j])
		}
		e.op("VPSRLQ", "$52", t[0], t[0])
		e.op("VPADDQ", t[0], t[1], t[1])
		for j := range limbs {
			e.op("VPMADD52HUQ", regP+j, regM, t[j+1])
		}
		if i < limbs-1 {
			e.op("VPXORQ", t[0], t[0], t[0])
		}
		t = append(t[1:], t[0])
	}
	result := vector(t[:limbs])
	e.normal(result)
	return result
}

// normal carries signed limbs upward, so that all but the highest lie in 0 to 2^52-1. The highest keeps the value's sign.
func (e *emitter) normal(v vector) {
	for j := range limbs - 1 {
		e.op("VPSRAQ", "$52", v[j], regM)
		e.op("VPANDQ", regMask, v[j], v[j])
		e.op("VPADDQ", regM, v[j+1], v[j+1])
	}
}

// reduce subtracts times p (one or two) where that leaves no negative value. It works in spare and K7.
func (e *emitter) reduce(v, spare vector, times int) vector {
	for j := range limbs {
		e.op("VPSUBQ", regP+j, v[j], spare[j])
		if times == 2 {
			e.op("VPSUBQ", regP+j, spare[j], spare[j])
		}
	}
	e.normal(spare)
	e.op("VPMOVQ2M", spare[limbs-1], "K7")
	for j := range limbs {
		e.op("VMOVDQA64", v[j], "K7", spare[j])
	}
	return spare
}

// add emits a + b; b may be memory.
func (e *emitter) add(a, b [limbs]string, to vector) {
	for j := range limbs {
		e.op("VPADDQ", b[j], a[j], to[j])
	}
}

// sub emits a - b; both may be memory.
func (e *emitter) sub(a, b [limbs]string, to vector) {
	for j := range limbs {
		if strings.HasSuffix(a[j], ")") {
			e.op("VMOVDQA64", a[j], regM)
			e.op("VPSUBQ", b[j], regM, to[j])
		} else {
			e.op("VPSUBQ", b[j], a[j], to[j])
		}
	}
}

func (e *emitter) plusP(v vector) {
	for j := range limbs {
		e.op("VPADDQ", regP+j, v[j], v[j])
	}
}

func (e *emitter) shift(v vector, bits int) {
	for j := range limbs {
		e.op("VPSLLQ", fmt.Sprintf("$%d", bits), v[j], v[j])
	}
}

func (e *emitter) store(v vector, to [limbs]string) {
	for j := range limbs {
		e.op("VMOVDQU64", v[j], to[j])
	}
}

func (e *emitter) fetch(from [limbs]string, v vector) {
	for j := range limbs {
		e.op("VMOVDQU64", from[j], v[j])
	}
}

// rows says where eight coordinates lie: an array of eight entries at entries(list), each the row's index * 64 and a sign in
// bit 0; the row's bytes begin at base + index * 64 * scale.
type rows struct {
	list  string
	base  string
	scale int
}

func (e *emitter) row(r rows, lane int, register string) {
	e.op("MOVL", fmt.Sprintf("%d(%s)", 4*lane, r.list), register)
	e.op("ANDL", "$-64", register)
}

func (r rows) address(register string, offset int) string {
	return fmt.Sprintf("%d(%s)(%s*%d)", offset, r.base, register, r.scale)
}

// words gathers eight coordinates of four 64-bit words into w[0] to w[3], one word of all eight to a register. It works in
// Z0 to Z7, AX and R15.
func (e *emitter) words(r rows, offset int, w [4]int) {
	for half := range 2 {
		for k := range 2 { // Z0: rows 0 and 2; Z1: 1 and 3; Z2: 4 and 6; Z3: 5 and 7
			to := 2*half + k
			low, high := 4*half+k, 4*half+k+2
			e.row(r, low, "AX")
			e.row(r, high, "R15")
			e.op("VMOVDQU", r.address("AX", offset), fmt.Sprintf("Y%d", to))
			e.op("VINSERTI64X4", "$1", r.address("R15", offset), to, to)
		}
	}
	e.transposeWords(w)
}

// transposeWords takes in Z0 to Z3 the elements 0 and 2, 1 and 3, 4 and 6, 5 and 7. It works in Z4 to Z7.
func (e *emitter) transposeWords(w [4]int) {
	e.op("VPUNPCKLQDQ", 1, 0, 4)
	e.op("VPUNPCKHQDQ", 1, 0, 5)
	e.op("VPUNPCKLQDQ", 3, 2, 6)
	e.op("VPUNPCKHQDQ", 3, 2, 7)
	e.op("VSHUFI64X2", "$0x88", 6, 4, w[0])
	e.op("VSHUFI64X2", "$0x88", 7, 5, w[1])
	e.op("VSHUFI64X2", "$0xdd", 6, 4, w[2])
	e.op("VSHUFI64X2", "$0xdd", 7, 5, w[3])
}

// split turns four 64-bit words into five limbs. The registers must be others.
func (e *emitter) split(w [4]int, v vector) {
	e.op("VPANDQ", regMask, w[0], v[0])
	e.op("VPSHRDQ", "$52", w[1], w[0], v[1])
	e.op("VPANDQ", regMask, v[1], v[1])
	e.op("VPSHRDQ", "$40", w[2], w[1], v[2])
	e.op("VPANDQ", regMask, v[2], v[2])
	e.op("VPSHRDQ", "$28", w[3], w[2], v[3])
	e.op("VPANDQ", regMask, v[3], v[3])
	e.op("VPSRLQ", "$16", w[3], v[4])
}

// join is split's inverse, for values below 2^256. It works in Z6.
func (e *emitter) join(v vector, w [4]int) {
	e.op("VPSLLQ", "$52", v[1], w[0])
	e.op("VPORQ", v[0], w[0], w[0])
	for i, bits := range []int{12, 24, 36} {
		e.op("VPSRLQ", fmt.Sprintf("$%d", bits), v[i+1], w[i+1])
		e.op("VPSLLQ", fmt.Sprintf("$%d", 52-bits), v[i+2], regM)
		e.op("VPORQ", regM, w[i+1], w[i+1])
	}
}

// scatter writes eight rows of 64 bytes: the words x then y. It works in Z0 to Z7, and destroys x and y.
func (e *emitter) scatter(r rows, offset int, x, y [4]int) {
	for odd := range 2 {
		unpack := []string{"VPUNPCKLQDQ", "VPUNPCKHQDQ"}[odd]
		e.op(unpack, x[1], x[0], 0)
		e.op(unpack, x[3], x[2], 1)
		e.op(unpack, y[1], y[0], 2)
		e.op(unpack, y[3], y[2], 3)
		e.transposeRows()
		for k := range 4 {
			e.row(r, 2*k+odd, "AX")
			e.op("VMOVDQU64", k, r.address("AX", offset))
		}
	}
}

// transposeRows transposes the 128-bit lanes of Z0 to Z3. It works in Z4 to Z7.
func (e *emitter) transposeRows() {
	e.op("VSHUFI64X2", "$0x44", 1, 0, 4)
	e.op("VSHUFI64X2", "$0xee", 1, 0, 5)
	e.op("VSHUFI64X2", "$0x44", 3, 2, 6)
	e.op("VSHUFI64X2", "$0xee", 3, 2, 7)
	e.op("VSHUFI64X2", "$0x88", 6, 4, 0)
	e.op("VSHUFI64X2", "$0xdd", 6, 4, 1)
	e.op("VSHUFI64X2", "$0x88", 7, 5, 2)
	e.op("VSHUFI64X2", "$0xdd", 7, 5, 3)
}
