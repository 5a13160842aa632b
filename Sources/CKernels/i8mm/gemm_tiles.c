// Tiles of integer gemm by USMMLA: 8 rows × 8 outputs in 16 blocks of 2 × 2 sums, twice for a panel. One USMMLA adds 32 products of unsigned by signed bytes,
// exactly: 255 · 127 · 65,536 < 2³¹, and scaled codes of 4 and 2 bits as gemm_many.h says.
//
// Limit: 8 × float32's FMLA on Neoverse V1 and V2, where every vector pipe takes USMMLA. A unit takes 16 of them and 8 loads.
// Groups: 4 rows × 8 outputs, so that 8 blocks of a piece and 8 of all stay in registers; 32 USMMLA and 8 MLA for 32 inputs.
#if defined(__aarch64__)
#include "kernels.h"

CK_TARGET_BEGIN(CK_TARGET_I8MM)

enum { unit = 8 * ck_panel, x_unit = 8 * ck_row_block, fold_units = ck_fold / 8, block = 16 };

// Blocks of two rows × 8 outputs as two rows.
CK_INLINE void store_rows(const int32x4_t c[4], int32_t *first, int32_t *second) {
  CK_UNROLL for (int q = 0; q < 4; q += 2) {
    int64x2_t left = vreinterpretq_s64_s32(c[q]), right = vreinterpretq_s64_s32(c[q + 1]);
    vst1q_s32(first + 2 * q, vreinterpretq_s32_s64(vzip1q_s64(left, right)));
    vst1q_s32(second + 2 * q, vreinterpretq_s32_s64(vzip2q_s64(left, right)));
  }
}

// P pairs of rows × 8 outputs.
CK_INLINE void tile(int P, const uint8_t *x, const int8_t *w, size_t units, int32_t (*sums)[ck_panel]) {
  int32x4_t c[4][4];
  CK_UNROLL for (int r = 0; r < P; r++) CK_UNROLL for (int q = 0; q < 4; q++) c[r][q] = vdupq_n_s32(0);
  for (; units > 0; units--, x += x_unit, w += unit) {
    uint8x16_t a[4];
    CK_UNROLL for (int r = 0; r < P; r++) a[r] = vld1q_u8(x + r * block);
    CK_UNROLL for (int q = 0; q < 4; q++) {
      int8x16_t b = vld1q_s8(w + q * block);
      CK_UNROLL for (int r = 0; r < P; r++) c[r][q] = vusmmlaq_s32(c[r][q], a[r], b);
    }
  }
  CK_UNROLL for (int r = 0; r < P; r++) store_rows(c[r], sums[2 * r], sums[2 * r + 1]);
}
__attribute__((noinline)) static void tile_8x8(const uint8_t *x, const int8_t *w, size_t units, int32_t (*sums)[ck_panel]) {
  tile(4, x, w, units, sums);
}
__attribute__((noinline)) static void tile_4x8(const uint8_t *x, const int8_t *w, size_t units, int32_t (*sums)[ck_panel]) {
  tile(2, x, w, units, sums);
}

void ck_tile__i8mm(const uint8_t *x, const int8_t *w, size_t folds, size_t rows, int32_t (*sums)[ck_panel]) {
  for (size_t half = 0; half < 2; half++)
    (rows <= 4 ? tile_4x8 : tile_8x8)(x, w + half * 4 * block, folds * fold_units, (int32_t(*)[ck_panel])(sums[0] + 8 * half));
}

// 4 rows × 8 outputs of a segment.
__attribute__((noinline)) static void grouped_4x8(const uint8_t *x, const int8_t *w, const ck_pieces *pieces, const int32_t *multipliers,
                                                  int32_t (*sums)[ck_panel]) {
  int32x4_t s[2][4];
  CK_UNROLL for (int r = 0; r < 2; r++) CK_UNROLL for (int q = 0; q < 4; q++) s[r][q] = vdupq_n_s32(0);
  for (const uint16_t *piece = pieces->folds, *end = piece + pieces->count; piece < end; piece++, multipliers += 2 * ck_panel) {
    int32x4_t c[2][4];
    CK_UNROLL for (int r = 0; r < 2; r++) CK_UNROLL for (int q = 0; q < 4; q++) c[r][q] = vdupq_n_s32(0);
    size_t folds = *piece;
    do {
      CK_UNROLL for (int t = 0; t < fold_units; t++, x += x_unit, w += unit) {
        uint8x16_t a[2] = {vld1q_u8(x), vld1q_u8(x + block)};
        CK_UNROLL for (int q = 0; q < 4; q++) {
          int8x16_t b = vld1q_s8(w + q * block);
          CK_UNROLL for (int r = 0; r < 2; r++) c[r][q] = vusmmlaq_s32(c[r][q], a[r], b);
        }
      }
    } while (--folds > 0);
    CK_UNROLL for (int q = 0; q < 4; q++) {
      int32x4_t m = vld1q_s32(multipliers + 4 * q);
      CK_UNROLL for (int r = 0; r < 2; r++) s[r][q] = vmlaq_s32(s[r][q], c[r][q], m);
    }
  }
  CK_UNROLL for (int r = 0; r < 2; r++) store_rows(s[r], sums[2 * r], sums[2 * r + 1]);
}

void ck_grouped_tile__i8mm(const uint8_t *x, const int8_t *w, const ck_pieces *pieces, size_t rows, int32_t (*sums)[ck_panel]) {
  for (size_t first = 0; first < rows; first += 4)
    for (size_t half = 0; half < 2; half++)
      grouped_4x8(x + 8 * first, w + half * 4 * block, pieces, pieces->multipliers + 16 * half, (int32_t(*)[ck_panel])(sums[first] + 8 * half));
}

CK_TARGET_END
#endif
