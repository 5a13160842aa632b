// What config.c of this set puts together.
#ifndef CK_AVX512_KERNELS_H
#define CK_AVX512_KERNELS_H

#include "../sparse/layout.h"
#include "../sparse/nm_layout.h"
#include "convolution.h"
#include "gemm.h"

// pack_weights.c: panel16x4, for the sets above.
ck_fn_gemm_pack ck_panel16_pack_s8__avx512, ck_panel16_pack_s4__avx512, ck_panel16_pack_s2__avx512, ck_panel16_pack_s1__avx512;

// Of float_tiles.h: rows up to which weights are widened in registers, and the most rows that share a widened panel.
enum { ck_direct_rows = 8, ck_float_chunk = 256 };
// gemm_half.c: float32 × 16-bit floats. gemm_bf16.c: BF16 × BF16.
ck_fn_gemm ck_gemm_half_f16__avx512, ck_gemm_half_bf16__avx512;
ck_fn_gemm ck_gemm_bf16_bf16_fma__avx512;
size_t ck_gemm_float_workspace_bytes__avx512(void);

// gemm_blocks.c: 8, 4 and 2 bits, more than a few rows; its workspace is AVX2's.
ck_fn_gemm ck_gemm_blocks_u8_s8__avx512, ck_gemm_blocks_u7_s8__avx512, ck_gemm_blocks_u8_s4__avx512, ck_gemm_blocks_u8_s2__avx512;
// gemm_rows.c: 8, 4 and 2 bits, up to so many rows, which are not cut.
enum { ck_few_rows_avx512 = 8 };
ck_fn_gemm ck_gemm_rows_s8__avx512, ck_gemm_rows_s4__avx512, ck_gemm_rows_s2__avx512;
size_t ck_gemm_rows_workspace_bytes__avx512(size_t inputs);
ck_fn_gemm ck_gemm_signs__avx512;  // gemm_signs.c
// gemm_binary.c: 1-bit weights; in groups it calls AVX2's, which has a workspace of its own.
ck_fn_gemm ck_gemm_binary__avx512;
size_t ck_gemm_binary_workspace_bytes__avx512(void);

// sparse_f32.c, sparse_vector.c. From so many inputs on blocks of several rows take half a tile at a time, so that its panel fits in L2: config.c.
enum { ck_sparse_f32_long_inputs_avx512 = 2048 };
ck_fn_sparse_f32 ck_sparse_f32__avx512;
ck_fn_sparse_tile ck_sparse_f32_tile__avx512;
ck_fn_sparse_workspace ck_sparse_f32_workspace_bytes__avx512;
ck_fn_sparse_vector_f32 ck_sparse_vector_f32__avx512;
// sparse_s8.c, sparse_vector_s8.c; tile and workspace also of VNNI.
ck_fn_sparse_s8 ck_sparse_s8__avx512;
ck_fn_sparse_tile ck_sparse_s8_tile__avx512;
ck_fn_sparse_workspace ck_sparse_s8_workspace_bytes__avx512;
ck_fn_sparse_vector_s8 ck_sparse_vector_s8__avx512;

// sparse_nm.c: up to so many rows AVX2's kernel serves.
enum { ck_nm_few_rows_avx512 = 12 };
ck_fn_nm_f32 ck_nm_f32__avx512;
ck_fn_nm_workspace ck_nm_f32_workspace_bytes__avx512;

// convolution.c; the end of 16 positions takes as long as the products of so many numbers of a window: config.c.
enum { ck_conv2d_ends_avx512 = 6 };
ck_fn_conv2d ck_conv2d__avx512;
ck_fn_conv2d_workspace ck_conv2d_workspace_bytes__avx512;

#endif
