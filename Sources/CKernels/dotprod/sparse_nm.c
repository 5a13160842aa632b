// int8 N:M weights with SDOT: for 4 outputs a table lookup picks, from 16 activations of a row in a register, the four that each output keeps of 8, and
// SDOT multiplies and adds them: 16 stored weights, 32 of the dense matrix, in two operations.
//
// Layout panel16 (sparse/nm_layout.h): four slots of an output side by side; a byte of codes has the places of a slot in two groups. TBL takes the lower
// one behind an AND, the upper one behind a shift. For more than 3 rows both are decoded once for a block of K, with 8 added where the second group is
// meant, so that one register of activations serves both; up to 3 rows decode on the way and turn the register instead.
//
// Limit: TBL and SDOT share the vector pipes, so that N:M runs at the rate of dense int8 weights and reads 3/4 of their bytes; a Neoverse V1 starts one
// TBL a cycle and is left with half of it. 4 rows × 16 outputs × 16 inputs are 64 of them, 4 EOR, 20 loads. Modelled (llvm-mca 19), operations of the dense
// matrix a cycle, Neoverse N1, V1, V2, Apple M1: 60, 61, 120, 90, where a tile of dense weights has 64, 127, 127, 95; places decoded on the way 51, 55, 102,
// 77. One row, 192 bytes: 13.0, 10.0, 6.5, 8.7 cycles, more than memory brings.
#if defined(__aarch64__)

#include "../neon/sparse_nm_s8.h"
#include "kernels.h"

CK_TARGET_BEGIN(CK_TARGET_DOTPROD)

enum {
  vectors = ck_nm_panel16 / 4,
  few_rows = 3,        // that decode places on the way; with 4 they do not fit the registers
  block_groups = 128,  // whose places and weights are 8 KB each, 4 rows 4 KB: they stay in L1 while the rows pass
};

// The places of 4 outputs in the second of two groups, in bytes of `codes`.
CK_INLINE uint8x16_t upper(uint8x16_t codes) { return vshrq_n_u8(codes, 4); }
CK_INLINE uint8x16_t lower(uint8x16_t codes) { return vandq_u8(codes, vdupq_n_u8(15)); }

// picks[pair of groups][2][16 outputs][4 slots]: what TBL takes from 16 activations.
static void decode(const uint8_t *codes, size_t pairs, uint8_t *picks) {
  for (size_t i = 0; i < pairs; i++, picks += 128)
    CK_UNROLL for (int v = 0; v < vectors; v++, codes += 16) {
      uint8x16_t both = vld1q_u8(codes);
      vst1q_u8(picks + 16 * v, lower(both));
      vst1q_u8(picks + 64 + 16 * v, vorrq_u8(upper(both), vdupq_n_u8(8)));
    }
}

// Adds a group of 8 inputs: 16 outputs of R rows.
CK_INLINE void add_group(int R, const int8x16_t x[ck_nm_s8_rows], const uint8x16_t pick[vectors], const int8_t *values,
                         int32x4_t c[ck_nm_s8_rows][vectors]) {
  CK_UNROLL for (int v = 0; v < vectors; v++) {
    int8x16_t w = vld1q_s8(values + 16 * v);
    CK_UNROLL for (int r = 0; r < R; r++) c[r][v] = vdotq_s32(c[r][v], vqtbl1q_s8(x[r], pick[v]), w);
  }
}

// 16 outputs of R rows; `picks`: decoded ones, or null.
CK_INLINE void tile(int R, int is_decoded, const ck_nm_product *p, ck_nm_range k, size_t m, size_t panel, const uint8_t *picks) {
  const size_t pairs = (k.all + 1) / 2, whole = k.end / 2;
  const uint8_t *rows[ck_nm_s8_rows], *codes = is_decoded ? picks : p->w->codes + (panel * pairs + k.begin / 2) * 64;
  const int8_t *values = p->w->values + (panel * k.all + k.begin) * 64;
  int8x16_t x[ck_nm_s8_rows];
  uint8x16_t both[vectors], pick[vectors];
  int32x4_t c[ck_nm_s8_rows][vectors];
  CK_UNROLL for (int r = 0; r < R; r++) {
    rows[r] = p->x->codes + (m + (size_t)r) * p->x->stride;
    ck_nm_begin(p, k, m + (size_t)r, panel * ck_nm_panel16, vectors, c[r]);
  }
  for (size_t pair = k.begin / 2; pair < whole; pair++, codes += is_decoded ? 128 : 64, values += 128) {
    CK_UNROLL for (int r = 0; r < R; r++) x[r] = ck_nm_codes16(rows[r] + 16 * pair);
    CK_UNROLL for (int v = 0; v < vectors; v++) {
      both[v] = vld1q_u8(codes + 16 * v);
      pick[v] = is_decoded ? both[v] : lower(both[v]);
    }
    add_group(R, x, pick, values, c);
    if (!is_decoded) CK_UNROLL for (int r = 0; r < R; r++) x[r] = vextq_s8(x[r], x[r], 8);
    CK_UNROLL for (int v = 0; v < vectors; v++) {  // not earlier: there are no registers for both
      CK_KEEP_VECTOR(both[v]);
      pick[v] = is_decoded ? vld1q_u8(codes + 64 + 16 * v) : upper(both[v]);
    }
    add_group(R, x, pick, values + 64, c);
  }
  if (2 * whole < k.end) {  // half a pair
    CK_UNROLL for (int r = 0; r < R; r++) x[r] = ck_nm_codes8(rows[r] + 16 * whole);
    CK_UNROLL for (int v = 0; v < vectors; v++) pick[v] = lower(vld1q_u8(codes + 16 * v));
    add_group(R, x, pick, values, c);
  }
  int32_t sums[ck_nm_s8_rows][ck_nm_panel16];
  CK_UNROLL for (int r = 0; r < R; r++) CK_UNROLL for (int v = 0; v < vectors; v++) vst1q_s32(sums[r] + 4 * v, c[r][v]);
  ck_nm_finish(p, k, m, (size_t)R, panel * ck_nm_panel16, ck_nm_panel16, sums[0]);
}

#define TILE(R)                                                                                                       \
  static void few_##R(const ck_nm_product *p, ck_nm_range k, size_t m, size_t panel, const uint8_t *picks) {          \
    tile(R, 0, p, k, m, panel, picks);                                                                                \
  }                                                                                                                   \
  static void many_##R(const ck_nm_product *p, ck_nm_range k, size_t m, size_t panel, const uint8_t *picks) {         \
    tile(R, 1, p, k, m, panel, picks);                                                                                \
  }
TILE(1) TILE(2) TILE(3)
static void many_4(const ck_nm_product *p, ck_nm_range k, size_t m, size_t panel, const uint8_t *picks) { tile(4, 1, p, k, m, panel, picks); }
static ck_nm_tile *const few_tiles[few_rows + 1] = {NULL, few_1, few_2, few_3};
static ck_nm_tile *const many_tiles[ck_nm_s8_rows + 1] = {NULL, many_1, many_2, many_3, many_4};

// One panel of outputs of more than a few rows.
static void many_rows(const ck_nm_product *p, size_t groups, size_t row_begin, size_t row_end, size_t panel) {
  const size_t pairs = (groups + 1) / 2;
  _Alignas(64) uint8_t picks[block_groups * 64];
  for (size_t first = 0; first < groups; first += block_groups) {
    ck_nm_range k = {first, groups - first < block_groups ? groups : first + block_groups, groups};
    decode(p->w->codes + (panel * pairs + first / 2) * 64, (k.end - first + 1) / 2, picks);
    for (size_t m = row_begin; m < row_end; m += ck_nm_s8_rows)
      many_tiles[row_end - m < ck_nm_s8_rows ? row_end - m : ck_nm_s8_rows](p, k, m, panel, picks);
  }
}

void ck_nm_s8__dotprod(const ck_nm_s8 *w, const ck_nm_activations *x, const ck_sparse_output *y, size_t row_begin, size_t row_end, size_t panel_begin,
                       size_t panel_end) {
  const ck_nm_product p = {w, x, y, 128};
  const size_t rows[2] = {row_begin, row_end}, panels[2] = {panel_begin, panel_end};
  ck_nm_run(&p, rows, panels, few_rows, few_tiles, many_rows);
}

CK_TARGET_END
#endif
