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

// func pairsAVX2(text *byte, blocks int, t *pairTables, found *uint32)
TEXT ·pairsAVX2(SB), NOSPLIT, $0-32
	MOVQ    text+0(FP), SI
	MOVQ    blocks+8(FP), CX
	MOVQ    t+16(FP), DI
	MOVQ    found+24(FP), DX
	VMOVDQU 0(DI), Y4
	VMOVDQU 32(DI), Y5
	VMOVDQU 64(DI), Y6
	VMOVDQU 96(DI), Y8
	VMOVDQU 128(DI), Y9
	VPXOR   Y7, Y7, Y7

block:
	VMOVDQU   (SI), Y0
	VMOVDQU   1(SI), Y2
	VPSRLW    $4, Y0, Y1
	VPSRLW    $4, Y2, Y3
	VPAND     Y6, Y0, Y0
	VPAND     Y6, Y1, Y1
	VPAND     Y6, Y2, Y2
	VPAND     Y6, Y3, Y3
	VPSHUFB   Y0, Y4, Y0
	VPSHUFB   Y1, Y5, Y1
	VPSHUFB   Y2, Y8, Y2
	VPSHUFB   Y3, Y9, Y3
	VPAND     Y0, Y1, Y0
	VPAND     Y2, Y3, Y2
	VPAND     Y0, Y2, Y0
	VPCMPEQB  Y7, Y0, Y0
	VPMOVMSKB Y0, AX
	NOTL      AX
	MOVL      AX, (DX)
	ADDQ      $32, SI
	ADDQ      $4, DX
	DECQ      CX
	JNZ       block
	VZEROUPPER
	RET
