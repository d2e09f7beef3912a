// Two interleaved lanes of SHA-256 over messages of 64 bytes, by the SHA extensions. One lane waits for the latency of
// SHA256RNDS2; the second fills the gap.

#include "textflag.h"

// Reverses the bytes of each word.
DATA swap2<>+0(SB)/8, $0x0405060700010203
DATA swap2<>+8(SB)/8, $0x0c0d0e0f08090a0b
GLOBL swap2<>(SB), RODATA|NOPTR, $16

// The initial hash value (FIPS 180-4, 5.3.3), in the order that the instructions keep state in: F E B A, H G D C.
DATA abef<>+0(SB)/8, $0x510e527f9b05688c
DATA abef<>+8(SB)/8, $0x6a09e667bb67ae85
GLOBL abef<>(SB), RODATA|NOPTR, $16
DATA cdgh<>+0(SB)/8, $0x1f83d9ab5be0cd19
DATA cdgh<>+8(SB)/8, $0x3c6ef372a54ff53a
GLOBL cdgh<>(SB), RODATA|NOPTR, $16

// Clears the two highest bits of a digest's last byte.
DATA keep2<>+0(SB)/8, $0xffffffffffffffff
DATA keep2<>+8(SB)/8, $0x3fffffffffffffff
GLOBL keep2<>(SB), RODATA|NOPTR, $16

// Four rounds of both lanes on the message words in a and b.
#define ROUNDS(k, a, b) \
	VPADDD       k(R8), a, X0    \
	SHA256RNDS2  X0, X1, X2      \
	VPSHUFD      $0x0e, X0, X0   \
	SHA256RNDS2  X0, X2, X1      \
	VPADDD       k(R8), b, X0    \
	SHA256RNDS2  X0, X7, X8      \
	VPSHUFD      $0x0e, X0, X0   \
	SHA256RNDS2  X0, X8, X7

// The message words that come after c, into n: sigma0 was added to n before; p are the words before c.
#define NEXT(p, c, n, t) \
	VPALIGNR     $4, p, c, t     \
	VPADDD       t, n, n         \
	SHA256MSG2   c, n

#define FIRST(k, pA, cA, pB, cB) \
	ROUNDS(k, cA, cB)            \
	SHA256MSG1   cA, pA          \
	SHA256MSG1   cB, pB

#define MIDDLE(k, pA, cA, nA, pB, cB, nB) \
	NEXT(pA, cA, nA, X13)        \
	NEXT(pB, cB, nB, X14)        \
	ROUNDS(k, cA, cB)            \
	SHA256MSG1   cA, pA          \
	SHA256MSG1   cB, pB

#define LAST(k, pA, cA, nA, pB, cB, nB) \
	NEXT(pA, cA, nA, X13)        \
	NEXT(pB, cB, nB, X14)        \
	ROUNDS(k, cA, cB)

// Four rounds of both lanes on the padding block, whose words stand in memory.
#define PADDING(k) \
	VMOVDQU      k(R9), X0       \
	VPSHUFD      $0x0e, X0, X13  \
	SHA256RNDS2  X0, X1, X2      \
	SHA256RNDS2  X0, X7, X8      \
	VMOVDQA      X13, X0         \
	SHA256RNDS2  X0, X2, X1      \
	SHA256RNDS2  X0, X8, X7

#define LOAD(off, m) \
	VMOVDQU      off(SI), m      \
	VPSHUFB      X15, m, m

// The digest of state s0, s1 to off(DI).
#define STORE(off, s0, s1) \
	VPSHUFD      $0x1b, s0, X13         \
	VPSHUFD      $0xb1, s1, X14         \
	VPBLENDW     $0xf0, X14, X13, X0    \
	VPALIGNR     $8, X13, X14, X14      \
	VPSHUFB      X15, X0, X0            \
	VPSHUFB      X15, X14, X14          \
	VPAND        keep2<>(SB), X14, X14  \
	VMOVDQU      X0, off(DI)            \
	VMOVDQU      X14, off+16(DI)

// func hash2(dst, src *byte, groups int)
TEXT ·hash2(SB), NOSPLIT, $0-24
	MOVQ dst+0(FP), DI
	MOVQ src+8(FP), SI
	MOVQ groups+16(FP), CX
	LEAQ ·roundK(SB), R8
	LEAQ ·paddingWK(SB), R9
	VMOVDQU swap2<>(SB), X15
	TESTQ CX, CX
	JZ   done

group:
	LOAD(0, X3)
	LOAD(16, X4)
	LOAD(32, X5)
	LOAD(48, X6)
	LOAD(64, X9)
	LOAD(80, X10)
	LOAD(96, X11)
	LOAD(112, X12)
	VMOVDQU abef<>(SB), X1
	VMOVDQU cdgh<>(SB), X2
	VMOVDQA X1, X7
	VMOVDQA X2, X8

	ROUNDS(0, X3, X9)
	FIRST(16, X3, X4, X9, X10)
	FIRST(32, X4, X5, X10, X11)
	MIDDLE(48, X5, X6, X3, X11, X12, X9)
	MIDDLE(64, X6, X3, X4, X12, X9, X10)
	MIDDLE(80, X3, X4, X5, X9, X10, X11)
	MIDDLE(96, X4, X5, X6, X10, X11, X12)
	MIDDLE(112, X5, X6, X3, X11, X12, X9)
	MIDDLE(128, X6, X3, X4, X12, X9, X10)
	MIDDLE(144, X3, X4, X5, X9, X10, X11)
	MIDDLE(160, X4, X5, X6, X10, X11, X12)
	MIDDLE(176, X5, X6, X3, X11, X12, X9)
	MIDDLE(192, X6, X3, X4, X12, X9, X10)
	LAST(208, X3, X4, X5, X9, X10, X11)
	LAST(224, X4, X5, X6, X10, X11, X12)
	ROUNDS(240, X6, X12)

	VPADDD abef<>(SB), X1, X1
	VPADDD cdgh<>(SB), X2, X2
	VPADDD abef<>(SB), X7, X7
	VPADDD cdgh<>(SB), X8, X8
	VMOVDQA X1, X3
	VMOVDQA X2, X4
	VMOVDQA X7, X9
	VMOVDQA X8, X10

	PADDING(0)
	PADDING(16)
	PADDING(32)
	PADDING(48)
	PADDING(64)
	PADDING(80)
	PADDING(96)
	PADDING(112)
	PADDING(128)
	PADDING(144)
	PADDING(160)
	PADDING(176)
	PADDING(192)
	PADDING(208)
	PADDING(224)
	PADDING(240)

	VPADDD X3, X1, X1
	VPADDD X4, X2, X2
	VPADDD X9, X7, X7
	VPADDD X10, X8, X8
	STORE(0, X1, X2)
	STORE(32, X7, X8)

	ADDQ $128, SI
	ADDQ $64, DI
	DECQ CX
	JNZ  group

done:
	RET
