// Tiles of integer gemm without groups: R ≤ 14 rows × 16 or 32 outputs, one vpdpbusd for 64 products, weights of any width as bytes.
// vpdpbusd multiplies unsigned by signed bytes, adds four products and a sum in int32, and is exact for all operands while the sum is:
//   8 bits   255 · 127 · 65,536 < 2³¹
//   4 bits   unsigned 0 … 15 by −128 … 127: 15 · 128 · 65,536 < 2²⁷, 8 · 128 · 65,536 = 2²⁶ where they start; fewer bits give less
//
// Limit: 512-bit products, two a cycle on ports 0 and 5 of Ice Lake and Sapphire Rapids, one on Zen 4. A step of 14 × 32 takes 28 of them, 14
// broadcasts and 2 loads: 16 of 28 places for loads. Measured on Sapphire Rapids, of the peak: 99.0 % with 14 × 32, 99.1 % with 11 × 32, 98.1 % with 8 × 32
// (16 × 16, where loads are the limit, 94.2 %; 4 × 32, 8 chains of 5 cycles where 10 are needed, 67 %), the same with interleaved rows.
#if defined(__x86_64__)
#include "../avx512/simd.h"
#include "gemm_many.h"

CK_TARGET_BEGIN(CK_TARGET_AVX512VNNI)

CK_INLINE __m512i products(int is_x_signed, __m512i sum, __m512i x, __m512i w) {
  return is_x_signed ? _mm512_dpbusd_epi32(sum, w, x) : _mm512_dpbusd_epi32(sum, x, w);
}

CK_INLINE void tile(int is_x_signed, int P, int R, const ck_tile *t) {
  const uint8_t *x[ck_tile_pointers], *w = t->w, *next = t->next;
  size_t x_stride = t->x_stride, w_stride = t->w_stride;
  __m512i c[ck_tile_panels][ck_tile_rows];
  ck_set_pointers(R, t->x, x_stride, x);
  if (t->zeros == NULL) {
    CK_UNROLL for (int r = 0; r < R; r++) CK_UNROLL for (int p = 0; p < P; p++) c[p][r] = ck_load64(t->sums[r] + p * ck_panel);
  } else {
    CK_UNROLL for (int r = 0; r < R; r++) {
      __m512i start = is_x_signed ? ck_broadcast_row(x, x_stride, r, t->starts) : _mm512_setzero_si512(), zero = ck_broadcast4x16(t->zeros + r);
      CK_UNROLL for (int p = 0; p < P; p++) c[p][r] = _mm512_dpwssd_epi32(start, ck_load64(t->weight_sums[0] + p * ck_panel), zero);
    }
  }
  for (const uint8_t *end = w + t->folds * (ck_fold_units * ck_unit_bytes); w < end; w += 2 * ck_unit_bytes, next += t->next_step) {
    ck_prefetch_next(P, next, t->next_stride);
    CK_UNROLL for (int u = 0; u < 2; u++) {
      __m512i weights[ck_tile_panels];
      CK_UNROLL for (int p = 0; p < P; p++) weights[p] = ck_load64(w + (size_t)p * w_stride + u * ck_unit_bytes);
      CK_UNROLL for (int r = 0; r < R; r++) {
        __m512i a = ck_broadcast_row(x, x_stride, r, (size_t)u * 4);
        CK_KEEP32(a);
        CK_UNROLL for (int p = 0; p < P; p++) {
          c[p][r] = products(is_x_signed, c[p][r], a, weights[p]);
          CK_KEEP32(c[p][r]);
        }
      }
    }
    ck_move_pointers(R, 8, x);
  }
  CK_UNROLL for (int r = 0; r < R; r++) CK_UNROLL for (int p = 0; p < P; p++) ck_store64(t->sums[r] + p * ck_panel, c[p][r]);
}

#define TILE(kind, is_x_signed, P, R) \
  static void kind##_##P##_##R(const ck_tile *t) { tile(is_x_signed, P, R, t); }
#define EACH(TILE, kind, s, P)                                                                                                        \
  TILE(kind, s, P, 1) TILE(kind, s, P, 2) TILE(kind, s, P, 3) TILE(kind, s, P, 4) TILE(kind, s, P, 5) TILE(kind, s, P, 6) TILE(kind, s, P, 7) \
  TILE(kind, s, P, 8) TILE(kind, s, P, 9) TILE(kind, s, P, 10) TILE(kind, s, P, 11) TILE(kind, s, P, 12)
#define NAME(kind, is_x_signed, P, R) kind##_##P##_##R,
#define TILES(kind, is_x_signed)                                                                              \
  EACH(TILE, kind, is_x_signed, 1)                                                                            \
  EACH(TILE, kind, is_x_signed, 2)                                                                            \
  ck_tile_function *const ck_tiles_##kind[2][ck_tile_rows + 1] = {{NULL, EACH(NAME, kind, is_x_signed, 1)}, \
                                                                           {NULL, EACH(NAME, kind, is_x_signed, 2)}};
TILES(u8_s8, 0)
TILES(s8_u8, 1)

CK_TARGET_END
#endif
