// Integer gemm with vpdpbusd of 256 bits: 32 exact products an instruction, sums in int32, so 8-bit weights need no list of unsafe pairs.
// |sum| ≤ 255 · 127 · 65,536 < 2³¹; in groups the segments of gemm.h keep multiplier · sum there.
//
// 6 rows × 16 outputs: 12 sums, 2 registers of weights, 1 of activations. A step of 4 inputs is 12 products, 6 broadcasts and 2 loads, so the limit is the
// products: two a cycle where two ports have them (Alder Lake, Sapphire Rapids, Zen 5). Codes of 4 and 2 bits are decoded once for all rows, a panel of up
// to 1,024 inputs at a time; for few rows: gemm_rows.c.
//
// A group's sum is multiplied by vpmulld and added: for groups of 32 that is 3 operations beside 8 products (vpmulld is two on Intel).
#if defined(__x86_64__)
#include "dispatch.h"
#include "kernels.h"
#include "stretch.h"

CK_TARGET_BEGIN(CK_TARGET_AVXVNNI)

enum { block_folds = 32, unit_bytes = ck_panel * 4, fold_units = ck_fold / 4, row_chunk = ck_row_chunk, tile_rows = 6, prefetch_bytes = 2048 };

typedef struct workspace {
  int32_t sums[row_chunk][ck_panel];
  float totals[row_chunk][ck_panel];
  int8_t panel[block_folds * ck_fold * ck_panel];
} workspace;

size_t ck_gemm_codes_workspace_bytes__avxvnni(void) { return ck_round_up(sizeof(workspace), 64); }

// Chains of sums, so that 8 to 12 are under way where few rows have fewer outputs: each product waits 5 cycles for the one before.
CK_INLINE int chains_of(int R) { return R == 1 ? 4 : R <= 3 ? 2 : 1; }

// The sum of all chains; they begin anew.
CK_INLINE __m256i joined(int chains, int r, int half, __m256i c[4][tile_rows][2]) {
  __m256i sum = c[0][r][half];
  CK_UNROLL for (int i = 0; i < chains; i++) {
    if (i > 0) sum = _mm256_add_epi32(sum, c[i][r][half]);
    c[i][r][half] = _mm256_setzero_si256();
  }
  return sum;
}

// Adds the products of R rows to their sums.
CK_INLINE void tile(int R, int is_grouped, const ck_stretch *p, const uint8_t *x, int32_t (*sums)[ck_panel]) {
  const uint8_t *w = p->weights, *second = x + 3 * p->x_stride;  // two pointers for six rows
  const int8_t *multipliers = p->multipliers;
  size_t left = p->group_folds - p->fold_in_group;
  const int chains = chains_of(R);
  __m256i c[4][tile_rows][2];
  CK_UNROLL for (int i = 0; i < chains; i++) CK_UNROLL for (int r = 0; r < R; r++) CK_UNROLL for (int half = 0; half < 2; half++)
    c[i][r][half] = is_grouped || i > 0 ? _mm256_setzero_si256() : ck_load(sums[r] + 8 * half);
  for (size_t fold = 0; fold < p->folds; fold++) {
    CK_UNROLL for (int t = 0; t < fold_units; t++, w += unit_bytes) {
      _mm_prefetch((const char *)w + prefetch_bytes, _MM_HINT_T0);  // for few rows; beyond the end it does nothing
      __m256i weights[2] = {ck_load(w), ck_load(w + 32)};
      CK_UNROLL for (int r = 0; r < R; r++) {
        __m256i a = ck_broadcast4((r < 3 ? x : second) + (size_t)(r % 3) * p->x_stride + 4 * t);
        CK_UNROLL for (int half = 0; half < 2; half++) {
          __m256i *sum = &c[t % chains][r][half];
          *sum = _mm256_dpbusd_avx_epi32(*sum, a, weights[half]);
          CK_KEEP(*sum);
        }
      }
    }
    x += ck_fold;
    second += ck_fold;
    if (!is_grouped || (--left > 0 && fold + 1 < p->folds)) continue;
    __m256i m[2];
    ck_load_multipliers(multipliers, m);
    multipliers += ck_panel;
    left = p->group_folds;
    CK_UNROLL for (int r = 0; r < R; r++) CK_UNROLL for (int half = 0; half < 2; half++) {
      __m256i product = _mm256_mullo_epi32(joined(chains, r, half, c), m[half]);
      ck_store(sums[r] + 8 * half, _mm256_add_epi32(ck_load(sums[r] + 8 * half), product));
    }
  }
  if (is_grouped) return;
  CK_UNROLL for (int r = 0; r < R; r++) CK_UNROLL for (int half = 0; half < 2; half++) ck_store(sums[r] + 8 * half, joined(chains, r, half, c));
}

typedef void tile_function(const ck_stretch *p, const uint8_t *x, int32_t (*sums)[ck_panel]);
#define TILE(R)                                                                                                            \
  static void tile_##R(const ck_stretch *p, const uint8_t *x, int32_t (*sums)[ck_panel]) { tile(R, 0, p, x, sums); }          \
  static void grouped_tile_##R(const ck_stretch *p, const uint8_t *x, int32_t (*sums)[ck_panel]) { tile(R, 1, p, x, sums); }
TILE(1) TILE(2) TILE(3) TILE(4) TILE(5) TILE(6)
static tile_function *const tiles[2][tile_rows + 1] = {{NULL, tile_1, tile_2, tile_3, tile_4, tile_5, tile_6},
                                                      {NULL, grouped_tile_1, grouped_tile_2, grouped_tile_3, grouped_tile_4, grouped_tile_5, grouped_tile_6}};

// Codes lie in lines of 64 bytes of one unit of bytes, two of 4 bits, four of 2.
CK_INLINE int units_of(int bits) { return 8 / bits; }

// Half a unit i of such a line.
CK_INLINE __m256i decoded(int bits, __m256i codes, int i) {
  const __m256i mask = _mm256_set1_epi8((char)((1 << bits) - 1)), offset = _mm256_set1_epi8((char)(1 << (bits - 1)));
  if (i > 0) codes = _mm256_srli_epi16(codes, bits * i);
  return _mm256_sub_epi8(_mm256_and_si256(codes, mask), offset);
}

CK_INLINE void decode(int bits, const uint8_t *codes, size_t folds, int8_t *panel) {
  for (size_t i = 0; i < folds * fold_units / (size_t)units_of(bits); i++, codes += unit_bytes)
    CK_UNROLL for (int half = 0; half < 2; half++) {
      __m256i v = ck_load(codes + 32 * half);
      CK_UNROLL for (int u = 0; u < units_of(bits); u++, panel += unit_bytes) ck_store(panel + 32 * half, decoded(bits, v, u));
      panel -= half == 0 ? units_of(bits) * unit_bytes : 0;
    }
}

// Folds begin ..< end of a panel for rows first ..< last, at most row_chunk.
CK_INLINE void add_block(int bits, const ck_gemm_weights *w, const ck_gemm_activations *x, size_t panel, size_t begin, size_t end, size_t first,
                         size_t last, workspace *s) {
  size_t stride = ck_row_stride__avxvnni(w->inputs);
  ck_stretch p = ck_stretch_of(bits, w, panel, begin, end, stride);
  if (bits < 8) {
    decode(bits, p.weights, p.folds, s->panel);
    p.weights = (const uint8_t *)s->panel;
  }
  for (size_t row = 0, rows; row < last - first; row += rows) {
    size_t left = last - first - row;
    rows = left == 10 ? 5 : left < tile_rows ? left : tile_rows;  // 5 and 5 keep 10 sums under way, 6 and 4 would do with 8 in the second
    tiles[w->group != 0][rows](&p, x->codes + (first + row) * stride + begin * ck_fold, s->sums + row);
  }
}

CK_INLINE void gemm(int bits, const ck_gemm_weights *w, const ck_gemm_activations *x, const ck_gemm_output *y, size_t row_begin, size_t row_end,
                    size_t panel_begin, size_t panel_end, workspace *s) {
  size_t folds = ck_round_up(w->inputs, ck_fold) / ck_fold, segments = ck_gemm_segments(w->inputs, w->group, bits);
  size_t segment_folds = segments == 1 ? folds : ck_gemm_segment(w->inputs, w->group, bits) / ck_fold, last;
  for (size_t first = row_begin; first < row_end; first = last) {
    last = row_end - first < row_chunk ? row_end : first + row_chunk;
    for (size_t panel = panel_begin; panel < panel_end; panel++)
      for (size_t segment = 0; segment < segments; segment++) {
        size_t begin = segment * segment_folds, end = segment + 1 == segments ? folds : begin + segment_folds;
        memset(s->sums, 0, (last - first) * sizeof s->sums[0]);
        for (size_t fold = begin; fold < end; fold += block_folds)
          add_block(bits, w, x, panel, fold, end - fold < block_folds ? end : fold + block_folds, first, last, s);
        if (segments == 1 && ck_end_only_segment(w, x, y, first, last, panel, s->sums)) continue;
        for (size_t m = first; m < last; m++)
          ck_end_segment(w, x, y, m, panel, segment, segment + 1 == segments, ck_load(s->sums[m - first]), ck_load(s->sums[m - first] + 8),
                         s->totals[m - first]);
      }
  }
}

#define GEMM(bits)                                                                                                                        \
  void ck_gemm_codes_s##bits##__avxvnni(const ck_gemm_weights *w, const ck_gemm_activations *x, const ck_gemm_output *y, size_t row_begin,   \
                                     size_t row_end, size_t panel_begin, size_t panel_end, void *space) {                                 \
    gemm(bits, w, x, y, row_begin, row_end, panel_begin, panel_end, space);                                                               \
  }
GEMM(8)
GEMM(4)
GEMM(2)

CK_TARGET_END
#endif
