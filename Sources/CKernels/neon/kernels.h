// What config.c of this set puts together: kernels, and the scratch memory that each needs. The sets dotprod, i8mm and armbf16 build on some of them.
#ifndef CK_NEON_KERNELS_H
#define CK_NEON_KERNELS_H

#include "../sparse/nm_layout.h"
#include "convolution.h"
#include "gemm.h"

// ---- Codes

// gemm_activations.c: x − 128, blocks of 8 rows interleaved or a few rows one by one; x in pairs of rows, for i8mm; both also with an int32 for each row
// behind them, the sum of its codes.
ck_fn_gemm_pack_activations ck_pack_signed_rows__neon, ck_pack_summed_signed_rows__neon, ck_pack_pairs_of_rows__neon, ck_pack_summed_pairs_of_rows__neon;
ck_fn_gemm_activation_bytes ck_summed_signed_rows_bytes__neon, ck_pairs_of_rows_bytes__neon, ck_summed_pairs_of_rows_bytes__neon;
// gemm_rows.c: up to ck_few_rows rows.
ck_fn_gemm ck_gemm_rows_s8__neon, ck_gemm_rows_s4__neon, ck_gemm_rows_s2__neon;
// pack_weights.c: panel16x4.
ck_fn_gemm_pack ck_panel16_pack_s8__neon, ck_panel16_pack_s4__neon, ck_panel16_pack_s2__neon, ck_panel16_pack_s1__neon;

// ---- 1 bit

// gemm_lookup.c: activations of 8 bits, up to ck_few_rows rows.
ck_fn_gemm ck_gemm_lookup_s1__neon;
size_t ck_gemm_lookup_workspace__neon(size_t inputs);
ck_fn_gemm ck_gemm_signs__neon;  // gemm_signs.c: signs
ck_fn_gemm_pack_activations ck_pack_sign_words__neon;  // gemm_activations.c: each word twice
ck_fn_gemm_activation_bytes ck_sign_word_bytes__neon;
ck_fn_gemm_workspace ck_no_workspace__neon;

// ---- 16-bit floats

// gemm_half.c
ck_fn_gemm ck_gemm_half_f16__neon, ck_gemm_half_bf16__neon;
ck_fn_gemm_workspace ck_gemm_float_workspace__neon;
// gemm_bf16.c: BF16 × BF16; float32 activations [M][K2], rounded to BF16 without subnormals, the inputs of each pair exchanged.
ck_fn_gemm ck_gemm_bf16_bf16_fma__neon;
ck_fn_gemm_pack_activations ck_pack_exchanged_bf16__neon;
static inline size_t ck_exchanged_bf16_bytes_neon(size_t rows, size_t inputs) { return rows * ck_round_up(inputs, 2) * sizeof(float); }

// ---- Sparse

// sparse_f32.c, sparse_vector.c
ck_fn_sparse_f32 ck_sparse_f32__neon;
ck_fn_sparse_tile ck_sparse_f32_tile__neon;
ck_fn_sparse_workspace ck_sparse_f32_workspace_bytes__neon;
ck_fn_sparse_vector_f32 ck_sparse_vector_f32__neon;
// sparse_s8.c, sparse_vector_s8.c
ck_fn_sparse_s8 ck_sparse_s8__neon;
ck_fn_sparse_tile ck_sparse_s8_tile__neon;
ck_fn_sparse_workspace ck_sparse_s8_workspace_bytes__neon;
ck_fn_sparse_vector_s8 ck_sparse_vector_s8__neon;
// Codes as signed bytes.
static inline size_t ck_sparse_vector_s8_workspace_bytes__neon(size_t inputs) { return ck_round_up(inputs, 64); }

// ---- N:M
ck_fn_nm_f32 ck_nm_f32__neon;  // sparse_nm.c
ck_fn_nm_workspace ck_nm_f32_workspace_bytes__neon;
ck_fn_nm_s8 ck_nm_s8__neon;  // sparse_nm_s8.c

// ---- Convolution
ck_fn_conv2d ck_conv2d__neon;  // convolution.c
ck_fn_conv2d_workspace ck_conv2d_workspace_bytes__neon;

#endif
