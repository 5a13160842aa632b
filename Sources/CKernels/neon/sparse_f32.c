// float32 sparse weights times several rows of X: Y[N, tile] += W · panel[K, tile], one strip of outputs in registers at a time.
//
//   R = 1        16 sums of 4 rows of X: four weights take a load of their columns, one of the weights, and 64 multiply-adds by lane, each with a load of
//                its own. The limit is loads, 2 a cycle, on a Neoverse V1 3 for 4 multiply-adds. The slice of the panel has to lie in L1 (128 × 64
//                floats are 32 KB).
//   R ≥ 4        4 outputs × 24 rows of X are 24 sums; 6 loads and one of 4 weights serve 24 multiply-adds: the limit is their number.
//
// Modelled (llvm-mca 19), operations a cycle of Neoverse N1, V1, V2, Apple M1, Cortex-A72; a dense float32 tile: 15.9, 31.7, 31.7, 23.9, 8.0.
//
//   single weights and 1×4, 64 rows   13.5, 21.3, 21.3, 20 to 22, 7.1; weights that are left over, one by one, 12.2, 20.0, 20.0, 18.1, 6.6
//   blocks of 4 outputs, 24 rows      15.9, 31.7, 31.7, 23.8, 8.0
//
// 16 and 32 rows of one strip would wait for the sums, 8 and 11.6 on an N1: few rows take several strips at a time.
#if defined(__aarch64__)
#include "kernels.h"
#include "sparse_panel.h"

CK_TARGET_BEGIN(CK_TARGET_NEON)

enum { widest = 16, widest_tall = 6 };  // vectors of 4 rows

// Where the sums of a tile are, and what they begin with: `bias` [N] or null if `is_fresh`, else what is there.
typedef struct tile_sums {
  float *sums;
  size_t stride;
  const float *bias;
  size_t outputs;
  int is_fresh;
} tile_sums;

CK_INLINE void first_sums(const tile_sums *to, size_t n, int V, float32x4_t c[widest]) {
  if (to->is_fresh) {
    float32x4_t bias = vdupq_n_f32(to->bias != NULL && n < to->outputs ? to->bias[n] : 0.0f);
    CK_UNROLL for (int v = 0; v < V; v++) c[v] = bias;
  } else {
    CK_UNROLL for (int v = 0; v < V; v++) c[v] = vld1q_f32(to->sums + n * to->stride + 4 * (size_t)v);
  }
}

CK_INLINE void store_sums(const tile_sums *to, size_t n, int V, const float32x4_t c[widest]) {
  CK_UNROLL for (int v = 0; v < V; v++) vst1q_f32(to->sums + n * to->stride + 4 * (size_t)v, c[v]);
}

CK_INLINE void add_input(int V, const float *x, float32x4_t w, int lane, float32x4_t c[widest]) {
  CK_UNROLL for (int v = 0; v < V; v++) {
    c[v] = ck_add_product(c[v], vld1q_f32(x + 4 * v), w, lane);
    if (v % 4 == 3 || v == V - 1) CK_UNROLL for (int i = v / 4 * 4; i <= v; i++) CK_END_STEP(c[i]);
  }
}

// Adds the blocks of S strips of one output and of equal number, V vectors of rows. Block b of strip s is block s · blocks + b. Each sum is a chain of
// its own, whatever S and V are. Single weights go by four: a load of columns and one of weights serve four of them.
CK_INLINE void add_strips(int C, int S, int V, const uint16_t *columns, const float *values, size_t blocks, const float *panel, float32x4_t c[4][widest]) {
  const size_t tile = 4 * (size_t)V;
  size_t b = 0;
  if (C == 1)
    for (; b + 4 <= blocks; b += 4) {
      uint64_t four[4];
      float32x4_t w[4];
      CK_UNROLL for (int s = 0; s < S; s++) {
        memcpy(&four[s], columns + (size_t)s * blocks + b, sizeof four[s]);
        w[s] = vld1q_f32(values + (size_t)s * blocks + b);
      }
      CK_UNROLL for (int i = 0; i < 4; i++)
          CK_UNROLL for (int s = 0; s < S; s++) add_input(V, panel + (four[s] >> (16 * i) & 0xffff) * tile, w[s], i, c[s]);
    }
  for (; b < blocks; b++)
    CK_UNROLL for (int s = 0; s < S; s++) {
      size_t block = (size_t)s * blocks + b;
      const float *x = panel + (size_t)columns[block] * (size_t)C * tile;
      float32x4_t w = C == 1 ? vld1q_dup_f32(values + block) : vld1q_f32(values + 4 * block);
      CK_UNROLL for (int k = 0; k < C; k++) add_input(V, x + (size_t)k * tile, w, k, c[s]);
    }
}

// The same for 4 outputs of the R of each strip: `values` begins at the first of them, c[s][h] are their sums.
CK_INLINE void add_tall_strips(int R, int C, int S, int V, const uint16_t *columns, const float *values, size_t blocks, const float *panel,
                               float32x4_t c[4][4][widest]) {
  const size_t tile = 4 * (size_t)V;
  for (size_t b = 0; b < blocks; b++, values += R * C)
    CK_UNROLL for (int s = 0; s < S; s++) {
      const float *weights = values + (size_t)s * blocks * (size_t)(R * C);
      const float *x = panel + (size_t)columns[(size_t)s * blocks + b] * (size_t)C * tile;
      for (int k = 0; k < C; k++, x += tile, weights += R) {
        float32x4_t w = vld1q_f32(weights);
        CK_UNROLL for (int v = 0; v < V; v++) {
          float32x4_t a = vld1q_f32(x + 4 * v);
          CK_UNROLL for (int h = 0; h < 4; h++) c[s][h][v] = ck_add_product(c[s][h][v], a, w, h);
        }
      }
    }
}

// Where the walk over a packed matrix stands.
typedef struct cursor {
  const uint32_t *strip;
  const uint16_t *column;
  const float *value;
} cursor;

// The next S strips, all their outputs.
CK_INLINE void add_group(int R, int C, int S, int V, size_t blocks, cursor *at, const float *panel, const tile_sums *to) {
  if (R == 1) {
    float32x4_t c[4][widest];
    CK_UNROLL for (int s = 0; s < S; s++) first_sums(to, at->strip[s], V, c[s]);
    add_strips(C, S, V, at->column, at->value, blocks, panel, c);
    CK_UNROLL for (int s = 0; s < S; s++) store_sums(to, at->strip[s], V, c[s]);
  } else {
    for (size_t h = 0; h < (size_t)R; h += 4) {
      float32x4_t c[4][4][widest];
      CK_UNROLL for (int s = 0; s < S; s++)
          CK_UNROLL for (size_t i = 0; i < 4; i++) first_sums(to, at->strip[s] * (size_t)R + h + i, V, c[s][i]);
      add_tall_strips(R, C, S, V, at->column, at->value + h, blocks, panel, c);
      CK_UNROLL for (int s = 0; s < S; s++)
          CK_UNROLL for (size_t i = 0; i < 4; i++) store_sums(to, at->strip[s] * (size_t)R + h + i, V, c[s][i]);
    }
  }
  at->strip += S;
  at->column += (size_t)S * blocks;
  at->value += (size_t)S * blocks * (size_t)(R * C);
}

// All blocks of a slice. Copies of cursor and target are locals: through pointers, each store of a sum would make them be read again.
CK_INLINE void add_slice(int R, int C, int V, const ck_sparse_run *run, const ck_sparse_run *end, cursor *at, const float *panel,
                         const tile_sums *target) {
  // A multiply-add takes 4 cycles and 2 or 4 start in each: 8 to 16 sums hide that, so few vectors need several strips at a time.
  const int S = R > 1 ? (V == 1 ? 4 : V == 2 || (V == 3 && C < 16) ? 2 : 1) : V <= 4 ? 4 : V <= 8 ? 2 : 1;  // blocks of 16×16 would spill
  cursor here = *at;
  const tile_sums to = *target;
  for (; run < end; run++) {
    size_t blocks = run->blocks, strips = run->strips, i = 0;
    if (S > 1)
      for (; i + (size_t)S <= strips; i += (size_t)S) add_group(R, C, S, V, blocks, &here, panel, &to);
    for (; i < strips; i++) add_group(R, C, 1, V, blocks, &here, panel, &to);
  }
  *at = here;
}

typedef void slice_function(const ck_sparse_run *run, const ck_sparse_run *end, cursor *at, const float *panel, const tile_sums *to);

#define SLICE(R, C, V)                                                                                                                    \
  static void slice_##R##x##C##_##V(const ck_sparse_run *run, const ck_sparse_run *end, cursor *at, const float *panel, const tile_sums *to) { \
    add_slice(R, C, V, run, end, at, panel, to);                                                                                          \
  }
#define SINGLE(C) \
  SLICE(1, C, 1) SLICE(1, C, 2) SLICE(1, C, 4) SLICE(1, C, 6) SLICE(1, C, 8) SLICE(1, C, 10) SLICE(1, C, 12) SLICE(1, C, 14) SLICE(1, C, 16)
#define TALL(R, C) SLICE(R, C, 1) SLICE(R, C, 2) SLICE(R, C, 3) SLICE(R, C, 4) SLICE(R, C, 5) SLICE(R, C, 6)
SINGLE(1) SINGLE(4) TALL(4, 1) TALL(8, 1) TALL(4, 4) TALL(16, 16)

#define SINGLE_NAMES(C)                                                                                                                 \
  {slice_1x##C##_1,  slice_1x##C##_2,  slice_1x##C##_4,  slice_1x##C##_6, slice_1x##C##_8, slice_1x##C##_10, slice_1x##C##_12, slice_1x##C##_14, \
   slice_1x##C##_16}
#define TALL_NAMES(R, C) \
  { slice_##R##x##C##_1, slice_##R##x##C##_2, slice_##R##x##C##_3, slice_##R##x##C##_4, slice_##R##x##C##_5, slice_##R##x##C##_6 }

// Rows of the panel for `count` rows of X: of single outputs an even number of vectors, or one.
static size_t padded_rows(size_t block_rows, size_t count) { return ck_round_up(count, block_rows == 1 && count > 4 ? 8 : 4); }

// The function for a block shape and a number of vectors.
static slice_function *slice_kernel(const ck_sparse_structure *w, size_t vectors) {
  static slice_function *const single[2][widest / 2 + 1] = {SINGLE_NAMES(1), SINGLE_NAMES(4)};
  static slice_function *const tall[4][widest_tall] = {TALL_NAMES(4, 1), TALL_NAMES(8, 1), TALL_NAMES(4, 4), TALL_NAMES(16, 16)};
  if (w->block_rows == 1) return single[w->block_columns == 4][vectors / 2];
  return tall[w->block_rows == 16 ? 3 : w->block_columns == 4 ? 2 : w->block_rows == 8 ? 1 : 0][vectors - 1];
}

// Whether each strip has a block in the first slice, so that no sum needs a beginning of its own.
static int first_slice_lists_all(const ck_sparse_structure *t) {
  size_t listed = 0;
  for (uint32_t run = t->run_starts[0]; run < t->run_starts[1]; run++) listed += t->runs[run].strips;
  return listed * t->block_rows >= t->outputs;
}

size_t ck_sparse_f32_tile__neon(size_t block_rows) { return 4 * (block_rows == 1 ? widest : widest_tall); }

size_t ck_sparse_f32_workspace_bytes__neon(const ck_sparse_structure *w) {
  size_t tile = ck_sparse_f32_tile__neon(w->block_rows), padded = ck_round_up(w->outputs, w->block_rows);
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
  slice_function *kernel = slice_kernel(t, tile / 4);
  cursor at = {t->strips, t->columns, w->values};
  for (size_t slice = 0; slice < t->slices; slice++, to.is_fresh = 0)
    kernel(t->runs + t->run_starts[slice], t->runs + t->run_starts[slice + 1], &at, panel + slice * t->slice_inputs * tile, &to);
  ck_finish_tile(y, t->outputs, first, count, sums, stride, tile);
}

void ck_sparse_f32__neon(const ck_sparse_f32 *w, size_t parts, const ck_sparse_input *x, const ck_sparse_output *y, size_t row_begin, size_t row_end,
                         void *workspace) {
  const ck_sparse_structure *t = &w->structure;
  size_t widest_tile = ck_sparse_f32_tile__neon(t->block_rows), padded_inputs = ck_round_up(t->inputs, t->block_columns);
  float *packed = workspace, *own_sums = packed + padded_inputs * widest_tile;
  for (size_t first = row_begin; first < row_end; first += widest_tile) {
    size_t count = row_end - first < widest_tile ? row_end - first : widest_tile, tile = padded_rows(t->block_rows, count);
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
