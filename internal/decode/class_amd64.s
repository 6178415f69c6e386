#include "textflag.h"

// func classAVX2(text *byte, blocks int, t *classTables, found *uint32)
TEXT ·classAVX2(SB), NOSPLIT, $0-32
	MOVQ    text+0(FP), SI
	MOVQ    blocks+8(FP), CX
	MOVQ    t+16(FP), DI
	MOVQ    found+24(FP), DX
	VMOVDQU 0(DI), Y4
	VMOVDQU 32(DI), Y5
	VMOVDQU 64(DI), Y6
	VPXOR   Y7, Y7, Y7

block:
	VMOVDQU   (SI), Y0
	VPSRLW    $4, Y0, Y1
	VPAND     Y6, Y0, Y0
	VPAND     Y6, Y1, Y1
	VPSHUFB   Y0, Y4, Y2
	VPSHUFB   Y1, Y5, Y3
	VPAND     Y2, Y3, Y2
	VPCMPEQB  Y7, Y2, Y2
	VPMOVMSKB Y2, AX
	NOTL      AX
	MOVL      AX, (DX)
	ADDQ      $32, SI
	ADDQ      $4, DX
	DECQ      CX
	JNZ       block
	VZEROUPPER
	RET
