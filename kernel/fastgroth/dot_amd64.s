// Sums of products of 256-bit numbers, not reduced, by MULX, ADCX and ADOX.

#include "textflag.h"

// Adds DX times the number at DI to a0 to a5 and on. AX and CX are for the work; both carries are clear before and after.
#define TIMES(a0, a1, a2, a3, a4) \
	MULXQ 0(DI), AX, CX  \
	ADCXQ AX, a0         \
	ADOXQ CX, a1         \
	MULXQ 8(DI), AX, CX  \
	ADCXQ AX, a1         \
	ADOXQ CX, a2         \
	MULXQ 16(DI), AX, CX \
	ADCXQ AX, a2         \
	ADOXQ CX, a3         \
	MULXQ 24(DI), AX, CX \
	ADCXQ AX, a3         \
	ADOXQ CX, a4         \
	MOVQ  $0, AX         \
	ADCXQ AX, a4

#define BOTH(a) \
	ADOXQ AX, a \
	ADCXQ AX, a

// func dot(sum *[9]uint64, terms *uint32, n int, coefficients, values *fr.Element)
TEXT ·dot(SB), NOSPLIT, $0-40
	XORQ R8, R8
	XORQ R9, R9
	XORQ R10, R10
	XORQ R11, R11
	XORQ R12, R12
	XORQ R13, R13
	XORQ R14, R14
	XORQ R15, R15
	XORQ BX, BX

loop:
	MOVQ terms+8(FP), AX
	MOVL 0(AX), SI
	MOVL 4(AX), DI
	ADDQ $8, AX
	MOVQ AX, terms+8(FP)
	SHLQ $5, SI
	ADDQ coefficients+24(FP), SI
	SHLQ $5, DI
	ADDQ values+32(FP), DI
	XORQ AX, AX

	MOVQ 0(SI), DX
	TIMES(R8, R9, R10, R11, R12)
	BOTH(R13)
	BOTH(R14)
	BOTH(R15)
	BOTH(BX)
	MOVQ 8(SI), DX
	TIMES(R9, R10, R11, R12, R13)
	BOTH(R14)
	BOTH(R15)
	BOTH(BX)
	MOVQ 16(SI), DX
	TIMES(R10, R11, R12, R13, R14)
	BOTH(R15)
	BOTH(BX)
	MOVQ 24(SI), DX
	TIMES(R11, R12, R13, R14, R15)
	BOTH(BX)

	DECQ n+16(FP)
	JNZ  loop

	MOVQ sum+0(FP), DI
	MOVQ R8, 0(DI)
	MOVQ R9, 8(DI)
	MOVQ R10, 16(DI)
	MOVQ R11, 24(DI)
	MOVQ R12, 32(DI)
	MOVQ R13, 40(DI)
	MOVQ R14, 48(DI)
	MOVQ R15, 56(DI)
	MOVQ BX, 64(DI)
	RET
