// Gemm with 8-bit weights for up to 8 rows: one vpdpbusd for 64 bytes of codes and a row, activations uint8, weights int8: exact for all inputs,
// 255 · 127 · 65,536 < 2³¹. A unit of 16 outputs × 4 inputs is one register, read once for all rows.
//
//   channel  limit: the bandwidth of the codes for a layer that is not in L2 (R · 2 operations a byte), else one product a row and 64 bytes:
//            two panels (few rows: four) share the broadcasts and give the 10 or more chains that two products a cycle at a latency of 5 need.
//   groups   sums of a group times its multiplier by vpmulld, in a second set of sums: 3 instructions more for 8 products in groups of 32. A group
//            sum leaves int16 (127 · 255 · 32), so vpdpwssd is no way. Sums are exact over segments of 256 inputs, which groups may straddle.
#if defined(__x86_64__)
#include "gemm_rows.h"

CK_TARGET_BEGIN(CK_TARGET_AVX512VNNI)

enum { unit_bytes = ck_panel * 4, fold_bytes = ck_fold_units * unit_bytes };

// R rows × P panels over `folds` folds, behind which `more` bytes of a panel are left; panels are `panel_bytes` apart. `ways` sums for each output take turns.
CK_INLINE void add_folds(int R, int stride, int P, int ways, const uint8_t *codes, size_t panel_bytes, size_t folds, size_t more, const uint8_t *x,
                         __m512i c[ck_most_tile_panels][ck_most_few_rows]) {
  __m512i s[ck_most_tile_panels][ck_most_few_rows][4];
  CK_UNROLL for (int p = 0; p < P; p++) CK_UNROLL for (int r = 0; r < R; r++) {
    s[p][r][0] = c[p][r];
    CK_UNROLL for (int i = 1; i < ways; i++) s[p][r][i] = _mm512_setzero_si512();
  }
  for (const uint8_t *end = codes + folds * fold_bytes; codes != end; codes += 4 * unit_bytes, x += 16 * stride) {
    size_t ahead = ck_codes_ahead((size_t)(end - codes) + more, P, panel_bytes);
    CK_UNROLL for (int t = 0; t < 4; t++) {
      __m512i w[ck_most_tile_panels];
      CK_UNROLL for (int p = 0; p < P; p++) {
        w[p] = ck_load64(codes + (size_t)p * panel_bytes + t * unit_bytes);
        _mm_prefetch((const char *)codes + (size_t)p * panel_bytes + t * unit_bytes + ahead, _MM_HINT_T0);
      }
      CK_UNROLL for (int r = 0; r < R; r++) {
        __m512i a = ck_broadcast4x16(x + (t * stride + r) * 4);
        CK_UNROLL for (int p = 0; p < P; p++) s[p][r][t % ways] = _mm512_dpbusd_epi32(s[p][r][t % ways], a, w[p]);
      }
    }
  }
  CK_UNROLL for (int p = 0; p < P; p++) CK_UNROLL for (int r = 0; r < R; r++) {
    c[p][r] = s[p][r][0];
    CK_UNROLL for (int i = 1; i < ways; i++) c[p][r] = _mm512_add_epi32(c[p][r], s[p][r][i]);
  }
}

CK_INLINE void channel_panels(int R, int stride, int P, const ck_gemm_weights *w, const ck_gemm_activations *x, const ck_gemm_output *y,
                              size_t panel) {
  size_t panel_bytes = ck_panel16_bytes(8, w->inputs);
  __m512i c[ck_most_tile_panels][ck_most_few_rows];
  CK_UNROLL for (int p = 0; p < P; p++) CK_UNROLL for (int r = 0; r < R; r++) c[p][r] = _mm512_setzero_si512();
  const int ways = P * R >= 12 ? 1 : P * R >= 6 ? 2 : 4;  // 10 chains or more
  add_folds(R, stride, P, ways, w->codes + panel * panel_bytes, panel_bytes, panel_bytes / fold_bytes, 0, x->codes, c);
  ck_tile_sums s;
  CK_UNROLL for (int p = 0; p < P; p++) CK_UNROLL for (int r = 0; r < R; r++) ck_store64(s.sums[p][r], c[p][r]);
  ck_end_tile__avx512vnni(w, x, y, 8, panel, (size_t)P, 0, &s);
}

// ---- Groups

// Multipliers of a group and panel as int32, in the order of outputs.
CK_INLINE __m512i multipliers16(const int8_t *packed) {
  __m512i m = _mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)packed));
  return _mm512_shuffle_i32x4(m, m, 0xd8);
}

CK_INLINE void grouped_panels(int R, int stride, int P, const ck_gemm_weights *w, const ck_gemm_activations *x, const ck_gemm_output *y,
                              size_t panel) {
  size_t panel_bytes = ck_panel16_bytes(8, w->inputs), folds = panel_bytes / fold_bytes, groups = ck_gemm_groups(w->inputs, w->group);
  size_t segment_folds = ck_gemm_segment(w->inputs, w->group, 8) / ck_fold, group_folds = w->group / ck_fold, left = group_folds, segment = 0;
  const uint8_t *codes = w->codes + panel * panel_bytes, *from = x->codes;
  const int8_t *multipliers = w->multipliers + panel * groups * ck_panel;
  ck_tile_sums s;
  for (size_t begin = 0; begin < folds; begin += segment_folds, segment++) {
    size_t end = folds - begin < segment_folds ? folds : begin + segment_folds;
    __m512i sums[ck_most_tile_panels][ck_most_few_rows];
    CK_UNROLL for (int p = 0; p < P; p++) CK_UNROLL for (int r = 0; r < R; r++) sums[p][r] = _mm512_setzero_si512();
    for (size_t fold = begin, run; fold < end; fold += run) {
      __m512i c[ck_most_tile_panels][ck_most_few_rows];
      CK_UNROLL for (int p = 0; p < P; p++) CK_UNROLL for (int r = 0; r < R; r++) c[p][r] = _mm512_setzero_si512();
      run = left < end - fold ? left : end - fold;
      add_folds(R, stride, P, 1, codes, panel_bytes, run, (folds - fold - run) * fold_bytes, from, c);
      codes += run * fold_bytes;
      from += run * (size_t)(ck_fold * stride);
      CK_UNROLL for (int p = 0; p < P; p++) {
        __m512i m = multipliers16(multipliers + (size_t)p * groups * ck_panel);
        CK_UNROLL for (int r = 0; r < R; r++) sums[p][r] = _mm512_add_epi32(sums[p][r], _mm512_mullo_epi32(c[p][r], m));
      }
      left -= run;
      if (left == 0) left = group_folds, multipliers += ck_panel;
    }
    CK_UNROLL for (int p = 0; p < P; p++) CK_UNROLL for (int r = 0; r < R; r++) ck_store64(s.sums[p][r], sums[p][r]);
    ck_end_tile__avx512vnni(w, x, y, 8, panel, (size_t)P, segment, &s);
  }
}

// ---- All panels

CK_INLINE void all_panels(int R, int stride, const ck_gemm_weights *w, const ck_gemm_activations *x, const ck_gemm_output *y, size_t panel,
                          size_t panel_end) {
  if (w->group == 0) {
    const int P = R <= 4 ? 4 : 2;
    for (; panel_end - panel >= (size_t)P; panel += (size_t)P) channel_panels(R, stride, P, w, x, y, panel);
    for (; panel < panel_end; panel++) channel_panels(R, stride, 1, w, x, y, panel);
  } else {
    const int P = 2;
    for (; panel_end - panel >= (size_t)P; panel += (size_t)P) grouped_panels(R, stride, P, w, x, y, panel);
    for (; panel < panel_end; panel++) grouped_panels(R, stride, 1, w, x, y, panel);
  }
}

void ck_gemm_rows_s8__avx512vnni(const ck_gemm_weights *w, const ck_gemm_activations *x, const ck_gemm_output *y, size_t row_begin, size_t row_end,
                                 size_t panel_begin, size_t panel_end, void *workspace) {
  (void)row_begin, (void)row_end, (void)workspace;
#define ALL_PANELS(R, stride) all_panels(R, stride, w, x, y, panel_begin, panel_end)
  CK_SWITCH_FEW_ROWS(x->rows, ALL_PANELS)
#undef ALL_PANELS
}

CK_TARGET_END
#endif
