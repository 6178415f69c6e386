#include "textflag.h"

// For the grams that start at every fourth of 32 bytes, from at on, SET leaves in each dword of dst whether the bitmap has
// the bit of the gram's hash.
#define SET(at, dst)                   \
	VPOR       at(SI), Y15, Y0     \
	VPMULLD    Y14, Y0, Y0         \
	VPSRLD     $14, Y0, Y1         \
	VPAND      Y13, Y1, Y1         \
	VPSRLD     $19, Y0, Y0         \
	VPCMPEQD   Y2, Y2, Y2          \
	VPGATHERDD Y2, (BX)(Y0*4), Y3  \
	VPSRLVD    Y1, Y3, Y3          \
	VPAND      Y12, Y3, dst

// func tetraAVX2(text *byte, blocks int, bitmap *uint64, found *uint32)
TEXT ·tetraAVX2(SB), NOSPLIT, $0-32
	MOVQ         text+0(FP), SI
	MOVQ         blocks+8(FP), CX
	MOVQ         bitmap+16(FP), BX
	MOVQ         found+24(FP), DX
	MOVL         $0x20202020, AX
	VMOVD        AX, X15
	VPBROADCASTD X15, Y15
	MOVL         $0x9E3779B1, AX
	VMOVD        AX, X14
	VPBROADCASTD X14, Y14
	MOVL         $31, AX
	VMOVD        AX, X13
	VPBROADCASTD X13, Y13
	MOVL         $1, AX
	VMOVD        AX, X12
	VPBROADCASTD X12, Y12

block:
	SET(0, Y4)
	SET(1, Y5)
	SET(2, Y6)
	SET(3, Y7)

	// The four answers of a dword become its bytes, so that they stand in the order of their places.
	VPSLLD    $8, Y5, Y5
	VPSLLD    $16, Y6, Y6
	VPSLLD    $24, Y7, Y7
	VPOR      Y4, Y5, Y4
	VPOR      Y6, Y7, Y6
	VPOR      Y4, Y6, Y4
	VPSLLW    $7, Y4, Y4
	VPMOVMSKB Y4, AX
	MOVL      AX, (DX)
	ADDQ      $32, SI
	ADDQ      $4, DX
	DECQ      CX
	JNZ       block
	VZEROUPPER
	RET
