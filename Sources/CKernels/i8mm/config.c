// What the kernels of matrix products of int8 are and how they want their operands: panel16x8, activations in pairs of rows, unsigned.
#if defined(__aarch64__)

#include "../dotprod/kernels.h"
#include "../gemm/activations.h"
#include "../neon/gemm_decode.h"
#include "../neon/kernels.h"
#include "../sparse/layout.h"
#include "../neon/gemm_rows.h"
#include "../sparse/nm_layout.h"
#include "dispatch.h"
#include "kernels.h"

// ---- Codes, also of 1 bit

CK_TARGET_BEGIN(CK_TARGET_NEON)

enum { unit_bytes = 8 * ck_panel };

#define DECODE(name, call) \
  static void name(const uint8_t *codes, size_t folds, int8_t *w) { call; }
DECODE(decode_s4, ck_decode_s4(0, unit_bytes, codes, folds, w))
DECODE(decode_s2, ck_decode_s2(0, unit_bytes, codes, folds, w))
DECODE(decode_scaled_s4, ck_decode_s4(1, unit_bytes, codes, folds, w))
DECODE(decode_scaled_s2, ck_decode_s2(1, unit_bytes, codes, folds, w))
DECODE(decode_s1, ck_decode_s1_by_units(0, unit_bytes, codes, folds, w))
DECODE(decode_set_s1, ck_decode_s1_by_units(1, unit_bytes, codes, folds, w))

// Multipliers of pairs of outputs, twice each.
static void expand(const int8_t *packed, int32_t *multipliers) {
  int32x4_t m[ck_panel_vectors];
  ck_expand_vectors(packed, m);
  CK_UNROLL for (int i = 0; i < ck_panel_vectors; i++) {
    int64x2_t pairs = vreinterpretq_s64_s32(m[i]);
    vst1q_s32(multipliers + 8 * i, vreinterpretq_s32_s64(vzip1q_s64(pairs, pairs)));
    vst1q_s32(multipliers + 8 * i + 4, vreinterpretq_s32_s64(vzip2q_s64(pairs, pairs)));
  }
}

CK_TARGET_END

#define STEPS(bits, k_step, decode, decode_grouped, shift) \
  {bits, 0, k_step, 2 * ck_panel * sizeof(int32_t), decode, decode_grouped, shift, ck_tile__i8mm, ck_grouped_tile__i8mm, expand}
static const ck_many_steps steps_s8 = STEPS(8, ck_fold, NULL, NULL, 0), steps_s4 = STEPS(4, ck_fold, decode_scaled_s4, decode_s4, 4),
                           steps_s2 = STEPS(2, ck_fold, decode_scaled_s2, decode_s2, 6), steps_s1 = STEPS(1, 2 * ck_fold, decode_set_s1, decode_s1, 0);
CK_DEFINE_GEMM(gemm_s8, steps_s8, ck_gemm_rows_s8__i8mm, ck_rows_workspace)
CK_DEFINE_GEMM(gemm_s4, steps_s4, ck_gemm_rows_s4__i8mm, ck_rows_workspace)
CK_DEFINE_GEMM(gemm_s2, steps_s2, ck_gemm_rows_s2__i8mm, ck_rows_workspace)
CK_DEFINE_GEMM(gemm_s1, steps_s1, ck_gemm_rows_s1__i8mm, ck_rows_workspace)

#define CODES(bits, k_step, bytes, pack)                                                                                                                   \
  CK_GEMM_CONFIG(CK_PANEL16X8, bits, ck_panel, ck_row_block, k_step, ck_few_rows, ck_row_chunk, 0, gemm_s##bits, ck_panel16x8_sizes_s##bits,  \
                 ck_panel16x8_pack_s##bits, ck_panel16x8_unpack_s##bits, bytes, pack, gemm_s##bits##_workspace)
#define PAIRS(bits) CODES(bits, ck_fold, ck_pairs_of_rows_bytes__neon, ck_pack_pairs_of_rows__neon)
const ck_gemm_config ck_gemm_u8_s8__i8mm = PAIRS(8), ck_gemm_u7_s8__i8mm = PAIRS(8), ck_gemm_u8_s4__i8mm = PAIRS(4), ck_gemm_u8_s2__i8mm = PAIRS(2);
const ck_gemm_config ck_gemm_u8_s1__i8mm = CODES(1, 2 * ck_fold, ck_summed_pairs_of_rows_bytes__neon, ck_pack_summed_pairs_of_rows__neon);

// ---- Sparse: dotprod's, whose costs decide for few rows alike, with another tile for blocks of several inputs and outputs.

const ck_sparse_s8_config ck_spmm_f32_u8_s8block__i8mm =
    CK_SPARSE_S8_CONFIG(CK_SPARSE_QUADS, ck_sparse_s8_tile__dotprod, ck_sparse_s8_sizes_quads, ck_sparse_s8_pack_quads, ck_sparse_s8_unpack_quads,
                        ck_sparse_s8__i8mm, ck_sparse_vector_s8__dotprod, ck_sparse_costs__dotprod, ck_sparse_s8_workspace_bytes__dotprod,
                        ck_sparse_vector_s8_workspace_bytes__neon);

// ---- N:M

const ck_nm_s8_config ck_spmm_f32_u8_s8nm__i8mm = CK_NM_S8_PANEL16(ck_nm_s8__i8mm);

#endif
