// Tiles of integer gemm without dot products: 4 rows × 8 outputs. A unit of activations, repeated by LD1R, times two outputs × 4 inputs: SMULL and, for the
// next unit, SMLAL make 8 sums of two products in int16, 2 · 128 · 127 < 2¹⁵, which SADALP adds in pairs to int32: exact for all codes.
//
// Limit: the one pipe that multiplies, SMULL and SMLAL for 8 products a cycle: 2 × float32's FMLA. Fewer bits of weights are no faster: sums in int16 over
// more inputs save SADALP, which takes another pipe.
// Groups: sums of a piece are in registers, those of all in memory.
#if defined(__aarch64__)
#include "gemm_many.h"

CK_TARGET_BEGIN(CK_TARGET_NEON)

enum { unit = 4 * ck_panel, x_unit = 4 * ck_row_block, fold_pairs = ck_fold / 8 };

// Sums of 4 rows × 8 outputs, each in two neighbouring halves: [row][output / 2].
typedef struct halves {
  int32x4_t c[4][4];
} halves;

CK_INLINE void add_pair_of_units(const int8_t *x, const int8_t *w, halves *s) {
  int8x16_t b[2] = {vld1q_s8(w), vld1q_s8(w + 16)}, d[2] = {vld1q_s8(w + unit), vld1q_s8(w + unit + 16)};
  CK_UNROLL for (int r = 0; r < 4; r++) {
    int8x16_t a = ck_dup4_s8(x + 4 * r), e = ck_dup4_s8(x + x_unit + 4 * r);
    CK_UNROLL for (int q = 0; q < 2; q++) {
      int16x8_t low = vmlal_s8(vmull_s8(vget_low_s8(b[q]), vget_low_s8(a)), vget_low_s8(d[q]), vget_low_s8(e));
      int16x8_t high = vmlal_high_s8(vmull_high_s8(b[q], a), d[q], e);
      s->c[r][2 * q] = vpadalq_s16(s->c[r][2 * q], low);
      s->c[r][2 * q + 1] = vpadalq_s16(s->c[r][2 * q + 1], high);
    }
  }
}

CK_INLINE void clear(halves *s) {
  CK_UNROLL for (int r = 0; r < 4; r++) CK_UNROLL for (int q = 0; q < 4; q++) s->c[r][q] = vdupq_n_s32(0);
}

__attribute__((noinline)) static void tile_4x8(const int8_t *x, const int8_t *w, size_t pairs, int32_t (*sums)[ck_panel]) {
  halves s;
  clear(&s);
  for (; pairs > 0; pairs--, x += 2 * x_unit, w += 2 * unit) add_pair_of_units(x, w, &s);
  CK_UNROLL for (int r = 0; r < 4; r++) CK_UNROLL for (int q = 0; q < 2; q++)
      vst1q_s32(sums[r] + 4 * q, vpaddq_s32(s.c[r][2 * q], s.c[r][2 * q + 1]));
}

void ck_tile__neon(const uint8_t *x, const int8_t *w, size_t folds, size_t rows, int32_t (*sums)[ck_panel]) {
  for (size_t first = 0; first < rows; first += 4)
    for (size_t half = 0; half < 2; half++)
      tile_4x8((const int8_t *)x + 4 * first, w + 32 * half, folds * fold_pairs, (int32_t(*)[ck_panel])(sums[first] + 8 * half));
}

__attribute__((noinline)) static void grouped_4x8(const int8_t *x, const int8_t *w, const ck_pieces *pieces, const int32_t *multipliers,
                                                  int32_t (*sums)[ck_panel]) {
  CK_UNROLL for (int r = 0; r < 4; r++) CK_UNROLL for (int q = 0; q < 2; q++) vst1q_s32(sums[r] + 4 * q, vdupq_n_s32(0));
  for (const uint16_t *piece = pieces->folds, *end = piece + pieces->count; piece < end; piece++, multipliers += ck_panel) {
    halves s;
    clear(&s);
    for (size_t pairs = (size_t)*piece * fold_pairs; pairs > 0; pairs--, x += 2 * x_unit, w += 2 * unit) add_pair_of_units(x, w, &s);
    CK_KEEP_IN_MEMORY();
    CK_UNROLL for (int r = 0; r < 4; r++) CK_UNROLL for (int q = 0; q < 2; q++) {
      int32x4_t sum = vpaddq_s32(s.c[r][2 * q], s.c[r][2 * q + 1]);
      vst1q_s32(sums[r] + 4 * q, vmlaq_s32(vld1q_s32(sums[r] + 4 * q), sum, vld1q_s32(multipliers + 4 * q)));
    }
  }
}

void ck_grouped_tile__neon(const uint8_t *x, const int8_t *w, const ck_pieces *pieces, size_t rows, int32_t (*sums)[ck_panel]) {
  for (size_t first = 0; first < rows; first += 4)
    for (size_t half = 0; half < 2; half++)
      grouped_4x8((const int8_t *)x + 4 * first, w + 32 * half, pieces, pieces->multipliers + 8 * half,
                  (int32_t(*)[ck_panel])(sums[first] + 8 * half));
}

CK_TARGET_END
#endif
