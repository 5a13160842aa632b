// One row × 1-bit weights by table lookup (avx512/lookup.h), where vpdpbusd of masked bits (gemm_rows_bits.c) takes 18 instructions a line and this 12.5.
// Limit: two instructions a cycle on Intel, 512 · 2 / 12.5 operations each; one of the two ports does all lookups.
// Tables cost 20 cycles for 32 inputs and every call makes them, so that few panels keep to vpdpbusd.
#if defined(__x86_64__)
#include "../avx512/lookup.h"
#include "gemm_rows_bits.h"

CK_TARGET_BEGIN(CK_TARGET_AVX512VNNI)

enum { pair_panels = 2 };

CK_INLINE void lookup_panels(int P, const ck_gemm_weights *w, const ck_gemm_activations *x, const ck_gemm_output *y, size_t panel, int32_t row_sum,
                             const ck_sum_tables *t) {
  size_t panel_bytes = ck_panel16_bytes(1, w->inputs), lines = panel_bytes / ck_line_bytes;
  __m512i sums[ck_most_lookups];
  CK_UNROLL for (int p = 0; p < P; p++) sums[p] = _mm512_setzero_si512();
  ck_look_up(1, P, w->codes + panel * panel_bytes, panel_bytes, lines, t, 0, sums);
  ck_tile_sums result;
  CK_UNROLL for (int p = 0; p < P; p++) {
    // Σ code · x, and less 128 · Σ code, as ck_end_tile expects.
    __m512i sum = _mm512_sub_epi32(_mm512_slli_epi32(sums[p], 1), _mm512_set1_epi32(row_sum));
    __m512i codes_sum = ck_load64(w->sums + (panel + (size_t)p) * ck_panel);
    ck_store64(result.sums[p][0], _mm512_sub_epi32(sum, _mm512_slli_epi32(codes_sum, 7)));
  }
  ck_end_tile__avx512vnni(w, x, y, 1, panel, (size_t)P, 0, &result);
}

size_t ck_lookup_row_bytes__avx512vnni(size_t inputs) { return ck_round_up(inputs, ck_fold) / ck_fold * sizeof(ck_sum_tables); }

void ck_lookup_row_s1__avx512vnni(const ck_gemm_weights *w, const ck_gemm_activations *x, const ck_gemm_output *y, size_t panel, size_t panel_end, void *workspace) {
  ck_few_rows_codes parts = ck_few_rows_parts(x->codes, 1, w->inputs);
  ck_sum_tables *t = workspace;
  int32_t row_sum = ck_make_sum_tables(parts.row, 4, ck_round_up(w->inputs, ck_fold) / ck_fold, t);
  for (; panel_end - panel >= pair_panels; panel += pair_panels) lookup_panels(pair_panels, w, x, y, panel, row_sum, t);
  if (panel < panel_end) lookup_panels(1, w, x, y, panel, row_sum, t);
}

CK_TARGET_END
#endif
