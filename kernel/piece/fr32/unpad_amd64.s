// Unpads by AVX2: an element is a register, and what it lacks comes from the words one further on.

#include "textflag.h"

// Drops the padding: of an element, and of the words one further on.
DATA element<>+0(SB)/8, $0xffffffffffffffff
DATA element<>+8(SB)/8, $0xffffffffffffffff
DATA element<>+16(SB)/8, $0xffffffffffffffff
DATA element<>+24(SB)/8, $0x3fffffffffffffff
GLOBL element<>(SB), RODATA|NOPTR, $32
DATA further<>+0(SB)/8, $0xffffffffffffffff
DATA further<>+8(SB)/8, $0xffffffffffffffff
DATA further<>+16(SB)/8, $0x3fffffffffffffff
DATA further<>+24(SB)/8, $0xffffffffffffffff
GLOBL further<>(SB), RODATA|NOPTR, $32

// By how much the words further on move up, for each of the four elements of a quad. 64 leaves nothing of them.
DATA up<>+0(SB)/8, $64
DATA up<>+8(SB)/8, $64
DATA up<>+16(SB)/8, $64
DATA up<>+24(SB)/8, $62
DATA up<>+32(SB)/8, $62
DATA up<>+40(SB)/8, $62
DATA up<>+48(SB)/8, $62
DATA up<>+56(SB)/8, $60
DATA up<>+64(SB)/8, $60
DATA up<>+72(SB)/8, $60
DATA up<>+80(SB)/8, $60
DATA up<>+88(SB)/8, $58
DATA up<>+96(SB)/8, $58
DATA up<>+104(SB)/8, $58
DATA up<>+112(SB)/8, $58
DATA up<>+120(SB)/8, $64
GLOBL up<>(SB), RODATA|NOPTR, $128

// Element k of the quad at SI to DI, down by 2k bits. Y13 gathers the padding bits of all.
#define ELEMENT(k, moved) \
	VMOVDQU  32*k(SI), Y0     \
	VMOVDQU  32*k+8(SI), Y1   \
	VPOR     Y0, Y13, Y13     \
	VPAND    Y15, Y0, Y0      \
	VPAND    Y14, Y1, Y1      \
	VPSRLQ   $(2*k), Y0, Y0   \
	VPSLLVQ  moved, Y1, Y1    \
	VPOR     Y1, Y0, Y0       \
	VMOVDQU  Y0, 32*k(DI)

// func unpadQuads(dst, src *byte, quads int) (set bool)
TEXT ·unpadQuads(SB), NOSPLIT, $0-25
	MOVQ dst+0(FP), DI
	MOVQ src+8(FP), SI
	MOVQ quads+16(FP), CX
	VMOVDQU element<>(SB), Y15
	VMOVDQU further<>(SB), Y14
	VPXOR   Y13, Y13, Y13
	VMOVDQU up<>+0(SB), Y8
	VMOVDQU up<>+32(SB), Y9
	VMOVDQU up<>+64(SB), Y10
	VMOVDQU up<>+96(SB), Y11
	TESTQ   CX, CX
	JZ      done

quad:
	ELEMENT(0, Y8)
	ELEMENT(1, Y9)
	ELEMENT(2, Y10)
	ELEMENT(3, Y11)
	ADDQ $128, SI
	ADDQ $127, DI
	DECQ CX
	JNZ  quad

done:
	VPANDN Y13, Y15, Y13
	VPTEST Y13, Y13
	SETNE  set+24(FP)
	VZEROUPPER
	RET
