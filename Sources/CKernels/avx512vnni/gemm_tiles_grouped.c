// Tiles of integer gemm with a multiplier per group: the int32 sum S of a piece of a group, then one multiply-add of int16 pairs, vpdpwssd, brings it
// times its multiplier to the sum of all. (vpmulld is two operations of port 0 on Intel: 8 / 11 of the peak at best.)
//
//   4, 2, 1 bits   pieces of 32 inputs, unsigned weights c + offset, signed activations x ∈ −128 … 127. S = Σ c · x − 1 by way of its start,
//                  −offset · Σ x − 1. With c ∈ −8 … 7 the sum is at least −8 · 127 · 32 = −32,512 and at most 8 · 128 · 32 = 32,768: less 1, it fits
//                  int16. So vpdpwssd with the pair (multiplier, 0) is exact: only the low half of S meets the multiplier. Σ multipliers is added
//                  again by whoever gives the sums. 9 operations for 8 products: 89 % of the peak at best.
//   8 bits         pieces are whole groups, at most a segment of 256 inputs: |S| ≤ 255 · 127 · 256 < 2²³. One vpshufb makes the pair
//                  (S & 255, S >> 8) of it, and vpdpwssd with (multiplier, 256 · multiplier), 256 · 127 < 2¹⁵, is exact: 10 operations for 8 products
//                  with groups of 32, 80 % of the peak at best, 94 % with groups of 128.
//
// Up to 8 rows × 32 outputs: 16 sums of the piece, 12 of all and 4 more in memory, 2 registers of weights, 1 of activations. Measured on Sapphire
// Rapids with operands in L1, 4 bits, of the peak: 86.0 % (7 × 32 85.9 %, 6 × 32 83.2 %, 4 × 48 83.1 %, 8 × 32 with all sums in memory 75 %).
#if defined(__x86_64__)
#include "gemm_decode.h"

CK_TARGET_BEGIN(CK_TARGET_AVX512VNNI)

// Where a tile is.
typedef struct place {
  const uint8_t *x[ck_tile_pointers], *w, *next;
  size_t at;  // bytes of units
} place;

// Adds the products of one fold to the sums of the piece.
CK_INLINE void add_fold(ck_weight_source source, int P, int R, const ck_tile *t, place *i, __m512i s[ck_tile_panels][ck_tall_tile_rows]) {
  size_t x_stride = t->x_stride;
  CK_UNROLL for (int u = 0; u < ck_fold_units; u++) {
    __m512i weights[ck_tile_panels];
    if (u % 2 == 0) ck_prefetch_next(P, t, i->next + u * 32);
    ck_units(source, P, t, i->w, u, i->at, weights);
    CK_UNROLL for (int r = 0; r < R; r++) {
      __m512i a = ck_broadcast_row(i->x, x_stride, r, (size_t)u * 4);
      if (P == 2) CK_KEEP32(a);  // else it is an operand in memory
      CK_UNROLL for (int p = 0; p < P; p++) {
        s[p][r] = source != ck_weights_s8 ? _mm512_dpbusd_epi32(s[p][r], weights[p], a) : _mm512_dpbusd_epi32(s[p][r], a, weights[p]);
        CK_KEEP32(s[p][r]);
      }
    }
  }
  i->w += ck_fold_units * ck_unit_code_bytes(source);
  i->next += ck_fold_units / 2 * t->next_step;
  i->at += ck_fold_units * ck_unit_bytes;
  ck_move_pointers(R, ck_fold, i->x);
}

CK_INLINE place first_place(int R, const ck_tile *t) {
  place i = {.w = t->w, .next = t->next};
  ck_set_pointers(R, t->x, t->x_stride, i.x);
  return i;
}

// Rows whose sums of all are kept in registers; those of the others stay in memory.
CK_INLINE int kept_rows(int P) { return P == 2 ? 6 : 12; }

CK_INLINE void start(int P, int R, const ck_tile *t, size_t segment, __m512i c[ck_tile_panels][ck_tall_tile_rows]) {
  CK_UNROLL for (int p = 0; p < P; p++) {
    __m512i initial = ck_load64(t->initial + p * ck_panel), weight_sums = ck_load64(t->weight_sums[segment] + p * ck_panel);
    CK_UNROLL for (int r = 0; r < R; r++) {
      int32_t *sum = t->sums[r] + p * ck_panel;
      if (t->zeros != NULL) c[p][r] = _mm512_dpwssd_epi32(initial, weight_sums, ck_broadcast4x16(t->zeros + r));
      else c[p][r] = _mm512_add_epi32(ck_load64(sum), initial);
      if (r >= kept_rows(P)) ck_store64(sum, c[p][r]);
    }
  }
}

CK_INLINE void keep(int P, int R, const ck_tile *t, __m512i c[ck_tile_panels][ck_tall_tile_rows]) {
  CK_UNROLL for (int r = 0; r < R; r++) CK_UNROLL for (int p = 0; p < P; p++)
      if (r < kept_rows(P)) ck_store64(t->sums[r] + p * ck_panel, c[p][r]);
}

CK_INLINE void multiply(int P, int R, const ck_tile *t, const int32_t multipliers[ck_tile_outputs],
                        __m512i s[ck_tile_panels][ck_tall_tile_rows], __m512i c[ck_tile_panels][ck_tall_tile_rows]) {
  CK_UNROLL for (int p = 0; p < P; p++) {
    __m512i m = ck_load64(multipliers + p * ck_panel);
    CK_UNROLL for (int r = 0; r < R; r++) {
      if (r < kept_rows(P)) {
        c[p][r] = _mm512_dpwssd_epi32(c[p][r], s[p][r], m);
        CK_KEEP32(c[p][r]);
      } else {
        int32_t *sum = t->sums[r] + p * ck_panel;
        ck_store64(sum, _mm512_dpwssd_epi32(ck_load64(sum), s[p][r], m));
      }
    }
  }
}

CK_INLINE void tile_of_folds(ck_weight_source source, int P, int R, const ck_tile *t) {
  place i = first_place(R, t);
  size_t x_stride = t->x_stride, starts = t->starts;
  __m512i c[ck_tile_panels][ck_tall_tile_rows], s[ck_tile_panels][ck_tall_tile_rows];
  start(P, R, t, 0, c);
  for (size_t fold = 0; fold < t->folds; fold++) {
    CK_UNROLL for (int r = 0; r < R; r++) CK_UNROLL for (int p = 0; p < P; p++) s[p][r] = ck_broadcast_row(i.x, x_stride, r, starts);
    add_fold(source, P, R, t, &i, s);
    starts += sizeof(int32_t) - ck_fold;
    multiply(P, R, t, t->multipliers[fold], s, c);
  }
  keep(P, R, t, c);
}

// Adds the sums of a segment as floats.
CK_INLINE void add_totals(int P, int R, const ck_tile *t, int is_first, __m512i c[ck_tile_panels][ck_tall_tile_rows]) {
  CK_UNROLL for (int r = 0; r < R; r++) CK_UNROLL for (int p = 0; p < P; p++) {
    __m512 v = _mm512_cvtepi32_ps(r < kept_rows(P) ? c[p][r] : ck_load64(t->sums[r] + p * ck_panel));
    float *total = t->totals[r] + p * ck_panel;
    _mm512_storeu_ps(total, is_first ? v : _mm512_add_ps(_mm512_loadu_ps(total), v));
  }
}

CK_INLINE void tile_of_pieces(int P, int R, const ck_tile *t) {
  const __m512i bytes = _mm512_set4_epi32(0x0E0D800C, 0x0A098008, 0x06058004, 0x02018000);  // (byte 0, zero, byte 1, byte 2) of each lane
  place i = first_place(R, t);
  const uint8_t *piece = t->pieces;
  size_t segment = 0;
  __m512i c[ck_tile_panels][ck_tall_tile_rows], s[ck_tile_panels][ck_tall_tile_rows];
  for (size_t fold = 0; fold < t->folds; segment++) {
    size_t segment_end = t->folds - fold < ck_segment_folds_s8 ? t->folds : fold + ck_segment_folds_s8;
    start(P, R, t, segment, c);
    for (; fold < segment_end; piece++) {
      CK_UNROLL for (int r = 0; r < R; r++) CK_UNROLL for (int p = 0; p < P; p++) s[p][r] = _mm512_setzero_si512();
      for (size_t end = fold + *piece; fold < end; fold++) add_fold(ck_weights_s8, P, R, t, &i, s);
      CK_UNROLL for (int p = 0; p < P; p++) CK_UNROLL for (int r = 0; r < R; r++) s[p][r] = _mm512_shuffle_epi8(s[p][r], bytes);
      multiply(P, R, t, t->multipliers[piece - t->pieces], s, c);
    }
    if (t->totals == NULL) keep(P, R, t, c);
    else add_totals(P, R, t, t->begins_totals && segment == 0, c);
  }
}

CK_INLINE void tile(ck_weight_source source, int P, int R, const ck_tile *t) {
  if (source == ck_weights_s8) tile_of_pieces(P, R, t);
  else tile_of_folds(source, P, R, t);
}

// A copy, since stores through its pointers could change *t for all that a compiler knows.
#define TILE(source, P, R)                           \
  static void source##_##P##_##R(const ck_tile *t) { \
    const ck_tile copy = *t;                         \
    tile(source, P, R, &copy);                       \
  }
#define NAME(source, P, R) source##_##P##_##R,
#define EACH_ROWS(TILE, source, P)                                                                              \
  TILE(source, P, 1) TILE(source, P, 2) TILE(source, P, 3) TILE(source, P, 4) TILE(source, P, 5) TILE(source, P, 6) \
  TILE(source, P, 7) TILE(source, P, 8)
#define TALL_ROWS(TILE, source)                                                                                 \
  TILE(source, 1, 9) TILE(source, 1, 10) TILE(source, 1, 11) TILE(source, 1, 12) TILE(source, 1, 13) TILE(source, 1, 14) \
  TILE(source, 1, 15) TILE(source, 1, 16)
#define TILES(source) EACH_ROWS(TILE, source, 1) TALL_ROWS(TILE, source) EACH_ROWS(TILE, source, 2)
#define NAMES(source) {{NULL, EACH_ROWS(NAME, source, 1) TALL_ROWS(NAME, source)}, {NULL, EACH_ROWS(NAME, source, 2)}}
TILES(ck_weights_s8) TILES(ck_weights_u8) TILES(ck_codes_s4) TILES(ck_codes_s2) TILES(ck_codes_s1)

CK_TARGET_END

ck_tile_function *const ck_grouped_tiles[ck_weight_sources][2][ck_tall_tile_rows + 1] = {
    NAMES(ck_weights_s8), NAMES(ck_weights_u8), NAMES(ck_codes_s4), NAMES(ck_codes_s2), NAMES(ck_codes_s1)};
#endif
