// Tiles of integer gemm without groups: up to 12 rows × 32 outputs or 16 rows × 16, one vpdpbusd for 64 products, weights of any width as bytes.
// vpdpbusd multiplies unsigned by signed bytes, adds four products and a sum in int32, and is exact for all operands while the sum is:
//   8 bits   255 · 127 · 65,536 < 2³¹
//   4 bits   unsigned 0 … 15 by −128 … 127: 15 · 128 · 65,536 < 2²⁷, 8 · 128 · 65,536 = 2²⁶ where they start; fewer bits give less
//
// Limit: 512-bit products, two a cycle on ports 0 and 5 of Ice Lake and Sapphire Rapids, one on Zen 4. A step of 12 × 32 takes 24 of them, 12
// broadcasts and 2 loads. Measured on Sapphire Rapids with operands in L1, of the peak: 99.0 % with 12 × 32, 98.1 % with 8 × 32, 99 % with 16 × 16; 4
// × 32 has 8 chains of 5 cycles where 10 are needed, 67 %. In a product of 256 × 1024 × 1024 tiles take 3,200 cycles where 2,980 are the limit
// (activations come from L2), the end of their rows 130, and the tile that decodes 1,000 more (its stores drive other lines out of L1).
#if defined(__x86_64__)
#include "gemm_decode.h"

CK_TARGET_BEGIN(CK_TARGET_AVX512VNNI)

CK_INLINE void start(int is_x_signed, int P, int R, const ck_tile *t, const uint8_t *const x[ck_tile_pointers],
                     __m512i c[ck_tile_panels][ck_tall_tile_rows]) {
  if (t->zeros == NULL) {
    CK_UNROLL for (int r = 0; r < R; r++) CK_UNROLL for (int p = 0; p < P; p++) c[p][r] = ck_load64(t->sums[r] + p * ck_panel);
    return;
  }
  CK_UNROLL for (int r = 0; r < R; r++) {
    __m512i from = is_x_signed ? ck_broadcast_row(x, t->x_stride, r, t->starts) : _mm512_setzero_si512(), zero = ck_broadcast4x16(t->zeros + r);
    CK_UNROLL for (int p = 0; p < P; p++) c[p][r] = _mm512_dpwssd_epi32(from, ck_load64(t->weight_sums[0] + p * ck_panel), zero);
  }
}

CK_INLINE void tile(ck_weight_source source, int P, int R, const ck_tile *t) {
  const int is_x_signed = source != ck_weights_s8, units = ck_units_at_once(source);
  const size_t step = (size_t)units * ck_unit_code_bytes(source);
  const uint8_t *x[ck_tile_pointers], *w = t->w, *next = t->next;
  size_t x_stride = t->x_stride, at = 0;
  __m512i c[ck_tile_panels][ck_tall_tile_rows];
  ck_set_pointers(R, t->x, x_stride, x);
  start(is_x_signed, P, R, t, x, c);
  for (size_t end = t->folds * ck_fold_units * ck_unit_bytes; at < end; at += (size_t)units * ck_unit_bytes, w += step) {
    CK_UNROLL for (int u = 0; u < units; u++) {
      __m512i weights[ck_tile_panels];
      if (u % 2 == 0) ck_prefetch_next(P, t, next + u * 32);
      ck_units(source, P, t, w, u, at, weights);
      CK_UNROLL for (int r = 0; r < R; r++) {
        __m512i a = ck_broadcast_row(x, x_stride, r, (size_t)u * 4);
        if (P == 2) CK_KEEP32(a);  // else it is an operand in memory
        CK_UNROLL for (int p = 0; p < P; p++) {
          c[p][r] = is_x_signed ? _mm512_dpbusd_epi32(c[p][r], weights[p], a) : _mm512_dpbusd_epi32(c[p][r], a, weights[p]);
          CK_KEEP32(c[p][r]);
        }
      }
    }
    next += (size_t)(units / 2) * t->next_step;
    ck_move_pointers(R, (size_t)units * 4, x);
  }
  CK_UNROLL for (int r = 0; r < R; r++) CK_UNROLL for (int p = 0; p < P; p++) ck_store64(t->sums[r] + p * ck_panel, c[p][r]);
}

// A copy, since stores through its pointers could change *t for all that a compiler knows.
#define TILE(source, P, R)                           \
  static void source##_##P##_##R(const ck_tile *t) { \
    const ck_tile copy = *t;                         \
    tile(source, P, R, &copy);                       \
  }
#define NAME(source, P, R) source##_##P##_##R,
#define EACH_ROWS(TILE, source, P)                                                                                                  \
  TILE(source, P, 1) TILE(source, P, 2) TILE(source, P, 3) TILE(source, P, 4) TILE(source, P, 5) TILE(source, P, 6)                 \
  TILE(source, P, 7) TILE(source, P, 8) TILE(source, P, 9) TILE(source, P, 10) TILE(source, P, 11) TILE(source, P, 12)
#define TALL_ROWS(TILE, source) TILE(source, 1, 13) TILE(source, 1, 14) TILE(source, 1, 15) TILE(source, 1, 16)
#define TILES(source) EACH_ROWS(TILE, source, 1) TALL_ROWS(TILE, source) EACH_ROWS(TILE, source, 2)
#define NAMES(source) {{NULL, EACH_ROWS(NAME, source, 1) TALL_ROWS(NAME, source)}, {NULL, EACH_ROWS(NAME, source, 2)}}
TILES(ck_weights_s8) TILES(ck_weights_u8) TILES(ck_codes_s4) TILES(ck_codes_s2) TILES(ck_codes_s1)

CK_TARGET_END

ck_tile_function *const ck_tiles[ck_weight_sources][2][ck_tall_tile_rows + 1] = {NAMES(ck_weights_s8), NAMES(ck_weights_u8), NAMES(ck_codes_s4),
                                                                           NAMES(ck_codes_s2), NAMES(ck_codes_s1)};
#endif
