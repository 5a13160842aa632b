// float32 N:M weights times more than a few rows of X: as CSR does it (sparse_f32.c), lanes are rows. A panel [K][64] of X is made once; each stored weight
// is broadcast and meets the 64 rows of the input that it keeps. No permutation is needed, which on Intel one port alone does: picking inputs for 16
// outputs by vpermps (avx2/sparse_nm.c, in 512 bits) takes as many operations of two ports as the dense product.
//
// Layout: panel8, as AVX2 has it, whose kernel takes few rows. Each sum is one chain of multiply-adds in the order of the slots, the bias comes last: the
// bits of that kernel, so that rows and outputs can be cut anywhere.
//
// Limit: a weight costs a broadcast and 4 loads as operands of 4 multiply-adds, 2 loads a cycle: 2.5 cycles where the dense product takes 4 for twice the
// weights, 1.6 × dense.
#if defined(__x86_64__)

#include "../avx2/kernels.h"
#include "kernels.h"
#include "sparse_panel.h"

CK_TARGET_BEGIN(CK_TARGET_AVX512)

enum {
  tile_rows = 64,
  slice_vectors = 384,  // of the panel of X, 24 KB, stay in L1 while all outputs pass (32 KB: 2 % more where L1 has 48; 64: a third less)
};

// What outputs add up: steps of 16 inputs, `codes` and `values` of a panel from the first step on, X [inputs][16 V].
typedef struct nm_slice {
  const uint32_t *codes;
  const float *values, *x;
  size_t steps;
  int is_first, is_last;
} nm_slice;

// Outputs h ..< h + H of a panel of 8; sums [8][16 V], `bias` [8].
CK_INLINE void add_outputs(int H, int V, const nm_slice *s, size_t h, const float bias[8], float *sums) {
  const size_t width = (size_t)(16 * V);
  const float *x = s->x, *values = s->values + h;
  const uint32_t *codes = s->codes + h;
  __m512 c[8][4];
  CK_UNROLL for (int i = 0; i < H; i++) CK_UNROLL for (int v = 0; v < V; v++)
      c[i][v] = s->is_first ? _mm512_setzero_ps() : _mm512_loadu_ps(sums + (h + (size_t)i) * width + 16 * v);
  for (size_t step = 0; step < s->steps; step++, codes += 8, values += 64, x += 16 * width) {
    CK_UNROLL for (int slot = 0; slot < 8; slot++) CK_UNROLL for (int i = 0; i < H; i++) {
      const float *row = x + (codes[i] >> (4 * slot) & 7) * width + (size_t)(slot / 4) * ck_nm_group * width;
      __asm__("" : "+r"(row));  // with an index each multiply-add would be two operations to the front end
      __m512 w = _mm512_set1_ps(values[slot * 8 + i]);
      CK_UNROLL for (int v = 0; v < V; v++) {
        c[i][v] = _mm512_fmadd_ps(w, _mm512_loadu_ps(row + 16 * v), c[i][v]);
        CK_KEEP32(c[i][v]);
      }
    }
  }
  CK_UNROLL for (int i = 0; i < H; i++) CK_UNROLL for (int v = 0; v < V; v++) {
    if (s->is_last) c[i][v] = _mm512_add_ps(c[i][v], _mm512_set1_ps(bias[h + (size_t)i]));
    _mm512_storeu_ps(sums + (h + (size_t)i) * width + 16 * v, c[i][v]);
  }
}

// All panels of a tile, slice after slice. A multiply-add takes 4 cycles and 2 start in each: 8 sums hide that.
CK_INLINE void add_panels(int V, const ck_nm_f32 *w, const ck_sparse_output *y, size_t panel_begin, size_t panel_end, const float *x, float *sums) {
  const int H = V == 1 ? 8 : 4;
  const size_t steps = ck_nm_round_up(w->inputs, ck_nm_f32_step) / ck_nm_f32_step, width = (size_t)(16 * V);
  const size_t slice = slice_vectors / (size_t)V / ck_nm_f32_step;
  for (size_t first = 0; first < steps; first += slice) {
    size_t count = steps - first < slice ? steps - first : slice;
    for (size_t panel = panel_begin; panel < panel_end; panel++) {
      size_t at = panel * steps + first, left = w->outputs - panel * 8;
      nm_slice s = {w->codes + at * 8, w->values + at * 64, x + first * ck_nm_f32_step * width, count, first == 0, first + count == steps};
      float bias[8] = {0};
      if (s.is_last && y->bias != NULL) memcpy(bias, y->bias + panel * 8, (left < 8 ? left : 8) * sizeof(float));
      for (size_t h = 0; h < 8; h += (size_t)H) add_outputs(H, V, &s, h, bias, sums + (panel - panel_begin) * 8 * width);
    }
  }
}

#define PANELS(V)                                                                                                                        \
  static void panels_##V(const ck_nm_f32 *w, const ck_sparse_output *y, size_t begin, size_t end, const float *x, float *sums) { \
    add_panels(V, w, y, begin, end, x, sums);                                                                                            \
  }
PANELS(1) PANELS(2) PANELS(3) PANELS(4)

static size_t panel_count(size_t inputs) { return ck_nm_round_up(inputs, ck_nm_f32_step) * tile_rows; }

size_t ck_nm_f32_workspace_bytes__avx512(size_t inputs, size_t outputs) {
  return (panel_count(inputs) + ck_nm_round_up(outputs, ck_nm_panel) * tile_rows) * sizeof(float);
}

void ck_nm_f32__avx512(const ck_nm_f32 *w, const ck_sparse_input *x, const ck_sparse_output *y, size_t row_begin, size_t row_end, size_t panel_begin,
                       size_t panel_end, void *workspace) {
  static void (*const panels[4])(const ck_nm_f32 *, const ck_sparse_output *, size_t, size_t, const float *, float *) = {panels_1, panels_2, panels_3,
                                                                                                                    panels_4};
  float *packed = workspace, *sums = packed + panel_count(w->inputs);
  size_t outputs = (panel_end * 8 < w->outputs ? panel_end * 8 : w->outputs) - panel_begin * 8;
  ck_sparse_output to = ck_sparse_output_from(y, panel_begin * 8);
  for (size_t first = row_begin; first < row_end; first += tile_rows) {
    size_t count = row_end - first < tile_rows ? row_end - first : tile_rows, tile = ck_round_up(count, 16);
    if (count <= ck_nm_few_rows_avx512) {
      ck_nm_f32__avx2(w, x, y, first, row_end, panel_begin, panel_end, workspace);
      return;
    }
    ck_pack_panel16(x, w->inputs, first, count, tile, packed);
    memset(packed + w->inputs * tile, 0, (ck_nm_round_up(w->inputs, ck_nm_f32_step) - w->inputs) * tile * sizeof(float));
    panels[tile / 16 - 1](w, y, panel_begin, panel_end, packed, sums);
    ck_finish_tile16(&to, outputs, first, count, sums, tile);
  }
}

CK_TARGET_END

#endif
