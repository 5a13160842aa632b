// What config.c of this set puts together: kernels, and the scratch memory that each needs.
#ifndef CK_AVXVNNI_KERNELS_H
#define CK_AVXVNNI_KERNELS_H

#include "../gemm/layout.h"
#include "../sparse/nm_layout.h"
#include "sparse.h"

// Rows of activations up to which codes of 4 and 2 bits go through registers instead of being decoded once: 8 × 4096 × 4096 276 and 310 GOP/s instead of
// 247 (Sapphire Rapids).
enum { ck_few_rows_avxvnni = 8 };

// gemm.c
ck_fn_gemm ck_gemm_codes_s8__avxvnni, ck_gemm_codes_s4__avxvnni, ck_gemm_codes_s2__avxvnni;
size_t ck_gemm_codes_workspace_bytes__avxvnni(void);
// Activations are row-major, zeros behind K, the stride an odd multiple of 64 bytes, so that rows of a tile lie in different sets of L1.
static inline size_t ck_row_stride__avxvnni(size_t inputs) { return ck_round_up(ck_round_up(inputs, ck_fold), 64) | 64; }

// gemm_rows.c: up to ck_few_rows_avxvnni rows of 4 and 2 bits. Activations are packed in a way of their own; no workspace.
ck_fn_gemm ck_gemm_rows_s4__avxvnni, ck_gemm_rows_s2__avxvnni;
ck_fn_gemm_pack_activations ck_pack_few_rows_s4__avxvnni, ck_pack_few_rows_s2__avxvnni;
size_t ck_few_rows_activation_bytes__avxvnni(size_t rows, size_t inputs);

// sparse_s8.c, sparse_vector_s8.c; workspaces are AVX2's.
ck_fn_sparse_s8 ck_sparse_s8__avxvnni;
ck_fn_sparse_vector_s8 ck_sparse_vector_s8__avxvnni;

ck_fn_nm_s8 ck_nm_s8__avxvnni;  // sparse_nm.c

#endif
