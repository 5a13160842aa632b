// Products of float32 activations and 16-bit weights, shared by the formats that are multiplied by FMA: gemm_half.c and gemm_bf16.c.
//
// Every output is one sum in ascending order of k, begun at 0, each step one fused multiply-add: the same bits for any number of rows, however the
// product is cut. What hides the latency of the multiply-add (4 cycles, 2 a cycle) are the outputs: at least 8 registers of sums at a time.
//
//   direct  up to ck_direct_rows rows: weights are widened in registers and used once by all rows. R rows × P panels of 16 outputs, P = 8, 4 or 2.
//           Bytes are the limit (32 for 16·R multiply-adds), as long as widening, a cycle for 16 weights of FP16, half of one for BF16, is hidden.
//   panels  more rows: 32 outputs × 128 inputs are widened once into L1 (16 KB) and used by all rows in tiles of up to 12 × 32: 24 sums, 2 registers of
//           weights, 12 broadcasts: 24 multiply-adds in 12 cycles want 14 of 24 loads. Rows are cut into tiles of about equal size. With 256 inputs, 32 of
//           48 KB, activations and weights push each other out of L1 (16×4096×4096: 124 GFLOP/s, with 128 inputs 143).
//           Each step of a tile also fetches the weights of a step of the next block, so that memory is read while products run.
#ifndef CK_AVX512_FLOAT_TILES_H
#define CK_AVX512_FLOAT_TILES_H

#include "epilogue.h"
#include "kernels.h"
#include "../float_environment.h"

CK_TARGET_BEGIN(CK_TARGET_AVX512)

enum { ck_float_block = 128, ck_float_columns = 2 * ck_panel, ck_tile_rows = 12 };

// Rows that share a widened panel: all their inputs are read for every 32 outputs, so they should stay in 1 MB of L2 (256×4096×1000 on Emerald Rapids:
// 141 GFLOP/s in one chunk of 4 MB, 146 in chunks of 64 rows); 48 are enough to hide the widening.
CK_INLINE size_t ck_float_rows_at_once(size_t inputs) {
  size_t rows = ((size_t)1 << 18) / (inputs | 1);
  return rows < 48 ? 48 : rows < ck_float_chunk ? rows : ck_float_chunk;
}

typedef struct ck_float_workspace {
  float panel[ck_float_block][ck_float_columns];
  float sums[ck_float_chunk][ck_float_columns];
} ck_float_workspace;

// How weights are stored, and which of two neighbouring inputs is added first.
typedef enum ck_widening {
  ck_widen_f16,       // panel16: rows of 16 outputs
  ck_widen_bf16,      // panel16x2: pairs of inputs, the even one first
  ck_widen_bf16_odd,  // panel16x2: the odd one first; activations have the inputs of a pair exchanged
} ck_widening;

// Inputs 2·t and 2·t + 1 of 16 outputs, in the order of the sums; `p` is their 64 bytes.
CK_INLINE void ck_widen_pair(ck_widening widening, const uint16_t *p, __m512 w[2]) {
  if (widening == ck_widen_f16) {
    w[0] = _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(const void *)p));
    w[1] = _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(const void *)(p + ck_panel)));
    return;
  }
  __m512i pairs = ck_load64(p);
  __m512 even = _mm512_castsi512_ps(_mm512_slli_epi32(pairs, 16));
  __m512 odd = _mm512_castsi512_ps(_mm512_and_si512(pairs, _mm512_set1_epi32((int32_t)0xFFFF0000u)));
  w[0] = widening == ck_widen_bf16 ? even : odd;
  w[1] = widening == ck_widen_bf16 ? odd : even;
}
// Input 2·t alone: the last one where K is odd and activations are not padded.
CK_INLINE __m512 ck_widen_last(ck_widening widening, const uint16_t *p) {
  if (widening == ck_widen_f16) return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(const void *)p));
  return _mm512_castsi512_ps(_mm512_slli_epi32(ck_load64(p), 16));
}

// 16-bit weights of a panel.
CK_INLINE size_t ck_widened_panel(ck_widening widening, size_t inputs) {
  return (widening == ck_widen_f16 ? inputs : ck_round_up(inputs, 2)) * ck_panel;
}

// Sums of BF16 × BF16 flush subnormals. Sums are made in functions of their own, between these two.
CK_INLINE uint64_t ck_begin_sums(ck_widening widening) { return widening == ck_widen_bf16_odd ? ck_begin_flushing_floats() : 0; }
CK_INLINE void ck_end_sums(ck_widening widening, uint64_t control) {
  if (widening == ck_widen_bf16_odd) ck_end_default_floats(control);
}

// A product as the loops here see it: `inputs` are those of x, K, or K padded to pairs.
typedef struct ck_float_product {
  const ck_gemm_weights *w;
  const float *x;
  size_t stride, inputs;
  const ck_gemm_output *y;
  ck_float_workspace *s;
} ck_float_product;

// ---- Few rows

// R rows × P panels from `panel` on, of which `panels` exist: the others repeat the last.
CK_INLINE void ck_direct_tile(ck_widening widening, int R, int P, const ck_float_product *g, size_t panel, size_t panels) {
  const float *x = g->x;
  size_t stride = g->stride, inputs = g->inputs, size = ck_widened_panel(widening, g->w->inputs);
  float *sums = g->s->sums[0];
  const uint16_t *at[8];
  __m512 c[8][8];
  CK_UNROLL for (int p = 0; p < P; p++)
    at[p] = (const uint16_t *)(const void *)g->w->codes + (panel + ((size_t)p < panels ? (size_t)p : panels - 1)) * size;
  CK_UNROLL for (int r = 0; r < R; r++) CK_UNROLL for (int p = 0; p < P; p++) c[r][p] = _mm512_setzero_ps();
  size_t k = 0;
  for (; k + 2 <= inputs; k += 2) {
    CK_UNROLL for (int p = 0; p < P; p++) {
      __m512 pair[2];
      _mm_prefetch((const char *)(at[p] + k * ck_panel) + 1024, _MM_HINT_T0);
      ck_widen_pair(widening, at[p] + k * ck_panel, pair);
      CK_UNROLL for (int i = 0; i < 2; i++) CK_UNROLL for (int r = 0; r < R; r++)
        c[r][p] = _mm512_fmadd_ps(_mm512_set1_ps(x[(size_t)r * stride + k + (size_t)i]), pair[i], c[r][p]);
    }
  }
  if (k < inputs) {
    CK_UNROLL for (int p = 0; p < P; p++) {
      __m512 last = ck_widen_last(widening, at[p] + k * ck_panel);
      CK_UNROLL for (int r = 0; r < R; r++) c[r][p] = _mm512_fmadd_ps(_mm512_set1_ps(x[(size_t)r * stride + k]), last, c[r][p]);
    }
  }
  CK_UNROLL for (int r = 0; r < R; r++) CK_UNROLL for (int p = 0; p < P; p++) _mm512_store_ps(sums + (r * P + p) * ck_panel, c[r][p]);
}

// Panels that `rows` rows multiply at once, as long as there are so many; then two.
static inline size_t ck_direct_width(size_t rows) { return rows == 1 ? 8 : rows <= 4 ? 4 : 2; }

// The sums of all rows and `panels` panels, ck_direct_width or fewer than three, into sums[r][width]. Each file makes a function of its own of it.
typedef void ck_direct_sums_fn(const ck_float_product *g, size_t rows, int is_wide, size_t panel, size_t panels);
CK_INLINE void ck_direct_sums(ck_widening widening, const ck_float_product *g, size_t rows, int is_wide, size_t panel, size_t panels) {
  switch (rows * 2 + (size_t)is_wide) {
    case 2: ck_direct_tile(widening, 1, 2, g, panel, panels); break;
    case 3: ck_direct_tile(widening, 1, 8, g, panel, panels); break;
    case 4: ck_direct_tile(widening, 2, 2, g, panel, panels); break;
    case 5: ck_direct_tile(widening, 2, 4, g, panel, panels); break;
    case 6: ck_direct_tile(widening, 3, 2, g, panel, panels); break;
    case 7: ck_direct_tile(widening, 3, 4, g, panel, panels); break;
    case 8: ck_direct_tile(widening, 4, 2, g, panel, panels); break;
    case 9: ck_direct_tile(widening, 4, 4, g, panel, panels); break;
    case 10: case 11: ck_direct_tile(widening, 5, 2, g, panel, panels); break;
    case 12: case 13: ck_direct_tile(widening, 6, 2, g, panel, panels); break;
    case 14: case 15: ck_direct_tile(widening, 7, 2, g, panel, panels); break;
    default: ck_direct_tile(widening, 8, 2, g, panel, panels); break;
  }
}

// ---- Many rows

// Rows of 32 outputs from `panel` on, inputs first ..< first + count; the second panel may not exist.
CK_INLINE void ck_widen_panels(ck_widening widening, const uint16_t *from, size_t second, size_t count, float (*panel)[ck_float_columns]) {
  CK_UNROLL for (size_t p = 0; p < 2; p++, from += second) {
    float *to = panel[0] + p * ck_panel;
    size_t k = 0;
    for (; k + 2 <= count; k += 2) {
      __m512 pair[2];
      ck_widen_pair(widening, from + k * ck_panel, pair);
      _mm512_store_ps(to + k * ck_float_columns, pair[0]);
      _mm512_store_ps(to + (k + 1) * ck_float_columns, pair[1]);
    }
    if (k < count) _mm512_store_ps(to + k * ck_float_columns, ck_widen_last(widening, from + k * ck_panel));
  }
}

// R rows × 32 outputs, added to `sums`, or written there where these are the first inputs. `next` are weights of two panels that are fetched for later.
CK_INLINE void ck_float_tile(int R, const float *x, size_t stride, const float (*w)[ck_float_columns], size_t count, int is_first,
                             float (*sums)[ck_float_columns], const uint16_t *const next[2]) {
  const uint16_t *next0 = next[0], *next1 = next[1];
  __m512 c[ck_tile_rows][2];
  CK_UNROLL for (int r = 0; r < R; r++) CK_UNROLL for (int p = 0; p < 2; p++)
    c[r][p] = is_first ? _mm512_setzero_ps() : _mm512_load_ps(sums[r] + p * ck_panel);
  for (size_t k = 0; k < count; k++) {
    __m512 w0 = _mm512_load_ps(w[k]), w1 = _mm512_load_ps(w[k] + ck_panel);
    _mm_prefetch((const char *)(next0 + k * ck_panel), _MM_HINT_T1);
    _mm_prefetch((const char *)(next1 + k * ck_panel), _MM_HINT_T1);
    CK_UNROLL for (int r = 0; r < R; r++) {
      __m512 a = _mm512_set1_ps(x[(size_t)r * stride + k]);
      c[r][0] = _mm512_fmadd_ps(a, w0, c[r][0]);
      c[r][1] = _mm512_fmadd_ps(a, w1, c[r][1]);
    }
  }
  CK_UNROLL for (int r = 0; r < R; r++) CK_UNROLL for (int p = 0; p < 2; p++) _mm512_store_ps(sums[r] + p * ck_panel, c[r][p]);
}

CK_APART void ck_run_float_tile(size_t rows, const float *x, size_t stride, const float (*w)[ck_float_columns], size_t count, int is_first,
                              float (*sums)[ck_float_columns], const uint16_t *const next[2]) {
  switch (rows) {
#define CK_CASE(R) \
  case R: ck_float_tile(R, x, stride, w, count, is_first, sums, next); break;
    CK_CASE(1) CK_CASE(2) CK_CASE(3) CK_CASE(4) CK_CASE(5) CK_CASE(6) CK_CASE(7) CK_CASE(8) CK_CASE(9) CK_CASE(10) CK_CASE(11)
    default: ck_float_tile(12, x, stride, w, count, is_first, sums, next); break;
#undef CK_CASE
  }
}

// Writes the outputs of rows m ..< m + rows of panel `panel`; a row of sums is `step` floats.
CK_INLINE void ck_finish_floats(const ck_float_product *g, size_t m, size_t rows, size_t panel, const float *sums, size_t step) {
  __mmask16 lanes = ck_panel_lanes(g->w, panel);
  for (size_t r = 0; r < rows; r++) ck_finish16(g->y, m + r, panel * ck_panel, lanes, _mm512_load_ps(sums + r * step));
}

// All rows × up to two panels. The environment of the sums is left for the epilogue alone: to do so for every tile cost BF16 × BF16 a tenth. Outputs are
// written while their sums are in L1.
CK_INLINE void ck_float_panels(ck_widening widening, const ck_float_product *g, size_t first, size_t rows, size_t panel, size_t panels) {
  size_t size = ck_widened_panel(widening, g->w->inputs), second = panels > 1 ? size : 0, tiles = (rows + ck_tile_rows - 1) / ck_tile_rows, k = 0;
  const uint16_t *values = (const uint16_t *)(const void *)g->w->codes + panel * size;
  uint64_t control = ck_begin_sums(widening);
  do {  // no inputs are one block of none
    size_t count = g->inputs - k < ck_float_block ? g->inputs - k : ck_float_block;
    ck_widen_panels(widening, values + k * ck_panel, second, count, g->s->panel);
    const uint16_t *after = k + count < g->inputs ? values + (k + count) * ck_panel : values + 2 * size, *const next[2] = {after, after + size};
    for (size_t tile = 0, m = 0, height; tile < tiles; tile++, m += height) {
      height = (rows - m) / (tiles - tile);
      ck_run_float_tile(height, g->x + (first + m) * g->stride + k, g->stride, (const float(*)[ck_float_columns])g->s->panel, count, k == 0,
                        g->s->sums + m, next);
      if (k + count < g->inputs) continue;
      ck_end_sums(widening, control);
      for (size_t p = 0; p < panels; p++) ck_finish_floats(g, first + m, height, panel + p, g->s->sums[m] + p * ck_panel, ck_float_columns);
      control = ck_begin_sums(widening);
    }
  } while ((k += ck_float_block) < g->inputs);
  ck_end_sums(widening, control);
}

CK_INLINE void ck_direct_gemm(ck_widening widening, ck_direct_sums_fn *direct_sums, const ck_float_product *g, size_t rows, size_t panel_begin,
                              size_t panel_end) {
  size_t wide = ck_direct_width(rows);
  for (size_t panel = panel_begin, panels; panel < panel_end; panel += panels) {
    size_t left = panel_end - panel, width = left >= wide ? wide : 2;
    panels = left < width ? left : width;
    uint64_t control = ck_begin_sums(widening);
    direct_sums(g, rows, width == wide, panel, panels);
    ck_end_sums(widening, control);
    const float *sums = (const float *)(const void *)g->s->sums;  // rows of `width` panels: further apart than those of the array, or nearer
    for (size_t p = 0; p < panels; p++) ck_finish_floats(g, 0, rows, panel + p, sums + p * ck_panel, width * ck_panel);
  }
}

// Rows row_begin ..< row_end and panels of a product of `all_rows` rows.
CK_INLINE void ck_float_gemm(ck_widening widening, ck_direct_sums_fn *direct_sums, const ck_float_product *g, size_t all_rows, size_t row_begin,
                             size_t row_end, size_t panel_begin, size_t panel_end) {
  if (all_rows <= ck_direct_rows) {
    ck_direct_gemm(widening, direct_sums, g, all_rows, panel_begin, panel_end);
    return;
  }
  size_t chunk = ck_float_rows_at_once(g->inputs);
  for (size_t first = row_begin; first < row_end; first += chunk) {
    size_t rows = row_end - first < chunk ? row_end - first : chunk;
    for (size_t panel = panel_begin; panel < panel_end; panel += 2)
      ck_float_panels(widening, g, first, rows, panel, panel_end - panel < 2 ? 1 : 2);
  }
}

CK_TARGET_END
#endif
