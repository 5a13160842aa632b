// float32 sparse weights times several rows of X: Y[N, tile] += W · panel[K, tile], one strip of outputs in registers at a time.
//
//   R = 1        8 sums of 8 rows of X each: a broadcast and 8 multiply-adds with operands in memory for each weight, so the limit is
//                loads: 9 for 8 multiply-adds, 2 a cycle. The slice of the panel has to lie in L1 (128 × 64 floats are 32 KB).
//   R ≥ 4        4 outputs × 24 rows of X are 12 sums; 3 loads and 4 broadcasts serve 12 multiply-adds: the limit is their number.
#if defined(__x86_64__)
#include "kernels.h"
#include "sparse_panel.h"

CK_TARGET_BEGIN(CK_TARGET_AVX2)

enum { widest = 8 };

// Where the sums of a tile are, and what they begin with: `bias` [N] or null if `is_fresh`, else what is there.
typedef struct tile_sums {
  float *sums;
  size_t stride;
  const float *bias;
  size_t outputs;
  int is_fresh;
} tile_sums;

CK_INLINE __m256 first_sum(const tile_sums *to, size_t n, int v) {
  if (!to->is_fresh) return _mm256_loadu_ps(to->sums + n * to->stride + 8 * (size_t)v);
  return _mm256_set1_ps(to->bias != NULL && n < to->outputs ? to->bias[n] : 0.0f);
}

// Adds the blocks of S strips of equal number to V vectors of sums; H outputs of the R of each from n[s] and `values` on. Block b of
// strip s is block s · blocks + b. `tile` floats lie between inputs. Each sum is a chain of its own, whatever S and V are.
CK_INLINE void add_strips(int R, int C, int S, int H, int V, const uint16_t *columns, const float *values, size_t blocks, const float *panel,
                          size_t tile, const size_t *n, const tile_sums *to) {
  __m256 c[4][4][widest];
  CK_UNROLL for (int s = 0; s < S; s++) CK_UNROLL for (int h = 0; h < H; h++)
      CK_UNROLL for (int v = 0; v < V; v++) c[s][h][v] = first_sum(to, n[s] + (size_t)h, v);
  for (size_t b = 0; b < blocks; b++, values += R * C) {
    CK_UNROLL for (int s = 0; s < S; s++) {
      const float *weights = values + (size_t)s * blocks * (size_t)(R * C);
      const float *x = panel + (size_t)columns[(size_t)s * blocks + b] * (size_t)C * tile;
      for (int k = 0; k < C; k++, x += tile, weights += R) {
        __m256 a[widest];
        if (H > 1) CK_UNROLL for (int v = 0; v < V; v++) a[v] = _mm256_loadu_ps(x + 8 * v);
        CK_UNROLL for (int h = 0; h < H; h++) {
          __m256 w = _mm256_broadcast_ss(weights + h);
          CK_UNROLL for (int v = 0; v < V; v++) {
            c[s][h][v] = _mm256_fmadd_ps(w, H > 1 ? a[v] : _mm256_loadu_ps(x + 8 * v), c[s][h][v]);
            CK_KEEP(c[s][h][v]);
          }
        }
      }
    }
  }
  CK_UNROLL for (int s = 0; s < S; s++) CK_UNROLL for (int h = 0; h < H; h++)
      CK_UNROLL for (int v = 0; v < V; v++) _mm256_storeu_ps(to->sums + (n[s] + (size_t)h) * to->stride + 8 * (size_t)v, c[s][h][v]);
}

// Where the walk over a packed matrix stands.
typedef struct cursor {
  const uint32_t *strip;
  const uint16_t *column;
  const float *value;
} cursor;

// The next S strips, all their outputs.
CK_INLINE void add_group(int R, int C, int S, int V, size_t blocks, cursor *at, const float *panel, size_t tile, const tile_sums *to) {
  const int H = R == 1 ? 1 : 4;
  for (int h = 0; h < R; h += H) {
    size_t n[4];
    CK_UNROLL for (int s = 0; s < S; s++) n[s] = (size_t)at->strip[s] * (size_t)R + (size_t)h;
    add_strips(R, C, S, H, V, at->column, at->value + h, blocks, panel, tile, n, to);
  }
  at->strip += S;
  at->column += (size_t)S * blocks;
  at->value += (size_t)S * blocks * (size_t)(R * C);
}

// All blocks of a slice. Copies of cursor and target are locals: through pointers, each store of a sum would make them be read again.
CK_INLINE void walk_slice(int R, int C, int V, int is_fresh, const ck_sparse_run *run, const ck_sparse_run *end, cursor *at, const float *panel,
                          size_t tile, const tile_sums *target) {
  // A multiply-add takes 4 cycles and 2 start in each: 8 sums hide that, so few vectors need several strips at a time.
  const int S = R > 1 ? (V == 1 ? 2 : 1) : V <= 2 ? 4 : V <= 6 ? 2 : 1;
  cursor here = *at;
  tile_sums to = *target;
  to.is_fresh = is_fresh;
  for (; run < end; run++) {
    size_t blocks = run->blocks, strips = run->strips, i = 0;
    if (S > 1)
      for (; i + (size_t)S <= strips; i += (size_t)S) add_group(R, C, S, V, blocks, &here, panel, tile, &to);
    for (; i < strips; i++) add_group(R, C, 1, V, blocks, &here, panel, tile, &to);
  }
  *at = here;
}

CK_INLINE void add_slice(int R, int C, int V, const ck_sparse_run *run, const ck_sparse_run *end, cursor *at, const float *panel, size_t tile,
                         const tile_sums *to) {
  if (to->is_fresh) {
    walk_slice(R, C, V, 1, run, end, at, panel, tile, to);
  } else {
    walk_slice(R, C, V, 0, run, end, at, panel, tile, to);
  }
}

typedef void slice_function(const ck_sparse_run *run, const ck_sparse_run *end, cursor *at, const float *panel, size_t tile, const tile_sums *to);

#define SLICE(R, C, V)                                                                                                                      \
  static void slice_##R##x##C##_##V(const ck_sparse_run *run, const ck_sparse_run *end, cursor *at, const float *panel, size_t tile,        \
                                    const tile_sums *to) {                                                                                  \
    add_slice(R, C, V, run, end, at, panel, tile, to);                                                                                      \
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

// Whether each strip has a block in the first slice, so that no sum needs a beginning of its own.
static int first_slice_lists_all(const ck_sparse_structure *t) {
  size_t listed = 0;
  for (uint32_t run = t->run_starts[0]; run < t->run_starts[1]; run++) listed += t->runs[run].strips;
  return listed * t->block_rows >= t->outputs;
}

size_t ck_sparse_f32_tile__avx2(size_t block_rows) { return block_rows == 1 ? 64 : 24; }

size_t ck_sparse_f32_workspace_bytes__avx2(const ck_sparse_structure *w) {
  size_t tile = ck_sparse_f32_tile__avx2(w->block_rows), padded = ck_round_up(w->outputs, w->block_rows);
  // Blocks may stick out beyond K: their weights there are zero, and so is the panel.
  return (ck_round_up(w->inputs, w->block_columns) + padded) * tile * sizeof(float);
}

// All outputs of one part for rows first ..< first + count, whose inputs are in `panel`.
static void multiply_tile(const ck_sparse_f32 *w, const ck_sparse_output *y, size_t first, size_t count, size_t tile, const float *panel,
                          float *own_sums) {
  const ck_sparse_structure *t = &w->structure;
  size_t padded_outputs = ck_round_up(t->outputs, t->block_rows);
  int in_place = y->layout == ck_feature_major && count == tile && y->stride == tile && padded_outputs == t->outputs;
  float *sums = in_place ? y->data + first : own_sums;
  size_t stride = in_place ? y->stride : tile;
  tile_sums to = {sums, stride, y->bias, t->outputs, first_slice_lists_all(t)};
  if (!to.is_fresh) ck_start_tile(y, t->outputs, padded_outputs, sums, stride, tile);
  slice_function *kernel = slice_kernel(t, tile / 8);
  cursor at = {t->strips, t->columns, w->values};
  for (size_t slice = 0; slice < t->slices; slice++, to.is_fresh = 0)
    kernel(t->runs + t->run_starts[slice], t->runs + t->run_starts[slice + 1], &at, panel + slice * t->slice_inputs * tile, tile, &to);
  ck_finish_tile(y, t->outputs, first, count, sums, stride, tile);
}

void ck_sparse_f32__avx2(const ck_sparse_f32 *w, size_t parts, const ck_sparse_input *x, const ck_sparse_output *y, size_t row_begin,
                                 size_t row_end, void *workspace) {
  const ck_sparse_structure *t = &w->structure;
  size_t widest_tile = ck_sparse_f32_tile__avx2(t->block_rows), padded_inputs = ck_round_up(t->inputs, t->block_columns);
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
    ck_sparse_output to = *y;
    for (size_t part = 0; part < parts; part++) {
      multiply_tile(w + part, &to, first, count, tile, panel, own_sums);
      to = ck_sparse_output_from(&to, w[part].structure.outputs);
    }
  }
}

CK_TARGET_END
#endif
