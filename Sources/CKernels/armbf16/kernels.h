// What config.c of this set puts together.
#ifndef CK_ARMBF16_KERNELS_H
#define CK_ARMBF16_KERNELS_H

#include "gemm.h"
#include "../gemm/layout.h"

// gemm_bf16.c: BF16 × BF16; activations are BF16 patterns in blocks of 8 rows (the last of as many pairs as are left), [M/8][K4/4][pairs][2][4].
ck_fn_gemm ck_gemm_bf16_bf16_mmla__armbf16;
ck_fn_gemm_pack_activations ck_pack_blocks_bf16__armbf16;
ck_fn_gemm_workspace ck_gemm_bf16_workspace__armbf16;
static inline size_t ck_bf16_block_bytes(size_t rows, size_t inputs) { return ck_round_up(rows, 2) * ck_round_up(inputs, 4) * sizeof(uint16_t); }

#endif
