// Gemm with 1-bit weights by table lookup, 4 rows of 16 outputs at a time: lookup.h. Limit: (9.5 + 3 / 4) operations of 512 bits for 512 products and row
// on two ports, 5.1 cycles, where AVX2 takes 23 of 256 bits on three, 7.7: 1.5 ×; a shuffle of 512 bits does twice the lookups of AVX2's on the one port
// that Skylake-X has for either.
// A block of 1,024 inputs: tables of 4 rows are 32 KB. Panels that share the tables of a block keep their sums in memory. Groups are AVX2's.
#if defined(__x86_64__)
#include "../avx2/kernels.h"
#include "epilogue.h"
#include "kernels.h"
#include "lookup.h"

CK_TARGET_BEGIN(CK_TARGET_AVX512)

enum { tile_rows = 4, block_folds = 32, panel_chunk = 128, line_bytes = 64 };

typedef struct workspace {
  ck_sum_tables tables[tile_rows][block_folds];
  int32_t sums[panel_chunk][tile_rows][ck_panel];
} workspace;

size_t ck_gemm_binary_workspace_bytes__avx512(void) { return ck_round_up(sizeof(workspace), 64); }

// Adds a block of inputs to the sums of a panel.
CK_INLINE void add_block(int R, const uint8_t *codes, size_t folds, const workspace *s, int32_t (*to)[ck_panel]) {
  __m512i sums[ck_most_lookups];
  CK_UNROLL for (int r = 0; r < R; r++) sums[r] = ck_load64(to[r]);
  ck_look_up(R, 1, codes, 0, folds, s->tables[0], block_folds, sums);
  CK_UNROLL for (int r = 0; r < R; r++) ck_store64(to[r], sums[r]);
}

// Tables of a block of one row (panel16x4 of activations: gemm/activations.h). Returns Σ x.
static int32_t make_tables(const ck_gemm_activations *x, size_t padded, size_t m, size_t first_fold, size_t folds, ck_sum_tables *to) {
  int is_row_major = x->rows <= ck_few_rows;
  size_t stride = is_row_major ? 4 : ck_row_block * 4, row = m % ck_row_block;
  const uint8_t *from = is_row_major ? x->codes + m * padded : x->codes + (m - row) * padded + 4 * row;
  return ck_make_sum_tables(from + first_fold * (ck_fold / 4) * stride, stride, folds, to);
}

// R rows from row m on × panels panel_begin ..< panel_end, at most panel_chunk.
CK_INLINE void tile_panels(int R, const ck_gemm_weights *w, const ck_gemm_activations *x, const ck_gemm_output *y, size_t m, size_t panel_begin,
                           size_t panel_end, workspace *s) {
  size_t padded = ck_round_up(w->inputs, ck_fold), folds = padded / ck_fold;
  int32_t row_sums[tile_rows] = {0};
  memset(s->sums, 0, (panel_end - panel_begin) * sizeof s->sums[0]);
  for (size_t first = 0; first < folds; first += block_folds) {
    size_t count = folds - first < block_folds ? folds - first : block_folds;
    for (size_t r = 0; r < (size_t)R; r++) row_sums[r] += make_tables(x, padded, m + r, first, count, s->tables[r]);
    for (size_t panel = panel_begin; panel < panel_end; panel++) {
      int32_t(*sums)[ck_panel] = s->sums[panel - panel_begin];
      add_block(R, w->codes + (panel * folds + first) * line_bytes, count, s, sums);
      if (first + count < folds) continue;
      CK_UNROLL for (size_t r = 0; r < (size_t)R; r++) {
        __m512i sum = _mm512_sub_epi32(_mm512_slli_epi32(ck_load64(sums[r]), 1), _mm512_set1_epi32(row_sums[r]));
        ck_end_segment16(w, x, y, m + r, panel, 0, 1, 0, sum, NULL);
      }
    }
  }
}

void ck_gemm_binary__avx512(const ck_gemm_weights *w, const ck_gemm_activations *x, const ck_gemm_output *y, size_t row_begin, size_t row_end,
                            size_t panel_begin, size_t panel_end, void *space) {
  if (w->group != 0) {
    ck_gemm_binary__avx2(w, x, y, row_begin, row_end, panel_begin, panel_end, space);
    return;
  }
  for (size_t panel = panel_begin; panel < panel_end; panel += panel_chunk) {
    size_t last = panel_end - panel < panel_chunk ? panel_end : panel + panel_chunk, m = row_begin;
    for (; m + tile_rows <= row_end; m += tile_rows) tile_panels(tile_rows, w, x, y, m, panel, last, space);
    switch (row_end - m) {
      case 1: tile_panels(1, w, x, y, m, panel, last, space); break;
      case 2: tile_panels(2, w, x, y, m, panel, last, space); break;
      case 3: tile_panels(3, w, x, y, m, panel, last, space); break;
    }
  }
}

CK_TARGET_END

#endif
