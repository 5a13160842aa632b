// Gemm with 8-bit weights and few inputs, for more rows than gemm_rows.c takes. Where K is short, gemm_blocks.c spends as much on the pairs
// that could saturate as on the products: lists are made for each panel, and at least two entries for each output are gone through.
//
// Here no pair can: with activations as s = x − 128, x · w = |s| · (w with the sign of s) + 128 · w, and |s| ≤ 128, |w| ≤ 127, so a pair is at
// most 2 · 128 · 127 = 32,512 < 32,767. That is one instruction more for 32 products than gemm_blocks.c has (sign, multiply-add, widen, add),
// and codes are read as they are packed. The sum 128 · Σ w is where the accumulators begin.
#if defined(__x86_64__)
#include "epilogue.h"
#include "kernels.h"

CK_TARGET_BEGIN(CK_TARGET_AVX2)

enum {
  most_inputs = ck_gemm_short_inputs_avx2,
  fold_units = ck_fold / 4,
  unit_bytes = ck_panel * 4,
  block_unit_bytes = ck_row_block * 4,
  tile_rows = ck_row_block / 2,
};

typedef struct workspace {
  int32_t sums[ck_row_block][ck_panel];
  uint8_t magnitudes[most_inputs * ck_row_block];  // |s|, in the order of the codes
  int8_t signed_codes[most_inputs * ck_row_block];
} workspace;

size_t ck_gemm_short_workspace_bytes__avx2(void) { return ck_round_up(sizeof(workspace), 64); }

// Splits the codes of a block of 8 rows.
static void split_signs(const uint8_t *codes, size_t padded, workspace *s) {
  for (size_t i = 0; i < padded * ck_row_block; i += 32) {
    __m256i v = _mm256_xor_si256(ck_load(codes + i), _mm256_set1_epi8((char)0x80));
    ck_store(s->signed_codes + i, v);
    ck_store(s->magnitudes + i, _mm256_abs_epi8(v));
  }
}

// The sums of 4 rows from row `row` of the block on × 16 outputs over all inputs.
CK_INLINE void short_tile(int is_grouped, const workspace *s, size_t row, const int8_t *w, size_t folds, const int8_t *multipliers,
                          size_t group_folds, const int32_t *weight_sums, int32_t (*sums)[ck_panel]) {
  const uint8_t *magnitudes = s->magnitudes + row * 4;
  const int8_t *codes = s->signed_codes + row * 4;
  __m256i c0[tile_rows], c1[tile_rows], m[2] = {_mm256_set1_epi16(1), _mm256_set1_epi16(1)};
  CK_UNROLL for (int r = 0; r < tile_rows; r++) {
    c0[r] = _mm256_slli_epi32(ck_load(weight_sums), 7);
    c1[r] = _mm256_slli_epi32(ck_load(weight_sums + 8), 7);
  }
  for (size_t fold = 0; fold < folds; fold++) {
    if (is_grouped && fold % group_folds == 0) {
      ck_expand_multipliers(multipliers, m);
      multipliers += ck_panel;
    }
    CK_UNROLL for (int t = 0; t < fold_units; t++) {
      __m256i w0 = ck_load(w + t * unit_bytes), w1 = ck_load(w + t * unit_bytes + 32);
      CK_UNROLL for (int r = 0; r < tile_rows; r++) {
        __m256i a = ck_broadcast4(magnitudes + t * block_unit_bytes + r * 4), sign = ck_broadcast4(codes + t * block_unit_bytes + r * 4);
        c0[r] = _mm256_add_epi32(c0[r], _mm256_madd_epi16(_mm256_maddubs_epi16(a, _mm256_sign_epi8(w0, sign)), m[0]));
        c1[r] = _mm256_add_epi32(c1[r], _mm256_madd_epi16(_mm256_maddubs_epi16(a, _mm256_sign_epi8(w1, sign)), m[1]));
        CK_KEEP(c0[r]);
        CK_KEEP(c1[r]);
      }
    }
    magnitudes += fold_units * block_unit_bytes;
    codes += fold_units * block_unit_bytes;
    w += fold_units * unit_bytes;
  }
  CK_UNROLL for (int r = 0; r < tile_rows; r++) {
    ck_store(sums[r], c0[r]);
    ck_store(sums[r] + 8, c1[r]);
  }
}

// Sums of rows first ..< last, at most 8, of one panel. Rows of a tile that do not exist are padding in the codes and cost nothing but time.
static void short_panel(const ck_gemm_weights *w, size_t panel, size_t rows, workspace *s) {
  size_t padded = ck_round_up(w->inputs, ck_fold), folds = padded / ck_fold;
  const int8_t *codes = (const int8_t *)w->codes + panel * padded * ck_panel;
  const int32_t *weight_sums = w->sums + panel * ck_panel;
  for (size_t row = 0; row < rows; row += tile_rows) {
    if (w->group == 0) short_tile(0, s, row, codes, folds, NULL, 1, weight_sums, s->sums + row);
    else
      short_tile(1, s, row, codes, folds, w->multipliers + panel * ck_gemm_groups(w->inputs, w->group) * ck_panel, w->group / ck_fold, weight_sums,
                 s->sums + row);
  }
}

// For w->inputs ≤ ck_gemm_short_inputs_avx2 and more than ck_few_rows rows.
void ck_gemm_short_u8_s8__avx2(const ck_gemm_weights *w, const ck_gemm_activations *x, const ck_gemm_output *y, size_t row_begin, size_t row_end,
                               size_t panel_begin, size_t panel_end, void *space) {
  workspace *s = (workspace *)space;
  size_t padded = ck_round_up(w->inputs, ck_fold);
  for (size_t first = row_begin; first < row_end; first += ck_row_block) {
    size_t last = row_end - first < ck_row_block ? row_end : first + ck_row_block;
    split_signs(x->codes + first * padded, padded, s);
    for (size_t panel = panel_begin; panel < panel_end; panel++) {
      short_panel(w, panel, last - first, s);
      if (ck_end_only_segment(w, x, y, first, last, panel, s->sums)) continue;
      for (size_t m = first; m < last; m++)
        ck_end_segment(w, x, y, m, panel, 0, 1, ck_load(s->sums[m - first]), ck_load(s->sums[m - first] + 8), NULL);
    }
  }
}

CK_TARGET_END
#endif
