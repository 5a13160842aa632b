// Tiles of integer gemm by SDOT: 8 rows × 8 outputs in 16 sums, twice for a panel; 4 rows × 16 outputs where there are no more rows. One SDOT adds 16
// products, exactly: 128 · 127 · 65,536 < 2³¹, and scaled codes of 4 and 2 bits as gemm_many.h says.
//
// Limit: every vector pipe takes SDOT, so 4 × float32's FMLA: two a cycle on Neoverse N1, four on V1 and V2. A unit takes 16 of them and 4 loads.
// Groups: 4 rows × 8 outputs, so that 8 sums of a piece and 8 of all stay in registers; 64 SDOT and 8 MLA for 32 inputs (MLA takes half of the pipes).
#if defined(__aarch64__)
#include "kernels.h"

CK_TARGET_BEGIN(CK_TARGET_DOTPROD)

enum { unit = 4 * ck_panel, x_unit = 4 * ck_row_block, fold_units = ck_fold / 4 };

// c[r][q] += rows first ..< first + 4 of `a` times the outputs of w[q].
#define ADD_ROWS(c, first, Q, w, a)                                       \
  CK_UNROLL for (int q = 0; q < Q; q++) {                                  \
    c[first][q] = vdotq_laneq_s32(c[first][q], w[q], a, 0);               \
    c[first + 1][q] = vdotq_laneq_s32(c[first + 1][q], w[q], a, 1);       \
    c[first + 2][q] = vdotq_laneq_s32(c[first + 2][q], w[q], a, 2);       \
    c[first + 3][q] = vdotq_laneq_s32(c[first + 3][q], w[q], a, 3);       \
  }

__attribute__((noinline)) static void tile_8x8(const int8_t *x, const int8_t *w, size_t units, int32_t (*sums)[ck_panel]) {
  int32x4_t c[8][2];
  CK_UNROLL for (int r = 0; r < 8; r++) CK_UNROLL for (int q = 0; q < 2; q++) c[r][q] = vdupq_n_s32(0);
  for (; units > 0; units--, x += x_unit, w += unit) {
    int8x16_t low = vld1q_s8(x), high = vld1q_s8(x + 16), b[2] = {vld1q_s8(w), vld1q_s8(w + 16)};
    ADD_ROWS(c, 0, 2, b, low)
    ADD_ROWS(c, 4, 2, b, high)
  }
  CK_UNROLL for (int r = 0; r < 8; r++) CK_UNROLL for (int q = 0; q < 2; q++) vst1q_s32(sums[r] + 4 * q, c[r][q]);
}

__attribute__((noinline)) static void tile_4x16(const int8_t *x, const int8_t *w, size_t units, int32_t (*sums)[ck_panel]) {
  int32x4_t c[4][4];
  CK_UNROLL for (int r = 0; r < 4; r++) CK_UNROLL for (int q = 0; q < 4; q++) c[r][q] = vdupq_n_s32(0);
  for (; units > 0; units--, x += x_unit, w += unit) {
    int8x16_t a = vld1q_s8(x), b[4] = {vld1q_s8(w), vld1q_s8(w + 16), vld1q_s8(w + 32), vld1q_s8(w + 48)};
    ADD_ROWS(c, 0, 4, b, a)
  }
  CK_UNROLL for (int r = 0; r < 4; r++) CK_UNROLL for (int q = 0; q < 4; q++) vst1q_s32(sums[r] + 4 * q, c[r][q]);
}

void ck_tile__dotprod(const uint8_t *x, const int8_t *w, size_t folds, size_t rows, int32_t (*sums)[ck_panel]) {
  const int8_t *codes = (const int8_t *)x;
  if (rows <= 4) {
    tile_4x16(codes, w, folds * fold_units, sums);
    return;
  }
  for (size_t half = 0; half < 2; half++) tile_8x8(codes, w + 32 * half, folds * fold_units, (int32_t(*)[ck_panel])(sums[0] + 8 * half));
}

// 4 rows × 8 outputs of a segment.
__attribute__((noinline)) static void grouped_4x8(const int8_t *x, const int8_t *w, const ck_pieces *pieces, const int32_t *multipliers,
                                                  int32_t (*sums)[ck_panel]) {
  int32x4_t s[4][2];
  CK_UNROLL for (int r = 0; r < 4; r++) s[r][0] = s[r][1] = vdupq_n_s32(0);
  for (const uint16_t *piece = pieces->folds, *end = piece + pieces->count; piece < end; piece++, multipliers += ck_panel) {
    int32x4_t c[4][2];
    CK_UNROLL for (int r = 0; r < 4; r++) c[r][0] = c[r][1] = vdupq_n_s32(0);
    size_t folds = *piece;
    do {
      CK_UNROLL for (int t = 0; t < fold_units; t++, x += x_unit, w += unit) {
        int8x16_t a = vld1q_s8(x), b[2] = {vld1q_s8(w), vld1q_s8(w + 16)};
        ADD_ROWS(c, 0, 2, b, a)
      }
    } while (--folds > 0);
    int32x4_t m[2] = {vld1q_s32(multipliers), vld1q_s32(multipliers + 4)};
    CK_UNROLL for (int r = 0; r < 4; r++) CK_UNROLL for (int q = 0; q < 2; q++) s[r][q] = vmlaq_s32(s[r][q], c[r][q], m[q]);
  }
  CK_UNROLL for (int r = 0; r < 4; r++) CK_UNROLL for (int q = 0; q < 2; q++) vst1q_s32(sums[r] + 4 * q, s[r][q]);
}

void ck_grouped_tile__dotprod(const uint8_t *x, const int8_t *w, const ck_pieces *pieces, size_t rows, int32_t (*sums)[ck_panel]) {
  for (size_t first = 0; first < rows; first += 4)
    for (size_t half = 0; half < 2; half++)
      grouped_4x8((const int8_t *)x + 4 * first, w + 32 * half, pieces, pieces->multipliers + 8 * half,
                  (int32_t(*)[ck_panel])(sums[first] + 8 * half));
}

CK_TARGET_END
#endif
