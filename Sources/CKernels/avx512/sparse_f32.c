// float32 sparse weights times several rows of X: Y[N, tile] += W · panel[K, tile], strips of outputs in registers.
#if defined(__x86_64__)

#include "kernels.h"
#include "sparse_panel.h"

CK_TARGET_BEGIN(CK_TARGET_AVX512)

enum { most_vectors = 4, widest_tile = 16 * most_vectors };

// Where the sums of a tile are, and what they begin with: `bias` [N] or null if `is_fresh`, else what is there.
typedef struct tile_sums {
  float *sums;
  size_t stride;
  const float *bias;
  size_t outputs;
  int is_fresh, relu;
} tile_sums;

CK_INLINE __m512 first_sum(const tile_sums *to, int is_fresh, size_t n, int v) {
  if (!is_fresh) return _mm512_loadu_ps(to->sums + n * to->stride + 16 * (size_t)v);
  return _mm512_set1_ps(to->bias != NULL && n < to->outputs ? to->bias[n] : 0.0f);
}

// A pointer in a register: with an index each multiply-add would be two operations to the front end.
CK_INLINE const float *in_register(const float *x) {
  __asm__("" : "+r"(x));
  return x;
}

// Adds one block to the sums of H outputs: C inputs of the panel from x on, R weights each.
CK_INLINE void add_block(int R, int C, int H, int V, const float *weights, const float *x, __m512 c[16][most_vectors]) {
  CK_UNROLL for (int k = 0; k < C; k++, x += 16 * V, weights += R) {
    __m512 a[most_vectors];
    if (H > 1) CK_UNROLL for (int v = 0; v < V; v++) a[v] = _mm512_loadu_ps(x + 16 * v);
    CK_UNROLL for (int h = 0; h < H; h++) {
      __m512 w = _mm512_set1_ps(weights[h]);
      CK_UNROLL for (int v = 0; v < V; v++) {
        c[h][v] = _mm512_fmadd_ps(w, H > 1 ? a[v] : _mm512_loadu_ps(x + 16 * v), c[h][v]);
        CK_KEEP32(c[h][v]);
      }
    }
  }
}

// Adds the blocks of S strips of equal number to V vectors of sums; H outputs of the R of each from n[s] and `values` on. Block b of
// strip s is block s · blocks + b. Each sum is a chain of its own, whatever S and V are. Four columns come with one load.
CK_INLINE void add_strips(int R, int C, int S, int H, int V, int is_fresh, const uint16_t *columns, const float *values, size_t blocks, const float *panel,
                          const size_t *n, const tile_sums *to) {
  __m512 c[4][16][most_vectors];
  const size_t block = (size_t)(R * C), pitch = (size_t)(16 * V * C);
  CK_UNROLL for (int s = 0; s < S; s++) CK_UNROLL for (int h = 0; h < H; h++)
    CK_UNROLL for (int v = 0; v < V; v++) c[s][h][v] = first_sum(to, is_fresh, n[s] + (size_t)h, v);
  size_t b = 0;
  if (C == 1) {
    for (; b + 4 <= blocks; b += 4) {
      uint64_t four[4];
      CK_UNROLL for (int s = 0; s < S; s++) memcpy(&four[s], columns + (size_t)s * blocks + b, 8);
      CK_UNROLL for (size_t i = 0; i < 4; i++) CK_UNROLL for (int s = 0; s < S; s++)
        add_block(R, C, H, V, values + ((size_t)s * blocks + b + i) * block, in_register(panel + (four[s] >> (16 * i) & 0xffff) * pitch), c[s]);
    }
  }
  for (; b < blocks; b++)
    CK_UNROLL for (int s = 0; s < S; s++)
      add_block(R, C, H, V, values + ((size_t)s * blocks + b) * block, in_register(panel + columns[(size_t)s * blocks + b] * pitch), c[s]);
  CK_UNROLL for (int s = 0; s < S; s++) CK_UNROLL for (int h = 0; h < H; h++)
    CK_UNROLL for (int v = 0; v < V; v++)
      _mm512_storeu_ps(to->sums + (n[s] + (size_t)h) * to->stride + 16 * (size_t)v, to->relu ? ck_relu16(c[s][h][v]) : c[s][h][v]);
}

// Where the walk over a packed matrix stands.
typedef struct cursor {
  const uint32_t *strip;
  const uint16_t *column;
  const float *value;
} cursor;

// The next S strips, all their outputs.
CK_INLINE void add_group(int R, int C, int S, int V, int is_fresh, size_t blocks, cursor *at, const float *panel, const tile_sums *to) {
  // Sums of up to 16 registers: with few vectors more outputs share a load of x.
  const int most = V == 1 ? 16 : V == 2 ? 8 : 4, H = R < most ? R : most;
  for (int h = 0; h < R; h += H) {
    size_t n[4];
    CK_UNROLL for (int s = 0; s < S; s++) n[s] = (size_t)at->strip[s] * (size_t)R + (size_t)h;
    add_strips(R, C, S, H, V, is_fresh, at->column, at->value + h, blocks, panel, n, to);
  }
  at->strip += S;
  at->column += (size_t)S * blocks;
  at->value += (size_t)S * blocks * (size_t)(R * C);
}

// All blocks of a slice. Copies of cursor and target are locals: through pointers, each store of a sum would make them be read again.
CK_INLINE void walk_slice(int R, int C, int V, int is_fresh, const ck_sparse_run *run, const ck_sparse_run *end, cursor *at, const float *panel,
                          const tile_sums *target) {
  // A multiply-add takes 4 cycles and 2 start in each: 8 sums hide that, so few vectors need several strips at a time.
  const int S = R > 1 ? (V == 1 && R == 4 ? 2 : 1) : V == 1 ? 4 : 2;
  cursor here = *at;
  tile_sums to = *target;
  for (; run < end; run++) {
    size_t blocks = run->blocks, strips = run->strips, i = 0;
    if (S > 1)
      for (; i + (size_t)S <= strips; i += (size_t)S) add_group(R, C, S, V, is_fresh, blocks, &here, panel, &to);
    for (; i < strips; i++) add_group(R, C, 1, V, is_fresh, blocks, &here, panel, &to);
  }
  *at = here;
}

typedef void slice_function(const ck_sparse_run *run, const ck_sparse_run *end, cursor *at, const float *panel, const tile_sums *to);

#define SLICE(R, C, V)                                                                                                                     \
  static void slice_##R##x##C##_##V(const ck_sparse_run *run, const ck_sparse_run *end, cursor *at, const float *panel, const tile_sums *to) { \
    if (to->is_fresh) {                                                                                                                    \
      walk_slice(R, C, V, 1, run, end, at, panel, to);                                                                                     \
    } else {                                                                                                                               \
      walk_slice(R, C, V, 0, run, end, at, panel, to);                                                                                     \
    }                                                                                                                                      \
  }
#define SHAPE(R, C) SLICE(R, C, 1) SLICE(R, C, 2) SLICE(R, C, 3) SLICE(R, C, 4)
SHAPE(1, 1) SHAPE(4, 1) SHAPE(8, 1) SHAPE(1, 4) SHAPE(4, 4) SHAPE(16, 16)

#define NAMES(R, C) \
  { slice_##R##x##C##_1, slice_##R##x##C##_2, slice_##R##x##C##_3, slice_##R##x##C##_4 }

// The function for a block shape and a number of vectors.
static slice_function *slice_kernel(const ck_sparse_structure *w, size_t vectors) {
  static slice_function *const kernels[6][most_vectors] = {NAMES(1, 1), NAMES(4, 1), NAMES(8, 1), NAMES(1, 4), NAMES(4, 4), NAMES(16, 16)};
  size_t shape = w->block_columns == 1 ? w->block_rows / 4 : w->block_rows == 1 ? 3 : w->block_rows == 4 ? 4 : 5;
  return kernels[shape][vectors - 1];
}

// Whether each strip has a block in the first slice, so that no sum needs a beginning of its own.
static int first_slice_lists_all(const ck_sparse_structure *t) {
  size_t listed = 0;
  for (uint32_t run = t->run_starts[0]; run < t->run_starts[1]; run++) listed += t->runs[run].strips;
  return listed * t->block_rows >= t->outputs;
}

size_t ck_sparse_f32_tile__avx512(size_t block_rows) {
  (void)block_rows;
  return widest_tile;
}

size_t ck_sparse_f32_workspace_bytes__avx512(const ck_sparse_structure *w) {
  // Blocks may stick out beyond K: their weights there are zero, and so is the panel.
  return (ck_round_up(w->inputs, w->block_columns) + ck_round_up(w->outputs, w->block_rows)) * widest_tile * sizeof(float);
}

// All outputs of one part for rows first ..< first + count, whose inputs are in `panel`.
static void multiply_tile(const ck_sparse_f32 *w, const ck_sparse_output *y, size_t first, size_t count, size_t tile, const float *panel,
                          float *own_sums) {
  const ck_sparse_structure *t = &w->structure;
  size_t padded_outputs = ck_round_up(t->outputs, t->block_rows);
  // With one slice a sum is done when it is stored.
  int in_place = t->slices == 1 && y->layout == ck_feature_major && count == tile && padded_outputs == t->outputs;
  tile_sums to = {in_place ? y->data + first : own_sums, in_place ? y->stride : tile, y->bias, t->outputs, 1, in_place && y->relu};
  if (!first_slice_lists_all(t)) ck_start_tile16(y, t->outputs, padded_outputs, to.relu, to.sums, to.stride, tile);
  slice_function *kernel = slice_kernel(t, tile / 16);
  cursor at = {t->strips, t->columns, w->values};
  for (size_t slice = 0; slice < t->slices; slice++, to.is_fresh = 0)
    kernel(t->runs + t->run_starts[slice], t->runs + t->run_starts[slice + 1], &at, panel + slice * t->slice_inputs * tile, &to);
  if (!in_place) ck_finish_tile16(y, t->outputs, first, count, own_sums, tile);
}

void ck_sparse_f32__avx512(const ck_sparse_f32 *w, size_t parts, const ck_sparse_input *x, const ck_sparse_output *y, size_t row_begin,
                           size_t row_end, void *workspace) {
  const ck_sparse_structure *t = &w->structure;
  size_t padded_inputs = ck_round_up(t->inputs, t->block_columns);
  float *packed = workspace, *own_sums = packed + padded_inputs * widest_tile;
  for (size_t first = row_begin; first < row_end; first += widest_tile) {
    size_t count = row_end - first < widest_tile ? row_end - first : widest_tile, tile = ck_round_up(count, 16);
    const float *panel = packed;
    if (x->layout == ck_feature_major && x->stride == tile && x->rows == tile && padded_inputs == t->inputs) {
      panel = x->data;  // is a panel as it stands
    } else {
      ck_pack_panel16(x, t->inputs, first, count, tile, packed);
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
