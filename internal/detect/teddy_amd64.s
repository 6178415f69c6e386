#include "textflag.h"

// For one byte of each of 32 trigrams, whose lower and upper halves are in Y0 and Y1, FIRST puts into acc the buckets of
// one set that have trigrams with such halves, by the two tables at off; NEXT takes those out of acc that have none.
#define FIRST(off, acc)        \
	VMOVDQU off(DI), Y2        \
	VMOVDQU off+32(DI), Y3     \
	VPSHUFB Y0, Y2, Y2         \
	VPSHUFB Y1, Y3, Y3         \
	VPAND   Y2, Y3, acc

#define NEXT(off, acc)         \
	VMOVDQU off(DI), Y2        \
	VMOVDQU off+32(DI), Y3     \
	VPSHUFB Y0, Y2, Y2         \
	VPSHUFB Y1, Y3, Y3         \
	VPAND   Y2, acc, acc       \
	VPAND   Y3, acc, acc

#define HALVES(at)             \
	VPOR    at(SI), Y15, Y0    \
	VPSRLW  $4, Y0, Y1         \
	VPAND   Y14, Y0, Y0        \
	VPAND   Y14, Y1, Y1

// func teddyAVX2(text *byte, blocks int, t *teddy, found *uint32)
TEXT ·teddyAVX2(SB), NOSPLIT, $0-32
	MOVQ    text+0(FP), SI
	MOVQ    blocks+8(FP), CX
	MOVQ    t+16(FP), DI
	MOVQ    found+24(FP), DX
	VMOVDQU 768(DI), Y14
	VMOVDQU 800(DI), Y15
	VPXOR   Y13, Y13, Y13

block:
	HALVES(0)
	FIRST(0, Y8)
	FIRST(64, Y9)
	FIRST(128, Y10)
	FIRST(192, Y11)
	HALVES(1)
	NEXT(256, Y8)
	NEXT(320, Y9)
	NEXT(384, Y10)
	NEXT(448, Y11)
	HALVES(2)
	NEXT(512, Y8)
	NEXT(576, Y9)
	NEXT(640, Y10)
	NEXT(704, Y11)
	VPOR      Y8, Y9, Y8
	VPOR      Y10, Y11, Y10
	VPOR      Y8, Y10, Y8
	VPCMPEQB  Y13, Y8, Y8
	VPMOVMSKB Y8, AX
	NOTL      AX
	MOVL      AX, (DX)
	ADDQ      $32, SI
	ADDQ      $4, DX
	DECQ      CX
	JNZ       block
	VZEROUPPER
	RET
