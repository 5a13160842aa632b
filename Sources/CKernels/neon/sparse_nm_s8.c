// int8 N:M weights: for 8 outputs a table lookup picks, from 16 activations of a row in a register, the two that each output keeps for a pair of slots;
// products are widened to int16, where two of them fit (2 · 128 · 127 < 2¹⁵), and SADALP adds neighbours to int32: 32 stored weights, 64 of the dense
// matrix, in 8 operations, 4 of them multiplications.
//
// Layout panel8 (sparse/nm_layout.h), whose slots lie in pairs: each of 4 neighbouring int16 pairs is an output, so SADALP gives 4 outputs and none are
// left to be added. For more than 4 rows places are decoded once for a block of K, with 8 added where the second of two groups is meant, so that one
// register of activations serves both; up to 4 rows decode on the way and turn the register instead.
//
// Limit: 10 operations of two pipes for 32 stored weights on a Cortex-A72. 4 rows × 8 outputs × 16 inputs, modelled (llvm-mca 19), operations of the dense
// matrix a cycle, Cortex-A72, Neoverse N1, V1, V2: 23.2, 22.7, 28, 43, where dense int8 weights have 16.0, 16.0, 31.9 (the last two have SDOT). Lookups of 16
// bytes 20.4 and 30: slower where this kernel runs. One row, 96 bytes: 18.1 cycles on a Cortex-A72.
#if defined(__aarch64__)

#include "kernels.h"
#include "sparse_nm_s8.h"

CK_TARGET_BEGIN(CK_TARGET_NEON)

enum { block_groups = 256 };  // whose places and weights are 8 KB each, 4 rows 8 KB: they stay in L1 while the rows pass

// Places of the slots 0 and 1, and 2 and 3, of 8 outputs.
CK_INLINE uint8x8_t first_slots(uint8x8_t codes) { return vand_u8(codes, vdup_n_u8(15)); }
CK_INLINE uint8x8_t last_slots(uint8x8_t codes) { return vshr_n_u8(codes, 4); }

// picks[group][2][8 outputs][2 slots]: what TBL takes from 16 activations, of which the first of `groups` begins a pair.
static void decode(const uint8_t *codes, size_t groups, uint8_t *picks) {
  for (size_t g = 0; g < groups; g++, codes += 16, picks += 32)
    CK_UNROLL for (int h = 0; h < 16; h += 8) {
      uint8x8_t both = vld1_u8(codes + h), at = vdup_n_u8((uint8_t)(g % 2 * 8));
      vst1_u8(picks + h, vorr_u8(first_slots(both), at));
      vst1_u8(picks + 16 + h, vorr_u8(last_slots(both), at));
    }
}

// Adds a group of 8 inputs: 8 outputs of R rows. A lookup of 16 bytes is three operations to a Cortex-A72, one of 8 bytes is one.
CK_INLINE void add_group(int R, int is_decoded, const int8x16_t x[ck_nm_s8_rows], const uint8_t *codes, const int8_t *values,
                         int32x4_t c[ck_nm_s8_rows][2]) {
  CK_UNROLL for (int h = 0; h < 2; h++) {
    uint8x8_t both = vld1_u8(codes + 8 * h), first = is_decoded ? both : first_slots(both);
    uint8x8_t last = is_decoded ? vld1_u8(codes + 16 + 8 * h) : last_slots(both);
    int8x8_t w0 = vld1_s8(values + 8 * h), w1 = vld1_s8(values + 16 + 8 * h);
    CK_UNROLL for (int r = 0; r < R; r++) {
      int16x8_t two = vmlal_s8(vmull_s8(vqtbl1_s8(x[r], first), w0), vqtbl1_s8(x[r], last), w1);
      c[r][h] = vpadalq_s16(c[r][h], two);
    }
  }
}

// 8 outputs of R rows; `picks`: decoded ones, or null.
CK_INLINE void tile(int R, int is_decoded, const ck_nm_product *p, ck_nm_range k, size_t m, size_t panel, const uint8_t *picks) {
  const size_t code_bytes = is_decoded ? 32 : 16, at = panel * k.all + k.begin;
  const uint8_t *rows[ck_nm_s8_rows], *codes = is_decoded ? picks : p->w->codes + at * 16;
  const int8_t *values = p->w->values + at * 32;
  int8x16_t x[ck_nm_s8_rows];
  int32x4_t c[ck_nm_s8_rows][2];
  CK_UNROLL for (int r = 0; r < R; r++) {
    rows[r] = p->x->codes + (m + (size_t)r) * p->x->stride;
    ck_nm_begin(p, k, m + (size_t)r, panel * ck_nm_panel, 2, c[r]);
  }
  size_t g = k.begin;
  for (; g + 2 <= k.end; g += 2, codes += 2 * code_bytes, values += 64) {
    CK_UNROLL for (int r = 0; r < R; r++) x[r] = ck_nm_codes16(rows[r] + 8 * g);
    add_group(R, is_decoded, x, codes, values, c);
    if (!is_decoded) CK_UNROLL for (int r = 0; r < R; r++) x[r] = vextq_s8(x[r], x[r], 8);
    add_group(R, is_decoded, x, codes + code_bytes, values + 32, c);
  }
  if (g < k.end) {  // half a pair
    CK_UNROLL for (int r = 0; r < R; r++) x[r] = ck_nm_codes8(rows[r] + 8 * g);
    add_group(R, is_decoded, x, codes, values, c);
  }
  int32_t sums[ck_nm_s8_rows][ck_nm_panel];
  CK_UNROLL for (int r = 0; r < R; r++) CK_UNROLL for (int h = 0; h < 2; h++) vst1q_s32(sums[r] + 4 * h, c[r][h]);
  ck_nm_finish(p, k, m, (size_t)R, panel * ck_nm_panel, ck_nm_panel, sums[0]);
}

#define TILE(R)                                                                                                       \
  static void few_##R(const ck_nm_product *p, ck_nm_range k, size_t m, size_t panel, const uint8_t *picks) {          \
    tile(R, 0, p, k, m, panel, picks);                                                                                \
  }                                                                                                                   \
  static void many_##R(const ck_nm_product *p, ck_nm_range k, size_t m, size_t panel, const uint8_t *picks) {         \
    tile(R, 1, p, k, m, panel, picks);                                                                                \
  }
TILE(1) TILE(2) TILE(3) TILE(4)
static ck_nm_tile *const few_tiles[ck_nm_s8_rows + 1] = {NULL, few_1, few_2, few_3, few_4};
static ck_nm_tile *const many_tiles[ck_nm_s8_rows + 1] = {NULL, many_1, many_2, many_3, many_4};

// One panel of outputs of more than a few rows.
static void many_rows(const ck_nm_product *p, size_t groups, size_t row_begin, size_t row_end, size_t panel) {
  _Alignas(64) uint8_t picks[block_groups * 32];
  for (size_t first = 0; first < groups; first += block_groups) {
    ck_nm_range k = {first, groups - first < block_groups ? groups : first + block_groups, groups};
    decode(p->w->codes + (panel * groups + first) * 16, k.end - first, picks);
    for (size_t m = row_begin; m < row_end; m += ck_nm_s8_rows)
      many_tiles[row_end - m < ck_nm_s8_rows ? row_end - m : ck_nm_s8_rows](p, k, m, panel, picks);
  }
}

void ck_nm_s8__neon(const ck_nm_s8 *w, const ck_nm_activations *x, const ck_sparse_output *y, size_t row_begin, size_t row_end, size_t panel_begin,
                    size_t panel_end) {
  const ck_nm_product p = {w, x, y, 128};
  const size_t rows[2] = {row_begin, row_end}, panels[2] = {panel_begin, panel_end};
  ck_nm_run(&p, rows, panels, ck_nm_s8_rows, few_tiles, many_rows);
}

CK_TARGET_END
#endif
