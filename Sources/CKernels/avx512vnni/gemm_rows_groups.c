// Gemm with weights of 4, 2 and 1 bits in groups, for up to 8 rows: codes are cut out in registers (gemm_rows_bits.c) as units of one scale, and the sum
// of each fold of 32 inputs, a lane of int32 whose value fits int16, is multiplied and added by one vpdpwssd: the multiplier is the lower int16 of its
// lane, the upper one is 0. (vpmulld and vpaddd would be three operations.)
//
//   Range of a fold, x' = x − 128 in −128…127, started at −offset · Σ x' so that it ends as Σ code · x' (what wraps on the way does not matter):
//     2 bits   |code| ≤ 2: at most 2 · 128 · 32 = 8,192; 1 bit, cut out as 2 · bit and started at −Σ x': at most 128 · 32 = 4,096
//     4 bits   −8 … 7: from −8 · 127 · 32 = −32,512 to −8 · −128 · 32 = 32,768, one too many. So the sum starts 1 lower and ends in −32,513 … 32,767; the
//              sum of the multipliers, one vpdpwssd for a panel and fold, is added at the end of the segment.
//   Sums of a segment, 4,096 inputs: 127 · 128 · 32,768 = 532,676,608 < 2³¹.
//   A fold of 4 bits costs 12 instructions for decoding, 3 for multipliers, 9 for each row, 8 of them products: of 87 for 8 rows 64, 74 % of the peak where two
//   a cycle is all there is (Intel), 89 % where logic has ports of its own. One row: the bandwidth of codes and multipliers.
#if defined(__x86_64__)
#include "gemm_rows_bits.h"

CK_TARGET_BEGIN(CK_TARGET_AVX512VNNI)

// Multipliers of a group and panel in the order of outputs, int16 in the lower half of each lane, 0 above.
CK_INLINE __m512i multiplier_lanes(const int8_t *packed) {
#define LANE(c) (int)(0x80800080u | (c##u << 8))  // byte c of the 16 to the second byte, zeros to the others
  const __m512i place = _mm512_setr_epi32(LANE(0), LANE(1), LANE(2), LANE(3), LANE(8), LANE(9), LANE(10), LANE(11), LANE(4), LANE(5), LANE(6), LANE(7),
                                          LANE(12), LANE(13), LANE(14), LANE(15));
#undef LANE
  __m512i all = _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)packed));
  return _mm512_srai_epi16(_mm512_shuffle_epi8(all, place), 8);
}

// Unit i of a line with codes as they are; 1 bit: times 2.
CK_INLINE __m512i unit_of_line(int bits, __m512i v, int i) {
  if (bits > 1) return ck_unit_of_line(bits, v, i, 0);
  return i == 0 ? _mm512_and_si512(_mm512_add_epi8(v, v), _mm512_set1_epi8(2)) : ck_unit_of_line(1, v, i, 1);
}

// One fold of R rows × P panels, begun at `starts`; codes are fetched `ahead`.
CK_INLINE void add_fold(int bits, int R, int stride, int P, const uint8_t *codes, size_t panel_bytes, size_t ahead, const uint8_t *x, const int32_t *starts,
                        __m512i c[ck_most_tile_panels][ck_most_few_rows]) {
  const int U = 8 / bits;
  CK_UNROLL for (int p = 0; p < P; p++) CK_UNROLL for (int r = 0; r < R; r++) c[p][r] = ck_broadcast4x16(starts + r);
  CK_UNROLL for (int t = 0; t < ck_fold_units; t += U) {
    __m512i v[ck_most_tile_panels];
    CK_UNROLL for (int p = 0; p < P; p++) v[p] = ck_load_line(bits, codes + (size_t)p * panel_bytes + t / U * ck_line_bytes, ahead);
    CK_UNROLL for (int i = 0; i < U; i++) {
      __m512i unit[ck_most_tile_panels];
      CK_UNROLL for (int p = 0; p < P; p++) unit[p] = unit_of_line(bits, v[p], i);
      CK_UNROLL for (int r = 0; r < R; r++) CK_UNROLL for (int p = 0; p < P; p++)
          c[p][r] = _mm512_dpbusd_epi32(c[p][r], unit[p], ck_broadcast4x16(x + ((t + i) * stride + r) * 4));
    }
  }
}

CK_INLINE void grouped_panels(int bits, int R, int stride, int P, const ck_gemm_weights *w, const ck_gemm_activations *x, const ck_gemm_output *y,
                              size_t panel) {
  const size_t fold_bytes = (size_t)(ck_fold * ck_panel / 8 * bits);
  size_t panel_bytes = ck_panel16_bytes(bits, w->inputs), folds = panel_bytes / fold_bytes, groups = ck_gemm_groups(w->inputs, w->group);
  size_t segment_folds = ck_gemm_segment(w->inputs, w->group, bits) / ck_fold, group_folds = w->group / ck_fold, left = 0, segment = 0;
  ck_few_rows_codes parts = ck_few_rows_parts(x->codes, (size_t)R, w->inputs);
  const int8_t *multipliers = w->multipliers + panel * groups * ck_panel;
  const uint8_t *codes = w->codes + panel * panel_bytes, *from = parts.codes;
  const int32_t *starts = parts.starts;
  __m512i m[ck_most_tile_panels];
  ck_tile_sums s;
  for (size_t begin = 0; begin < folds; begin += segment_folds, segment++) {
    size_t end = folds - begin < segment_folds ? folds : begin + segment_folds;
    __m512i sums[ck_most_tile_panels][ck_most_few_rows], ones[ck_most_tile_panels];
    CK_UNROLL for (int p = 0; p < P; p++) {
      ones[p] = _mm512_setzero_si512();
      CK_UNROLL for (int r = 0; r < R; r++) sums[p][r] = _mm512_setzero_si512();
    }
    for (size_t fold = begin; fold < end; fold++, left--) {
      __m512i c[ck_most_tile_panels][ck_most_few_rows];
      if (left == 0) {
        CK_UNROLL for (int p = 0; p < P; p++) m[p] = multiplier_lanes(multipliers + (size_t)p * groups * ck_panel);
        left = group_folds, multipliers += ck_panel;
      }
      // More rows are limited by products and lose 4 % by the choice.
      add_fold(bits, R, stride, P, codes, panel_bytes, R <= 2 ? ck_codes_ahead((folds - fold) * fold_bytes, P, panel_bytes) : ck_codes_prefetch, from, starts, c);
      codes += fold_bytes, from += ck_fold * stride, starts += stride;
      CK_UNROLL for (int p = 0; p < P; p++) {
        if (bits == 4) ones[p] = _mm512_dpwssd_epi32(ones[p], m[p], _mm512_set1_epi16(1));
        CK_UNROLL for (int r = 0; r < R; r++) sums[p][r] = _mm512_dpwssd_epi32(sums[p][r], c[p][r], m[p]);
      }
    }
    CK_UNROLL for (int p = 0; p < P; p++) CK_UNROLL for (int r = 0; r < R; r++)
        ck_store64(s.sums[p][r], bits == 4 ? _mm512_add_epi32(sums[p][r], ones[p]) : sums[p][r]);
    ck_end_tile__avx512vnni(w, x, y, bits, panel, (size_t)P, segment, &s);
  }
}

CK_INLINE void grouped(int bits, int R, int stride, const ck_gemm_weights *w, const ck_gemm_activations *x, const ck_gemm_output *y, size_t panel,
                       size_t panel_end) {
  const int P = R <= 4 ? 2 : 1;
  for (; panel_end - panel >= (size_t)P; panel += (size_t)P) grouped_panels(bits, R, stride, P, w, x, y, panel);
  for (; P > 1 && panel < panel_end; panel++) grouped_panels(bits, R, stride, 1, w, x, y, panel);
}

#define GEMM_ROWS(bits)                                                                                                                   \
  void ck_gemm_rows_s##bits##__avx512vnni(const ck_gemm_weights *w, const ck_gemm_activations *x, const ck_gemm_output *y,                \
                                          size_t row_begin, size_t row_end, size_t panel, size_t panel_end, void *workspace) {            \
    (void)row_begin, (void)row_end;                                                                                                       \
    if (bits == 1 && w->group == 0 && x->rows == 1 && panel_end - panel >= ck_lookup_panels && w->inputs >= ck_lookup_inputs) {           \
      ck_lookup_row_s1__avx512vnni(w, x, y, panel, panel_end, workspace);                                                                             \
      return;                                                                                                                             \
    }                                                                                                                                     \
    if (w->group == 0) {                                                                                                                  \
      ck_channel_rows_s##bits##__avx512vnni(w, x, y, panel, panel_end);                                                                               \
      return;                                                                                                                             \
    }                                                                                                                                     \
    CK_SWITCH_FEW_ROWS(x->rows, GROUPED_S##bits)                                                                                          \
  }
#define GROUPED_S4(R, stride) grouped(4, R, stride, w, x, y, panel, panel_end)
#define GROUPED_S2(R, stride) grouped(2, R, stride, w, x, y, panel, panel_end)
#define GROUPED_S1(R, stride) grouped(1, R, stride, w, x, y, panel, panel_end)
GEMM_ROWS(4)
GEMM_ROWS(2)
GEMM_ROWS(1)

CK_TARGET_END
#endif
