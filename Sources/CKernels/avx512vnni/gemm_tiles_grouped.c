// Tiles of integer gemm with a multiplier per group: the int32 sum S of a piece of a group, then one multiply-add of int16 pairs, vpdpwssd, brings it
// times its multiplier to the sum of all. (vpmulld is two operations of port 0 on Intel: 8 / 11 of the peak at best.)
//
//   4, 2, 1 bits   pieces of 32 inputs, unsigned weights c + offset, signed activations x ∈ −128 … 127. S = Σ c · x − 1 by way of its start,
//                  −offset · Σ x − 1. With c ∈ −8 … 7 the sum is at least −8 · 127 · 32 = −32,512 and at most 8 · 128 · 32 = 32,768: less 1, it fits
//                  int16. So vpdpwssd with the pair (multiplier, 0) is exact: only the low half of S meets the multiplier. Σ multipliers is added
//                  again by whoever gives the sums. 9 operations for 8 products: 89 % of the peak at best.
//   8 bits         pieces are whole groups, at most a segment of 256 inputs: 0 ≤ |S| ≤ 255 · 127 · 256 < 2²³. One vpshufb makes the pair (S & 255, S >> 8)
//                  of it, and vpdpwssd with (multiplier, 256 · multiplier), 256 · 127 < 2¹⁵, is exact: 10 operations for 8 products with groups of 32, 80 %
//                  of the peak at best, 94 % with groups of 128.
//
// 7 rows × 32 outputs: 14 sums of the piece, 14 of all, 2 registers of weights, 1 of activations. Measured on Sapphire Rapids, 4 bits, of the peak: 85.9 %
// (6 × 32 83.2 %, 4 × 48 83.1 %, 8 × 32 with the sums of all in memory 75 %).
#if defined(__x86_64__)
#include "../avx512/simd.h"
#include "gemm_many.h"

CK_TARGET_BEGIN(CK_TARGET_AVX512VNNI)

// Adds the products of one fold to the sums of the piece.
CK_INLINE void add_fold(int is_x_signed, int P, int R, const uint8_t *x, size_t x_stride, const uint8_t *w, size_t w_stride,
                        __m512i s[ck_tile_panels][ck_grouped_tile_rows]) {
  CK_UNROLL for (int u = 0; u < ck_fold_units; u++) {
    __m512i weights[ck_tile_panels];
    CK_UNROLL for (int p = 0; p < P; p++) weights[p] = ck_load64(w + (size_t)p * w_stride + u * ck_unit_bytes);
    CK_UNROLL for (int r = 0; r < R; r++) {
      __m512i a = ck_broadcast4x16(x + (size_t)r * x_stride + u * 4);
      CK_KEEP32(a);
      CK_UNROLL for (int p = 0; p < P; p++) {
        s[p][r] = is_x_signed ? _mm512_dpbusd_epi32(s[p][r], weights[p], a) : _mm512_dpbusd_epi32(s[p][r], a, weights[p]);
        CK_KEEP32(s[p][r]);
      }
    }
  }
}

CK_INLINE void start(int P, int R, const ck_tile *t, __m512i c[ck_tile_panels][ck_grouped_tile_rows]) {
  CK_UNROLL for (int p = 0; p < P; p++) {
    if (t->zeros == NULL) {
      CK_UNROLL for (int r = 0; r < R; r++) c[p][r] = ck_load64(t->sums[r] + p * ck_panel);
    } else {
      __m512i initial = ck_load64(t->initial + p * ck_panel), weight_sums = ck_load64(t->weight_sums + p * ck_panel);
      CK_UNROLL for (int r = 0; r < R; r++) c[p][r] = _mm512_dpwssd_epi32(initial, weight_sums, ck_broadcast4x16(t->zeros + r));
    }
  }
}

CK_INLINE void multiply(int P, int R, const int32_t multipliers[ck_tile_outputs], __m512i s[ck_tile_panels][ck_grouped_tile_rows],
                        __m512i c[ck_tile_panels][ck_grouped_tile_rows]) {
  CK_UNROLL for (int p = 0; p < P; p++) {
    __m512i m = ck_load64(multipliers + p * ck_panel);
    CK_UNROLL for (int r = 0; r < R; r++) {
      c[p][r] = _mm512_dpwssd_epi32(c[p][r], s[p][r], m);
      CK_KEEP32(c[p][r]);
    }
  }
}

// t->starts[row][fold].
CK_INLINE void tile_of_folds(int P, int R, const ck_tile *t) {
  const uint8_t *x = t->x, *w = t->w;
  size_t x_stride = t->x_stride, w_stride = t->w_stride, start_stride = t->start_stride;
  __m512i c[ck_tile_panels][ck_grouped_tile_rows], s[ck_tile_panels][ck_grouped_tile_rows];
  start(P, R, t, c);
  for (size_t fold = 0; fold < t->folds; fold++, x += ck_fold, w += ck_fold_units * ck_unit_bytes) {
    const int32_t *starts = t->starts + fold;
    CK_UNROLL for (int r = 0; r < R; r++) CK_UNROLL for (int p = 0; p < P; p++) s[p][r] = ck_broadcast4x16(starts + (size_t)r * start_stride);
    add_fold(1, P, R, x, x_stride, w, w_stride, s);
    multiply(P, R, t->multipliers[fold], s, c);
  }
  CK_UNROLL for (int r = 0; r < R; r++) CK_UNROLL for (int p = 0; p < P; p++) ck_store64(t->sums[r] + p * ck_panel, c[p][r]);
}

// t->pieces: the number of folds of each.
CK_INLINE void tile_of_pieces(int P, int R, const ck_tile *t) {
  const __m512i bytes = _mm512_set4_epi32(0x0E0D800C, 0x0A098008, 0x06058004, 0x02018000);  // (byte 0, zero, byte 1, byte 2) of each lane
  const uint8_t *x = t->x, *w = t->w, *piece = t->pieces;
  size_t x_stride = t->x_stride, w_stride = t->w_stride;
  __m512i c[ck_tile_panels][ck_grouped_tile_rows], s[ck_tile_panels][ck_grouped_tile_rows];
  start(P, R, t, c);
  for (size_t fold = 0; fold < t->folds; piece++) {
    CK_UNROLL for (int r = 0; r < R; r++) CK_UNROLL for (int p = 0; p < P; p++) s[p][r] = _mm512_setzero_si512();
    for (size_t end = fold + *piece; fold < end; fold++, x += ck_fold, w += ck_fold_units * ck_unit_bytes) add_fold(0, P, R, x, x_stride, w, w_stride, s);
    CK_UNROLL for (int p = 0; p < P; p++) CK_UNROLL for (int r = 0; r < R; r++) s[p][r] = _mm512_shuffle_epi8(s[p][r], bytes);
    multiply(P, R, t->multipliers[piece - t->pieces], s, c);
  }
  CK_UNROLL for (int r = 0; r < R; r++) CK_UNROLL for (int p = 0; p < P; p++) ck_store64(t->sums[r] + p * ck_panel, c[p][r]);
}

#define TILE(kind, tile, P, R) \
  static void kind##_##P##_##R(const ck_tile *t) { tile(P, R, t); }
#define EACH(TILE, kind, tile, P)                                                                                         \
  TILE(kind, tile, P, 1) TILE(kind, tile, P, 2) TILE(kind, tile, P, 3) TILE(kind, tile, P, 4) TILE(kind, tile, P, 5) TILE(kind, tile, P, 6) \
  TILE(kind, tile, P, 7)
#define NAME(kind, tile, P, R) kind##_##P##_##R,
#define TILES(kind, tile)                                                                                                      \
  EACH(TILE, kind, tile, 1)                                                                                                    \
  EACH(TILE, kind, tile, 2)                                                                                                    \
  ck_tile_function *const ck_grouped_tiles_##kind[2][ck_grouped_tile_rows + 1] = {{NULL, EACH(NAME, kind, tile, 1)},        \
                                                                                           {NULL, EACH(NAME, kind, tile, 2)}};
TILES(s8_u8, tile_of_folds)
TILES(u8_s8, tile_of_pieces)

CK_TARGET_END
#endif
