// float32 sparse weights times several rows of X: Y[N, tile] += W · panel[K, tile], strips of outputs in registers. A tile is 64 rows, 4 vectors; up to 8
// rows are one vector of 8. Each sum is one chain of multiply-adds in the order of the slices and columns, whatever the tile.
//
//   R = 1        Two strips of 4 vectors: a weight costs a broadcast, 4 multiply-adds with operands in memory and a quarter of a load of columns, so the
//                limit is loads: 5.25 for 4 multiply-adds, 2 a cycle. The slice of the panel lies in L1 (128 × 64 floats are 32 KB), the sums
//                [N][64], packed, in L2: 4 vectors in and out for each strip of a slice, about 8 cycles.
//                Measured (Sapphire Rapids, 2.8 GHz with 512 bits, 178 GFLOP/s): 256×1024×1024 at 90 % zeros 422 µs of loads, 517 with the sums, 660
//                with packing and the 16×16 transposes of a row-major X and Y that come from L3. A pointer per weight instead of an index keeps
//                a multiply-add one operation to the front end; longer slices, 8 vectors, one strip or three at a time are slower.
//   R ≥ 4        4 outputs × 4 vectors are 16 sums; 4 loads and 4 broadcasts serve 16 multiply-adds: the limit is their number (302 µs, measured 375 to
//                450 with packing). With 2 vectors it is 8 outputs, with one 16.
#if defined(__x86_64__)

#include "../avx2/sparse_panel.h"
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

// A pointer in a register: with an index each multiply-add would be two operations to the front end.
CK_INLINE const float *in_register(const float *x) {
  __asm__("" : "+r"(x));
  return x;
}

// Where the walk over a packed matrix stands.
typedef struct cursor {
  const uint32_t *strip;
  const uint16_t *column;
  const float *value;
} cursor;

#define LANES 16
#define MOST_VECTORS 4
#include "sparse_strips.h"
#define LANES 8
#define MOST_VECTORS 1
#include "sparse_strips.h"

typedef void slice_function(const ck_sparse_run *run, const ck_sparse_run *end, cursor *at, const float *panel, const tile_sums *to);

#define SLICE(R, C, V, lanes)                                                                                                    \
  static void slice_##R##x##C##_##V##_##lanes(const ck_sparse_run *run, const ck_sparse_run *end, cursor *at, const float *panel, \
                                              const tile_sums *to) {                                                             \
    if (to->is_fresh) {                                                                                                          \
      walk_slice_##lanes(R, C, V, 1, run, end, at, panel, to);                                                                   \
    } else {                                                                                                                     \
      walk_slice_##lanes(R, C, V, 0, run, end, at, panel, to);                                                                   \
    }                                                                                                                            \
  }
#define SHAPE(R, C) SLICE(R, C, 1, 8) SLICE(R, C, 1, 16) SLICE(R, C, 2, 16) SLICE(R, C, 3, 16) SLICE(R, C, 4, 16)
SHAPE(1, 1) SHAPE(4, 1) SHAPE(8, 1) SHAPE(1, 4) SHAPE(4, 4) SHAPE(16, 16)

#define NAMES(R, C) \
  { slice_##R##x##C##_1_8, slice_##R##x##C##_1_16, slice_##R##x##C##_2_16, slice_##R##x##C##_3_16, slice_##R##x##C##_4_16 }

// The function for a block shape and a tile of 8, 16, 32, 48 or 64 rows.
static slice_function *slice_kernel(const ck_sparse_structure *w, size_t tile) {
  static slice_function *const kernels[6][1 + most_vectors] = {NAMES(1, 1), NAMES(4, 1), NAMES(8, 1), NAMES(1, 4), NAMES(4, 4), NAMES(16, 16)};
  size_t shape = w->block_columns == 1 ? w->block_rows / 4 : w->block_rows == 1 ? 3 : w->block_rows == 4 ? 4 : 5;
  return kernels[shape][tile / 16];
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
  slice_function *kernel = slice_kernel(t, tile);
  cursor at = {t->strips, t->columns, w->values};
  for (size_t slice = 0; slice < t->slices; slice++, to.is_fresh = 0)
    kernel(t->runs + t->run_starts[slice], t->runs + t->run_starts[slice + 1], &at, panel + slice * t->slice_inputs * tile, &to);
  if (in_place) return;
  if (tile == 8) {
    ck_finish_tile(y, t->outputs, first, count, own_sums, tile, tile);
  } else {
    ck_finish_tile16(y, t->outputs, first, count, own_sums, tile);
  }
}

// The panel of rows first ..< first + count, made in `packed` unless X is one as it stands.
static const float *panel_of(const ck_sparse_input *x, size_t inputs, size_t padded_inputs, size_t first, size_t count, size_t tile, float *packed) {
  if (x->layout == ck_feature_major && x->stride == tile && x->rows == tile && padded_inputs == inputs) return x->data;
  if (tile == 8) {
    ck_pack_panel(x, inputs, first, count, tile, packed);
  } else {
    ck_pack_panel16(x, inputs, first, count, tile, packed);
  }
  memset(packed + inputs * tile, 0, (padded_inputs - inputs) * tile * sizeof(float));
  return packed;
}

void ck_sparse_f32__avx512(const ck_sparse_f32 *w, size_t parts, const ck_sparse_input *x, const ck_sparse_output *y, size_t row_begin,
                           size_t row_end, void *workspace) {
  const ck_sparse_structure *t = &w->structure;
  size_t padded_inputs = ck_round_up(t->inputs, t->block_columns);
  size_t most = t->block_rows > 1 && t->inputs > ck_sparse_f32_long_inputs_avx512 ? widest_tile / 2 : widest_tile;
  float *packed = workspace, *own_sums = packed + padded_inputs * widest_tile;
  for (size_t first = row_begin; first < row_end; first += most) {
    size_t count = row_end - first < most ? row_end - first : most, tile = count <= 8 ? 8 : ck_round_up(count, 16);
    const float *panel = panel_of(x, t->inputs, padded_inputs, first, count, tile, packed);
    ck_sparse_output to = *y;
    for (size_t part = 0; part < parts; part++) {
      multiply_tile(w + part, &to, first, count, tile, panel, own_sums);
      to = ck_sparse_output_from(&to, w[part].structure.outputs);
    }
  }
}

CK_TARGET_END

#endif
