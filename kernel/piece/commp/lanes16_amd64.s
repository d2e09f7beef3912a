// Sixteen lanes of SHA-256 over messages of 64 bytes, by AVX-512: each register holds one word of all lanes, Z0 to Z7
// the state and Z16 to Z31 the message.

#include "textflag.h"

// Reverses the bytes of each word.
DATA swap16<>+0(SB)/8, $0x0405060700010203
DATA swap16<>+8(SB)/8, $0x0c0d0e0f08090a0b
GLOBL swap16<>(SB), RODATA|NOPTR, $16

// The initial hash value (FIPS 180-4, 5.3.3).
DATA initial<>+0(SB)/4, $0x6a09e667
DATA initial<>+4(SB)/4, $0xbb67ae85
DATA initial<>+8(SB)/4, $0x3c6ef372
DATA initial<>+12(SB)/4, $0xa54ff53a
DATA initial<>+16(SB)/4, $0x510e527f
DATA initial<>+20(SB)/4, $0x9b05688c
DATA initial<>+24(SB)/4, $0x1f83d9ab
DATA initial<>+28(SB)/4, $0x5be0cd19
GLOBL initial<>(SB), RODATA|NOPTR, $32

// Clears the two highest bits of a digest's last byte, the lowest of its last word.
DATA keep16<>+0(SB)/4, $0xffffff3f
GLOBL keep16<>(SB), RODATA|NOPTR, $4

// A 4x4 transposition of words in each 128-bit lane of a, b, c, d.
#define TRANSPOSE(a, b, c, d, t0, t1, t2, t3) \
	VPUNPCKLDQ  b, a, t0  \
	VPUNPCKHDQ  b, a, t1  \
	VPUNPCKLDQ  d, c, t2  \
	VPUNPCKHDQ  d, c, t3  \
	VPUNPCKLQDQ t2, t0, a \
	VPUNPCKHQDQ t2, t0, b \
	VPUNPCKLQDQ t3, t1, c \
	VPUNPCKHQDQ t3, t1, d

// Sixteen bytes at off of the messages j, j+4, j+8 and j+12, one message to a 128-bit lane.
#define GATHER(off, x, z) \
	VMOVDQU      off(SI), x               \
	VINSERTI32X4 $1, off+256(SI), z, z    \
	VINSERTI32X4 $2, off+512(SI), z, z    \
	VINSERTI32X4 $3, off+768(SI), z, z

// Four words at off of all messages, through Z0 to Z3 (of which EVEX instructions load X0 to X3), to four registers.
#define LOAD(off, w0, w1, w2, w3) \
	GATHER(off, X0, Z0)                          \
	GATHER(off+64, X1, Z1)                       \
	GATHER(off+128, X2, Z2)                      \
	GATHER(off+192, X3, Z3)                      \
	TRANSPOSE(Z0, Z1, Z2, Z3, Z4, Z5, Z6, Z7)    \
	VPSHUFB      Z15, Z0, w0                     \
	VPSHUFB      Z15, Z1, w1                     \
	VPSHUFB      Z15, Z2, w2                     \
	VPSHUFB      Z15, Z3, w3

#define SCATTER(off, z) \
	VEXTRACTI32X4 $0, z, off(DI)      \
	VEXTRACTI32X4 $1, z, off+128(DI)  \
	VEXTRACTI32X4 $2, z, off+256(DI)  \
	VEXTRACTI32X4 $3, z, off+384(DI)

// A round (FIPS 180-4, 6.2.2) after h got its message word and constant.
#define ROUND(a, b, c, d, e, f, g, h) \
	VPRORD     $6, e, Z8           \
	VPRORD     $11, e, Z9          \
	VPRORD     $25, e, Z10         \
	VMOVDQA32  e, Z11              \
	VPTERNLOGD $0xca, g, f, Z11    \
	VPTERNLOGD $0x96, Z10, Z9, Z8  \
	VPADDD     Z11, h, h           \
	VPADDD     Z8, h, h            \
	VPRORD     $2, a, Z12          \
	VPRORD     $13, a, Z13         \
	VPRORD     $22, a, Z14         \
	VPADDD     h, d, d             \
	VMOVDQA32  a, Z9               \
	VPTERNLOGD $0xe8, c, b, Z9     \
	VPTERNLOGD $0x96, Z14, Z13, Z12 \
	VPADDD     Z9, h, h            \
	VPADDD     Z12, h, h

#define MESSAGE(k, w, a, b, c, d, e, f, g, h) \
	VPADDD.BCST k(R8), h, h        \
	VPADDD      w, h, h            \
	ROUND(a, b, c, d, e, f, g, h)

// The message word sixteen rounds on: w becomes w + sigma0(w1) + w9 + sigma1(w14).
#define SCHEDULE(w, w1, w9, w14) \
	VPRORD     $7, w1, Z8          \
	VPRORD     $18, w1, Z9         \
	VPSRLD     $3, w1, Z10         \
	VPRORD     $17, w14, Z12       \
	VPRORD     $19, w14, Z13       \
	VPSRLD     $10, w14, Z14       \
	VPTERNLOGD $0x96, Z10, Z9, Z8  \
	VPTERNLOGD $0x96, Z14, Z13, Z12 \
	VPADDD     w9, w, w            \
	VPADDD     Z8, w, w            \
	VPADDD     Z12, w, w

#define EXPAND(k, w, w1, w9, w14, a, b, c, d, e, f, g, h) \
	MESSAGE(k, w, a, b, c, d, e, f, g, h) \
	SCHEDULE(w, w1, w9, w14)

#define PADDING(k, a, b, c, d, e, f, g, h) \
	VPADDD.BCST k(R9), h, h        \
	ROUND(a, b, c, d, e, f, g, h)

// func hash16(dst, src *byte, groups int)
TEXT ·hash16(SB), NOSPLIT, $0-24
	MOVQ dst+0(FP), DI
	MOVQ src+8(FP), SI
	MOVQ groups+16(FP), CX
	TESTQ CX, CX
	JZ   done

group:
	VBROADCASTI32X4 swap16<>(SB), Z15
	LOAD(0, Z16, Z17, Z18, Z19)
	LOAD(16, Z20, Z21, Z22, Z23)
	LOAD(32, Z24, Z25, Z26, Z27)
	LOAD(48, Z28, Z29, Z30, Z31)
	VPBROADCASTD initial<>+0(SB), Z0
	VPBROADCASTD initial<>+4(SB), Z1
	VPBROADCASTD initial<>+8(SB), Z2
	VPBROADCASTD initial<>+12(SB), Z3
	VPBROADCASTD initial<>+16(SB), Z4
	VPBROADCASTD initial<>+20(SB), Z5
	VPBROADCASTD initial<>+24(SB), Z6
	VPBROADCASTD initial<>+28(SB), Z7

	LEAQ ·roundK(SB), R8
	MOVQ $3, DX

rounds:
	EXPAND(0, Z16, Z17, Z25, Z30, Z0, Z1, Z2, Z3, Z4, Z5, Z6, Z7)
	EXPAND(4, Z17, Z18, Z26, Z31, Z7, Z0, Z1, Z2, Z3, Z4, Z5, Z6)
	EXPAND(8, Z18, Z19, Z27, Z16, Z6, Z7, Z0, Z1, Z2, Z3, Z4, Z5)
	EXPAND(12, Z19, Z20, Z28, Z17, Z5, Z6, Z7, Z0, Z1, Z2, Z3, Z4)
	EXPAND(16, Z20, Z21, Z29, Z18, Z4, Z5, Z6, Z7, Z0, Z1, Z2, Z3)
	EXPAND(20, Z21, Z22, Z30, Z19, Z3, Z4, Z5, Z6, Z7, Z0, Z1, Z2)
	EXPAND(24, Z22, Z23, Z31, Z20, Z2, Z3, Z4, Z5, Z6, Z7, Z0, Z1)
	EXPAND(28, Z23, Z24, Z16, Z21, Z1, Z2, Z3, Z4, Z5, Z6, Z7, Z0)
	EXPAND(32, Z24, Z25, Z17, Z22, Z0, Z1, Z2, Z3, Z4, Z5, Z6, Z7)
	EXPAND(36, Z25, Z26, Z18, Z23, Z7, Z0, Z1, Z2, Z3, Z4, Z5, Z6)
	EXPAND(40, Z26, Z27, Z19, Z24, Z6, Z7, Z0, Z1, Z2, Z3, Z4, Z5)
	EXPAND(44, Z27, Z28, Z20, Z25, Z5, Z6, Z7, Z0, Z1, Z2, Z3, Z4)
	EXPAND(48, Z28, Z29, Z21, Z26, Z4, Z5, Z6, Z7, Z0, Z1, Z2, Z3)
	EXPAND(52, Z29, Z30, Z22, Z27, Z3, Z4, Z5, Z6, Z7, Z0, Z1, Z2)
	EXPAND(56, Z30, Z31, Z23, Z28, Z2, Z3, Z4, Z5, Z6, Z7, Z0, Z1)
	EXPAND(60, Z31, Z16, Z24, Z29, Z1, Z2, Z3, Z4, Z5, Z6, Z7, Z0)
	ADDQ $64, R8
	DECQ DX
	JNZ  rounds

	MESSAGE(0, Z16, Z0, Z1, Z2, Z3, Z4, Z5, Z6, Z7)
	MESSAGE(4, Z17, Z7, Z0, Z1, Z2, Z3, Z4, Z5, Z6)
	MESSAGE(8, Z18, Z6, Z7, Z0, Z1, Z2, Z3, Z4, Z5)
	MESSAGE(12, Z19, Z5, Z6, Z7, Z0, Z1, Z2, Z3, Z4)
	MESSAGE(16, Z20, Z4, Z5, Z6, Z7, Z0, Z1, Z2, Z3)
	MESSAGE(20, Z21, Z3, Z4, Z5, Z6, Z7, Z0, Z1, Z2)
	MESSAGE(24, Z22, Z2, Z3, Z4, Z5, Z6, Z7, Z0, Z1)
	MESSAGE(28, Z23, Z1, Z2, Z3, Z4, Z5, Z6, Z7, Z0)
	MESSAGE(32, Z24, Z0, Z1, Z2, Z3, Z4, Z5, Z6, Z7)
	MESSAGE(36, Z25, Z7, Z0, Z1, Z2, Z3, Z4, Z5, Z6)
	MESSAGE(40, Z26, Z6, Z7, Z0, Z1, Z2, Z3, Z4, Z5)
	MESSAGE(44, Z27, Z5, Z6, Z7, Z0, Z1, Z2, Z3, Z4)
	MESSAGE(48, Z28, Z4, Z5, Z6, Z7, Z0, Z1, Z2, Z3)
	MESSAGE(52, Z29, Z3, Z4, Z5, Z6, Z7, Z0, Z1, Z2)
	MESSAGE(56, Z30, Z2, Z3, Z4, Z5, Z6, Z7, Z0, Z1)
	MESSAGE(60, Z31, Z1, Z2, Z3, Z4, Z5, Z6, Z7, Z0)

	VPADDD.BCST initial<>+0(SB), Z0, Z0
	VPADDD.BCST initial<>+4(SB), Z1, Z1
	VPADDD.BCST initial<>+8(SB), Z2, Z2
	VPADDD.BCST initial<>+12(SB), Z3, Z3
	VPADDD.BCST initial<>+16(SB), Z4, Z4
	VPADDD.BCST initial<>+20(SB), Z5, Z5
	VPADDD.BCST initial<>+24(SB), Z6, Z6
	VPADDD.BCST initial<>+28(SB), Z7, Z7
	VMOVDQA32 Z0, Z16
	VMOVDQA32 Z1, Z17
	VMOVDQA32 Z2, Z18
	VMOVDQA32 Z3, Z19
	VMOVDQA32 Z4, Z20
	VMOVDQA32 Z5, Z21
	VMOVDQA32 Z6, Z22
	VMOVDQA32 Z7, Z23

	LEAQ ·paddingWK(SB), R9
	MOVQ $8, DX

padding:
	PADDING(0, Z0, Z1, Z2, Z3, Z4, Z5, Z6, Z7)
	PADDING(4, Z7, Z0, Z1, Z2, Z3, Z4, Z5, Z6)
	PADDING(8, Z6, Z7, Z0, Z1, Z2, Z3, Z4, Z5)
	PADDING(12, Z5, Z6, Z7, Z0, Z1, Z2, Z3, Z4)
	PADDING(16, Z4, Z5, Z6, Z7, Z0, Z1, Z2, Z3)
	PADDING(20, Z3, Z4, Z5, Z6, Z7, Z0, Z1, Z2)
	PADDING(24, Z2, Z3, Z4, Z5, Z6, Z7, Z0, Z1)
	PADDING(28, Z1, Z2, Z3, Z4, Z5, Z6, Z7, Z0)
	ADDQ $32, R9
	DECQ DX
	JNZ  padding

	VPADDD Z16, Z0, Z0
	VPADDD Z17, Z1, Z1
	VPADDD Z18, Z2, Z2
	VPADDD Z19, Z3, Z3
	VPADDD Z20, Z4, Z4
	VPADDD Z21, Z5, Z5
	VPADDD Z22, Z6, Z6
	VPADDD Z23, Z7, Z7
	VPANDD.BCST keep16<>(SB), Z7, Z7

	TRANSPOSE(Z0, Z1, Z2, Z3, Z8, Z9, Z10, Z11)
	TRANSPOSE(Z4, Z5, Z6, Z7, Z8, Z9, Z10, Z11)
	VBROADCASTI32X4 swap16<>(SB), Z15
	VPSHUFB Z15, Z0, Z0
	VPSHUFB Z15, Z1, Z1
	VPSHUFB Z15, Z2, Z2
	VPSHUFB Z15, Z3, Z3
	VPSHUFB Z15, Z4, Z4
	VPSHUFB Z15, Z5, Z5
	VPSHUFB Z15, Z6, Z6
	VPSHUFB Z15, Z7, Z7
	SCATTER(0, Z0)
	SCATTER(16, Z4)
	SCATTER(32, Z1)
	SCATTER(48, Z5)
	SCATTER(64, Z2)
	SCATTER(80, Z6)
	SCATTER(96, Z3)
	SCATTER(112, Z7)

	ADDQ $1024, SI
	ADDQ $512, DI
	DECQ CX
	JNZ  group
	VZEROUPPER

done:
	RET
