// int8 N:M weights with USMMLA, which multiplies 2 rows by 2 outputs of 8 inputs, twice what SDOT does: no lookup beside each product would keep up with it.
// So for more than 16 rows the weights of 16 outputs are expanded to dense ones for a block of K, once for all rows, and 6 rows × 16 outputs are multiplied
// at a time. Activations are unsigned here, as they come. Fewer rows go through dotprod's kernel, whose layout this is.
//
// Expanding a group: bit p of an output's byte says that its input p is kept; the bits below p, counted, are the slot of its weight, since slots ascend, and
// a lookup takes it from the registers of values. 73 operations for 16 outputs × 8 inputs, as many as the products of 18 rows.
//
// Sums are exact: 255 · 127 · 32,768 stored weights < 2³¹.
//
// Limit: USMMLA, 24 of them beside 3 operations that join rows and 14 loads. Modelled (llvm-mca 19), operations of the dense matrix a cycle, Neoverse V1, V2,
// Apple M2 (as Cyclone, 2 loads a cycle): 226, 226, 139 in a tile, of 255, 255, 191; dotprod's kernel 61, 120, 90. Expanding takes 25, 21, 31 cycles a group, so
// that 256 rows reach 210 on V1 and V2, 82 % of the limit. A row of dotprod's takes 4.2, 2.1, 2.8 cycles a group, one of these 1.1, 1.1, 1.8 beside
// expanding: level at 8, 21, 31 rows, so the change at 16 is a compromise.
#if defined(__aarch64__)

#include "../dotprod/kernels.h"
#include "../neon/sparse_nm_s8.h"
#include "kernels.h"

CK_TARGET_BEGIN(CK_TARGET_I8MM)

enum {
  few_rows = 16,
  most_pairs = 3,          // of rows of a tile
  output_pairs = 8,        // of a panel
  block_groups = 128,      // 16 KB of dense weights, 6 rows 6 KB: they stay in L1 while the rows pass
  l2_bytes = 768 << 10,    // of activations, rows at a time while all weights pass
  least_rows_at_once = 96,
};

// dense[group][8 pairs of outputs][2][8 inputs] of `groups` groups, the first of which begins a pair of them.
static void expand(const uint8_t *codes, const int8_t *values, size_t groups, int8_t *dense) {
  const uint8x16_t bit = vreinterpretq_u8_u64(vdupq_n_u64(0x8040201008040201)), below = vsubq_u8(bit, vdupq_n_u8(1));
  const uint8x16_t first_slot = vcombine_u8(vdup_n_u8(0), vdup_n_u8(4)), later_slot = vcombine_u8(vdup_n_u8(8), vdup_n_u8(12));
  for (size_t g = 0; g < groups; g++, values += 64, dense += 128) {
    uint8x16_t bits[4], twice[2], four[4], kept[output_pairs];
    CK_UNROLL for (size_t v = 0; v < 4; v++) {
      uint8x16_t both = vld1q_u8(codes + g / 2 * 64 + 16 * v), places = g % 2 == 0 ? vandq_u8(both, vdupq_n_u8(15)) : vshrq_n_u8(both, 4);
      bits[v] = vshlq_u8(vdupq_n_u8(1), vreinterpretq_s8_u8(places));
    }
    uint8x16_t all = vpaddq_u8(vpaddq_u8(bits[0], bits[1]), vpaddq_u8(bits[2], bits[3]));  // a byte of each output
    twice[0] = vzip1q_u8(all, all), twice[1] = vzip2q_u8(all, all);
    CK_UNROLL for (int i = 0; i < 2; i++) {
      CK_KEEP_VECTOR(twice[i]);  // else compilers make lookups of all that follows: a Neoverse V1 starts four times as many ZIPs
      four[2 * i] = vzip1q_u8(twice[i], twice[i]), four[2 * i + 1] = vzip2q_u8(twice[i], twice[i]);
      CK_KEEP_VECTOR(four[2 * i]);
      CK_KEEP_VECTOR(four[2 * i + 1]);
    }
    CK_UNROLL for (int i = 0; i < 4; i++) kept[2 * i] = vzip1q_u8(four[i], four[i]), kept[2 * i + 1] = vzip2q_u8(four[i], four[i]);
    CK_UNROLL for (int i = 0; i < output_pairs; i++) {
      uint8x16_t slot = vaddq_u8(vcntq_u8(vandq_u8(kept[i], below)), i % 2 == 0 ? first_slot : later_slot);
      uint8x16_t weights = vqtbl1q_u8(vreinterpretq_u8_s8(vld1q_s8(values + i / 2 * 16)), slot);
      uint8x16_t is_kept = vtstq_u8(kept[i], bit);
      CK_KEEP_VECTOR(is_kept);  // else one operation becomes two
      vst1q_s8(dense + 16 * i, vreinterpretq_s8_u8(vandq_u8(weights, is_kept)));
    }
  }
}

CK_INLINE int32x4_t lower_halves(int32x4_t a, int32x4_t b) { return vcombine_s32(vget_low_s32(a), vget_low_s32(b)); }
CK_INLINE int32x4_t upper_halves(int32x4_t a, int32x4_t b) { return vcombine_s32(vget_high_s32(a), vget_high_s32(b)); }

// 16 outputs of P pairs of rows, of which `rows` exist; the others repeat the last one.
CK_INLINE void tile(int P, const ck_nm_product *p, ck_nm_range k, size_t m, size_t rows, size_t panel, const int8_t *dense) {
  const uint8_t *x[2 * most_pairs];
  int32x4_t c[most_pairs][output_pairs];  // of two rows, two outputs: rows in halves
  CK_UNROLL for (size_t i = 0; i < (size_t)P; i++) {
    int32x4_t sums[2][4];
    CK_UNROLL for (size_t j = 0; j < 2; j++) {
      size_t row = m + (2 * i + j < rows ? 2 * i + j : rows - 1);
      x[2 * i + j] = p->x->codes + row * p->x->stride;
      ck_nm_begin(p, k, row, panel * ck_nm_panel16, 4, sums[j]);
    }
    CK_UNROLL for (size_t q = 0; q < 4; q++) c[i][2 * q] = lower_halves(sums[0][q], sums[1][q]), c[i][2 * q + 1] = upper_halves(sums[0][q], sums[1][q]);
  }
  for (size_t g = k.begin; g < k.end; g++, dense += 128) {
    uint8x16_t two[most_pairs];
    CK_UNROLL for (int i = 0; i < P; i++) two[i] = vcombine_u8(vld1_u8(x[2 * i] + 8 * g), vld1_u8(x[2 * i + 1] + 8 * g));
    CK_UNROLL for (int o = 0; o < output_pairs; o++) {
      int8x16_t w = vld1q_s8(dense + 16 * o);
      CK_UNROLL for (int i = 0; i < P; i++) c[i][o] = vusmmlaq_s32(c[i][o], two[i], w);
    }
  }
  int32_t sums[2 * most_pairs][ck_nm_panel16];
  CK_UNROLL for (int i = 0; i < P; i++) CK_UNROLL for (int q = 0; q < 4; q++) {
    vst1q_s32(sums[2 * i] + 4 * q, lower_halves(c[i][2 * q], c[i][2 * q + 1]));
    vst1q_s32(sums[2 * i + 1] + 4 * q, upper_halves(c[i][2 * q], c[i][2 * q + 1]));
  }
  ck_nm_finish(p, k, m, rows, panel * ck_nm_panel16, ck_nm_panel16, sums[0]);
}

typedef void tile_function(const ck_nm_product *p, ck_nm_range k, size_t m, size_t rows, size_t panel, const int8_t *dense);
#define TILE(P)                                                                                                                   \
  static void tile_##P(const ck_nm_product *p, ck_nm_range k, size_t m, size_t rows, size_t panel, const int8_t *dense) {         \
    tile(P, p, k, m, rows, panel, dense);                                                                                         \
  }
TILE(1) TILE(2) TILE(3)
static tile_function *const tiles[most_pairs + 1] = {NULL, tile_1, tile_2, tile_3};

static void run_panel(const ck_nm_product *p, size_t groups, size_t row_begin, size_t row_end, size_t panel) {
  const size_t pairs = (groups + 1) / 2, most_rows = 2 * most_pairs;
  _Alignas(64) int8_t dense[block_groups * 128];
  for (size_t first = 0; first < groups; first += block_groups) {
    ck_nm_range k = {first, groups - first < block_groups ? groups : first + block_groups, groups};
    expand(p->w->codes + (panel * pairs + first / 2) * 64, p->w->values + (panel * groups + first) * 64, k.end - first, dense);
    for (size_t m = row_begin; m < row_end; m += most_rows) {
      size_t rows = row_end - m < most_rows ? row_end - m : most_rows;
      tiles[(rows + 1) / 2](p, k, m, rows, panel, dense);
    }
  }
}

void ck_nm_s8__i8mm(const ck_nm_s8 *w, const ck_nm_activations *x, const ck_sparse_output *y, size_t row_begin, size_t row_end, size_t panel_begin,
                    size_t panel_end) {
  if (row_end - row_begin <= few_rows) {
    ck_nm_s8__dotprod(w, x, y, row_begin, row_end, panel_begin, panel_end);
    return;
  }
  const ck_nm_product p = {w, x, y, 0};
  size_t groups = ck_nm_round_up(w->inputs, ck_nm_group) / ck_nm_group, chunk = l2_bytes / w->inputs / 6 * 6;
  if (chunk < least_rows_at_once) chunk = least_rows_at_once;
  for (size_t m = row_begin; m < row_end; m += chunk)
    for (size_t panel = panel_begin; panel < panel_end; panel++) run_panel(&p, groups, m, row_end - m < chunk ? row_end : m + chunk, panel);
}

CK_TARGET_END
#endif
