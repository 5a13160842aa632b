// int8 sparse weights times several rows of X: SDOT adds the four products of a quad for four rows, exactly for all weights.
//
//   neighbours, R = 1   64 rows: four quads take a load of columns, one of weights, and 64 SDOT with a load each: loads are the limit
//   neighbours, R ≥ 4   4 outputs × 24 rows are 24 sums; 7 loads serve 24 SDOT: the limit is their number
//   gathered            4 inputs of 16 rows are interleaved by 8 ZIP, for 4 SDOT of one output or 16 of four
//
// Modelled (llvm-mca 19), operations a cycle of Neoverse N1, V1, V2, Apple M1; a dense float32 tile: 15.9, 31.7, 31.7, 23.9.
//
//   1×4   53.8, 85.1, 85.1, 81.8         4×4   63.8, 127, 127, 95.3
//   1×1   20.8, 41.6, 41.6, 31.2         4×1   42.5, 84.6, 84.6, 60.3
//
// Tables of four registers would interleave in half of the operations, but each takes three or more.
#if defined(__aarch64__)
#include "../neon/sparse_s8_panel.h"
#include "kernels.h"

CK_TARGET_BEGIN(CK_TARGET_DOTPROD)

#include "../neon/sparse_s8.h"

// sum + the products of x and quad `lane` of w, a constant where this is inlined.
CK_INLINE int32x4_t add_products(int32x4_t sum, int8x16_t x, int8x16_t w, int lane) {
  switch (lane) {
    case 0: return vdotq_laneq_s32(sum, x, w, 0);
    case 1: return vdotq_laneq_s32(sum, x, w, 1);
    case 2: return vdotq_laneq_s32(sum, x, w, 2);
    default: return vdotq_laneq_s32(sum, x, w, 3);
  }
}

// A quad of inputs of 4 rows, which H outputs share.
CK_INLINE void add_vector(int H, int8x16_t x, int8x16_t w, int lane, int v, int32x4_t c[4][most_vectors]) {
  CK_UNROLL for (int h = 0; h < H; h++) c[h][v] = add_products(c[h][v], x, w, lane + h);
}

// Gathered inputs are interleaved in registers, 16 rows at a time.
CK_INLINE void add_gathered(int H, int U, const int8_t *panel, size_t width, const uint16_t *columns, int8x16_t w, int32x4_t c[4][most_vectors]) {
  const int8_t *x[4];
  CK_UNROLL for (int i = 0; i < 4; i++) x[i] = panel + columns[i] * width;
  CK_UNROLL for (int u = 0; u < U; u += 2) {
    const int rows = U - u > 1 ? 16 : 8;
    int8x16_t a[4], q[4];
    CK_UNROLL for (int i = 0; i < 4; i++) a[i] = vld1q_s8(x[i] + 8 * u);
    interleave_inputs(a, rows, q);
    CK_UNROLL for (int v = 0; v < rows / 4; v++) add_vector(H, q[v], w, 0, 2 * u + v, c);
    CK_UNROLL for (int h = 0; h < H; h++) CK_UNROLL for (int v = 0; v < rows / 4; v++) CK_END_STEP(c[h][2 * u + v]);
  }
}

CK_INLINE void add_neighbours(int H, int U, const int8_t *x, int8x16_t w, int lane, int32x4_t c[4][most_vectors]) {
  CK_UNROLL for (int v = 0; v < 2 * U; v++) add_vector(H, vld1q_s8(x + 16 * v), w, lane, v, c);
}

// Four quads of one output have their weights in one vector and their columns in one number.
CK_INLINE void strip_sums(size_t R, int H, int U, int is_gathered, const uint16_t *columns, const int8_t *values, size_t quads, const int8_t *panel,
                          size_t width, int32x4_t c[4][most_vectors]) {
  CK_UNROLL for (int h = 0; h < H; h++) CK_UNROLL for (int v = 0; v < 2 * U; v++) c[h][v] = vdupq_n_s32(0);
  size_t q = 0;
  if (H == 1 && !is_gathered)
    for (; q + 4 <= quads; q += 4, values += 16, columns += 4) {
      uint64_t four;
      memcpy(&four, columns, sizeof four);
      int8x16_t w = vld1q_s8(values);
      CK_UNROLL for (int i = 0; i < 4; i++) add_neighbours(1, U, panel + (four >> (16 * i) & 0xffff) * 4 * width, w, i, c);
    }
  for (; q < quads; q++, values += 4 * R, columns += is_gathered ? 4 : 1) {
    int8x16_t w = H == 1 ? ck_dup4_s8(values) : vld1q_s8(values);
    if (is_gathered) add_gathered(H, U, panel, width, columns, w, c);
    else add_neighbours(H, U, panel + (size_t)columns[0] * 4 * width, w, 0, c);
  }
}

enum { tall_rows = 24 };  // 4 outputs of them are 24 sums
static size_t tile_rows(size_t block_rows) { return block_rows == 1 ? ck_sparse_s8_most_rows : tall_rows; }
static int inputs_together(const ck_sparse_structure *w) { return w->block_columns == 1 ? 1 : 4; }

#define SINGLE(name, is_gathered, U)                                                              \
  static void name##_##U(const ck_sparse_s8 *w, const int8_t *panel, const destination *to) {     \
    all_strips(1, 1, U, U, is_gathered, w, panel, to);                                            \
  }
#define TALL(name, is_gathered, U)                                                                \
  static void name##_##U(const ck_sparse_s8 *w, const int8_t *panel, const destination *to) {     \
    all_strips(w->structure.block_rows, 4, U, U, is_gathered, w, panel, to);                      \
  }
#define EACH_UNIT(WHAT, name, is_gathered)                                                                             \
  WHAT(name, is_gathered, 1) WHAT(name, is_gathered, 2) WHAT(name, is_gathered, 3) WHAT(name, is_gathered, 4)          \
  WHAT(name, is_gathered, 5) WHAT(name, is_gathered, 6) WHAT(name, is_gathered, 7) WHAT(name, is_gathered, 8)
EACH_UNIT(SINGLE, single_gathered, 1)
EACH_UNIT(SINGLE, single_neighbours, 0)
TALL(tall_gathered, 1, 1) TALL(tall_gathered, 1, 2) TALL(tall_gathered, 1, 3)
TALL(tall_neighbours, 0, 1) TALL(tall_neighbours, 0, 2) TALL(tall_neighbours, 0, 3)

static strips_function *strips_kernel(const ck_sparse_structure *w, size_t units) {
#define UNITS(name) {name##_1, name##_2, name##_3, name##_4, name##_5, name##_6, name##_7, name##_8}
#define TALL_UNITS(name) {name##_1, name##_2, name##_3}
  static strips_function *const single[2][8] = {UNITS(single_neighbours), UNITS(single_gathered)};
  static strips_function *const tall[2][3] = {TALL_UNITS(tall_neighbours), TALL_UNITS(tall_gathered)};
#undef TALL_UNITS
#undef UNITS
  int is_gathered = w->block_columns == 1;
  return w->block_rows == 1 ? single[is_gathered][units - 1] : tall[is_gathered][units - 1];
}

size_t ck_sparse_s8_tile__dotprod(size_t block_rows) { return tile_rows(block_rows); }
size_t ck_sparse_s8_workspace_bytes__dotprod(const ck_sparse_structure *w) { return workspace_bytes(w); }

void ck_sparse_s8__dotprod(const ck_sparse_s8 *w, size_t parts, const ck_sparse_input *x, const ck_sparse_output *y, size_t row_begin, size_t row_end,
                           void *workspace) {
  product(w, parts, x, y, row_begin, row_end, workspace);
}

CK_TARGET_END
#endif
