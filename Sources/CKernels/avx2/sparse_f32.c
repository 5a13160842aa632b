// float32 sparse weights times several rows of X: Y[N, tile] += W · panel[K, tile], one strip of outputs in registers at a time.
//
//   R = 1        8 sums of 8 rows of X each: a broadcast and 8 multiply-adds with operands in memory for each weight, so the limit is
//                loads: 9 for 8 multiply-adds, 2 a cycle. The slice of the panel has to lie in L1 (128 × 64 floats are 32 KB).
//   R ≥ 4        4 outputs × 24 rows of X are 12 sums; 3 loads and 4 broadcasts serve 12 multiply-adds: the limit is their number.
#if defined(__x86_64__)
#pragma clang attribute push(__attribute__((target("avx2,fma,f16c"))), apply_to = function)

#include "sparse_panel.h"

enum { widest = 8 };

// Adds the blocks of one strip to V vectors of sums; H outputs of the R from `values` on. `tile` floats lie between inputs.
CK_INLINE void add_strip(int R, int C, int H, int V, const uint16_t *columns, const float *values, size_t blocks, const float *panel, size_t tile,
                         float *sums, size_t stride) {
  __m256 c[4][widest];
  CK_UNROLL for (int h = 0; h < H; h++) CK_UNROLL for (int v = 0; v < V; v++) c[h][v] = _mm256_loadu_ps(sums + (size_t)h * stride + 8 * v);
  for (size_t b = 0; b < blocks; b++) {
    const float *x = panel + (size_t)columns[b] * (size_t)C * tile;
    for (int k = 0; k < C; k++, x += tile, values += R) {
      if (H == 1) {
        __m256 w = _mm256_broadcast_ss(values);
        CK_UNROLL for (int v = 0; v < V; v++) c[0][v] = _mm256_fmadd_ps(w, _mm256_loadu_ps(x + 8 * v), c[0][v]);
      } else {
        __m256 a[widest];
        CK_UNROLL for (int v = 0; v < V; v++) a[v] = _mm256_loadu_ps(x + 8 * v);
        CK_UNROLL for (int h = 0; h < H; h++) {
          __m256 w = _mm256_broadcast_ss(values + h);
          CK_UNROLL for (int v = 0; v < V; v++) {
            c[h][v] = _mm256_fmadd_ps(w, a[v], c[h][v]);
            CK_KEEP(c[h][v]);
          }
        }
      }
    }
  }
  CK_UNROLL for (int h = 0; h < H; h++) CK_UNROLL for (int v = 0; v < V; v++) _mm256_storeu_ps(sums + (size_t)h * stride + 8 * v, c[h][v]);
}

// Where the walk over a packed matrix stands.
typedef struct cursor {
  const uint32_t *strip;
  const uint16_t *column;
  const float *value;
} cursor;

// Adds all blocks of a slice.
CK_INLINE void add_slice(int R, int C, int V, const ck_sparse_run *run, const ck_sparse_run *end, cursor *at, const float *panel, size_t tile,
                         float *sums, size_t stride) {
  const int H = R == 1 ? 1 : 4;
  for (; run < end; run++) {
    size_t blocks = run->blocks;
    for (uint32_t i = 0; i < run->strips; i++) {
      float *strip = sums + (size_t)*at->strip++ * (size_t)R * stride;
      for (int h = 0; h < R; h += H) add_strip(R, C, H, V, at->column, at->value + h, blocks, panel, tile, strip + (size_t)h * stride, stride);
      at->column += blocks;
      at->value += blocks * (size_t)(R * C);
    }
  }
}

typedef void slice_function(const ck_sparse_run *run, const ck_sparse_run *end, cursor *at, const float *panel, size_t tile, float *sums, size_t stride);

#define SLICE(R, C, V)                                                                                                                      \
  static void slice_##R##x##C##_##V(const ck_sparse_run *run, const ck_sparse_run *end, cursor *at, const float *panel, size_t tile,        \
                                    float *sums, size_t stride) {                                                                           \
    add_slice(R, C, V, run, end, at, panel, tile, sums, stride);                                                                            \
  }
#define SINGLE(C) SLICE(1, C, 1) SLICE(1, C, 2) SLICE(1, C, 3) SLICE(1, C, 4) SLICE(1, C, 5) SLICE(1, C, 6) SLICE(1, C, 7) SLICE(1, C, 8)
#define TALL(R, C) SLICE(R, C, 1) SLICE(R, C, 2) SLICE(R, C, 3)
SINGLE(1) SINGLE(4) TALL(4, 1) TALL(8, 1) TALL(4, 4) TALL(16, 16)

#define SINGLE_NAMES(C) \
  {slice_1x##C##_1, slice_1x##C##_2, slice_1x##C##_3, slice_1x##C##_4, slice_1x##C##_5, slice_1x##C##_6, slice_1x##C##_7, slice_1x##C##_8}
#define TALL_NAMES(R, C) \
  { slice_##R##x##C##_1, slice_##R##x##C##_2, slice_##R##x##C##_3 }

// The function for a block shape and a number of vectors.
static slice_function *slice_kernel(const ck_sparse_structure *w, size_t vectors) {
  static slice_function *const single[2][widest] = {SINGLE_NAMES(1), SINGLE_NAMES(4)};
  static slice_function *const tall[4][3] = {TALL_NAMES(4, 1), TALL_NAMES(8, 1), TALL_NAMES(4, 4), TALL_NAMES(16, 16)};
  if (w->block_rows == 1) return single[w->block_columns == 4][vectors - 1];
  return tall[w->block_rows == 16 ? 3 : w->block_columns == 4 ? 2 : w->block_rows == 8 ? 1 : 0][vectors - 1];
}

size_t ck_sparse_f32_workspace_bytes__avx2(const ck_sparse_structure *w) {
  size_t tile = ck_sparse_tile(w->block_rows, 0), padded = ck_round_up(w->outputs, w->block_rows);
  // Blocks may stick out beyond K: their weights there are zero, and so is the panel.
  return (ck_round_up(w->inputs, w->block_columns) + padded) * tile * sizeof(float);
}

void ck_spmm_f32_f32_block__avx2(const ck_sparse_f32 *w, const ck_sparse_input *x, const ck_sparse_output *y, size_t row_begin, size_t row_end,
                                 void *workspace) {
  const ck_sparse_structure *t = &w->structure;
  size_t widest_tile = ck_sparse_tile(t->block_rows, 0), padded_inputs = ck_round_up(t->inputs, t->block_columns);
  size_t padded_outputs = ck_round_up(t->outputs, t->block_rows);
  float *packed = workspace, *own_sums = packed + padded_inputs * widest_tile;
  for (size_t first = row_begin; first < row_end; first += widest_tile) {
    size_t count = row_end - first < widest_tile ? row_end - first : widest_tile, tile = ck_round_up(count, 8);
    const float *panel = packed;
    if (x->layout == ck_feature_major && x->stride == tile && x->rows == tile && padded_inputs == t->inputs) {
      panel = x->data;  // is a panel as it stands
    } else {
      ck_pack_panel(x, t->inputs, first, count, tile, packed);
      memset(packed + t->inputs * tile, 0, (padded_inputs - t->inputs) * tile * sizeof(float));
    }
    int in_place = y->layout == ck_feature_major && count == tile && padded_outputs == t->outputs;
    float *sums = in_place ? y->data + first : own_sums;
    size_t stride = in_place ? y->stride : tile;
    ck_start_tile(y, t->outputs, padded_outputs, sums, stride, tile);
    slice_function *kernel = slice_kernel(t, tile / 8);
    cursor at = {t->strips, t->columns, w->values};
    for (size_t slice = 0; slice < t->slices; slice++)
      kernel(t->runs + t->run_starts[slice], t->runs + t->run_starts[slice + 1], &at, panel + slice * t->slice_inputs * tile, tile, sums, stride);
    ck_finish_tile(y, t->outputs, first, count, sums, stride, tile);
  }
}

#pragma clang attribute pop
#endif
