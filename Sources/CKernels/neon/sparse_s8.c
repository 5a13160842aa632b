// int8 sparse weights times several rows of X, without instructions that add four products. Two products of a lane are added in 16 bits, exactly for all
// weights, since |x − 128| · |w| ≤ 128 · 127 and twice that is less than 2¹⁵; SADALP adds neighbouring lanes of these to sums of 32 bits.
//
//   gathered, R = 1   lanes are rows, 64 at a time: of two pairs of inputs TRN makes neighbours. For 16 rows and a quad 8 multiplications, 4 TRN, 4 SADALP
//   gathered, R ≥ 4   TRN makes pairs of inputs, 16 rows at a time, which 4 outputs share: 32 multiplications, 16 SADALP, 8 DUP of weights, 4 TRN
//   neighbours        pairs lie in the panel, 64 rows at a time: 32 multiplications, 16 SADALP, 2 DUP
//
// The limit is multiplications, one of 8 products a cycle on a Cortex-A72 or Neoverse N1: 16 operations a cycle. Modelled (llvm-mca 19) for A72 and V1:
// 12.8 and 28; 15.8 and 32; 16.0 and 32, where float32 tiles reach 8.0 and 31.7. Widening sums by SADDW instead of TRN and SADALP: 11.9.
#if defined(__aarch64__)
#include "sparse_s8_panel.h"

CK_TARGET_BEGIN(CK_TARGET_NEON)

#include "sparse_s8.h"

// The weights of a quad, each in all lanes, or each pair.
CK_INLINE void single_weights(const int8_t *values, int8x16_t w[4]) {
  int8x16_t quad = ck_dup4_s8(values);
  w[0] = vdupq_laneq_s8(quad, 0);
  w[1] = vdupq_laneq_s8(quad, 1);
  w[2] = vdupq_laneq_s8(quad, 2);
  w[3] = vdupq_laneq_s8(quad, 3);
}
CK_INLINE void pair_weights(const int8_t *values, int8x16_t w[2]) {
  int16x8_t quad = vreinterpretq_s16_s8(ck_dup4_s8(values));
  w[0] = vreinterpretq_s8_s16(vdupq_laneq_s16(quad, 0));
  w[1] = vreinterpretq_s8_s16(vdupq_laneq_s16(quad, 1));
}

CK_INLINE int16x8_t low_products(int8x16_t x0, int8x16_t x1, int8x16_t w0, int8x16_t w1) {
  return vmlal_s8(vmull_s8(vget_low_s8(x0), vget_low_s8(w0)), vget_low_s8(x1), vget_low_s8(w1));
}
CK_INLINE int16x8_t high_products(int8x16_t x0, int8x16_t x1, int8x16_t w0, int8x16_t w1) { return vmlal_high_s8(vmull_high_s8(x0, w0), x1, w1); }

// Four inputs of 16 rows, or of 8, in vectors of their own: sums of two pairs meet in neighbouring lanes. Of each 8 rows c[0] sums the even ones and c[1]
// the odd ones, since TRN takes one operation where a Cortex-A72 needs three for ZIP.
CK_INLINE void add_rows(int rows, const int8x16_t x[4], const int8x16_t w[4], int32x4_t *c) {
  int16x8_t first = low_products(x[0], x[1], w[0], w[1]), second = low_products(x[2], x[3], w[2], w[3]);
  c[0] = vpadalq_s16(c[0], vtrn1q_s16(first, second));
  c[1] = vpadalq_s16(c[1], vtrn2q_s16(first, second));
  CK_END_STEP(c[0]);
  CK_END_STEP(c[1]);
  if (rows == 8) return;
  first = high_products(x[0], x[1], w[0], w[1]), second = high_products(x[2], x[3], w[2], w[3]);
  c[2] = vpadalq_s16(c[2], vtrn1q_s16(first, second));
  c[3] = vpadalq_s16(c[3], vtrn2q_s16(first, second));
  CK_END_STEP(c[2]);
  CK_END_STEP(c[3]);
}

CK_INLINE int32x4_t add_low_pairs(int32x4_t sum, const int8x16_t x[2], const int8x16_t w[2]) {
  return vpadalq_s16(sum, low_products(x[0], x[1], w[0], w[1]));
}
CK_INLINE int32x4_t add_high_pairs(int32x4_t sum, const int8x16_t x[2], const int8x16_t w[2]) {
  return vpadalq_s16(sum, high_products(x[0], x[1], w[0], w[1]));
}

// One output, inputs in rows of their own.
CK_INLINE void add_gathered(int U, const int8_t *const x[4], const int8_t *values, int32x4_t *c) {
  int8x16_t w[4];
  single_weights(values, w);
  CK_UNROLL for (int u = 0; u < U; u += 2) {
    int8x16_t a[4];
    CK_UNROLL for (int i = 0; i < 4; i++) a[i] = vld1q_s8(x[i] + 8 * u);
    add_rows(U - u > 1 ? 16 : 8, a, w, c + 2 * u);
  }
}

// Four outputs and up to 16 rows, pairs of inputs of the even ones and of the odd ones.
CK_INLINE void add_gathered_tall(int U, const int8_t *const x[4], const int8_t *values, int32x4_t c[4][most_vectors]) {
  int8x16_t a[4];
  CK_UNROLL for (int i = 0; i < 4; i++) a[i] = vld1q_s8(x[i]);
  int8x16_t even[2] = {vtrn1q_s8(a[0], a[1]), vtrn1q_s8(a[2], a[3])}, odd[2] = {vtrn2q_s8(a[0], a[1]), vtrn2q_s8(a[2], a[3])};
  CK_UNROLL for (int h = 0; h < 4; h++) {
    int8x16_t w[2];
    pair_weights(values + 4 * h, w);
    c[h][0] = add_low_pairs(c[h][0], even, w);
    c[h][1] = add_low_pairs(c[h][1], odd, w);
    CK_END_STEP(c[h][0]);
    CK_END_STEP(c[h][1]);
    if (U == 1) continue;
    c[h][2] = add_high_pairs(c[h][2], even, w);
    c[h][3] = add_high_pairs(c[h][3], odd, w);
    CK_END_STEP(c[h][2]);
    CK_END_STEP(c[h][3]);
  }
}

// From the even and the odd rows of each 8 to rows in their order.
CK_INLINE void order_rows(int U, int32x4_t c[most_vectors]) {
  CK_UNROLL for (int u = 0; u < U; u++) {
    int32x4_t even = c[2 * u], odd = c[2 * u + 1];
    c[2 * u] = vzip1q_s32(even, odd);
    c[2 * u + 1] = vzip2q_s32(even, odd);
  }
}

// One output, neighbouring inputs, pairs of them side by side.
CK_INLINE void add_neighbours(int U, const int8_t *x, size_t width, const int8_t *values, int32x4_t *c) {
  int8x16_t w[2];
  pair_weights(values, w);
  CK_UNROLL for (int u = 0; u < U; u++) {
    int8x16_t pairs[2] = {vld1q_s8(x + 16 * u), vld1q_s8(x + 2 * width + 16 * (size_t)u)};
    c[2 * u] = add_low_pairs(c[2 * u], pairs, w);
    c[2 * u + 1] = add_high_pairs(c[2 * u + 1], pairs, w);
    CK_END_STEP(c[2 * u]);
    CK_END_STEP(c[2 * u + 1]);
  }
}

CK_INLINE void strip_sums(size_t R, int H, int U, int is_gathered, const uint16_t *columns, const int8_t *values, size_t quads, const int8_t *panel,
                          size_t width, int32x4_t c[4][most_vectors]) {
  CK_UNROLL for (int h = 0; h < H; h++) CK_UNROLL for (int v = 0; v < 2 * U; v++) c[h][v] = vdupq_n_s32(0);
  for (size_t q = 0; q < quads; q++, values += 4 * R, columns += is_gathered ? 4 : 1) {
    if (is_gathered) {
      const int8_t *x[4];
      CK_UNROLL for (int i = 0; i < 4; i++) x[i] = panel + columns[i] * width;
      if (H == 1) add_gathered(U, x, values, c[0]);
      else add_gathered_tall(U, x, values, c);
    } else {
      add_neighbours(U, panel + 4 * (size_t)columns[0] * width, width, values, c[0]);
    }
  }
  if (is_gathered) CK_UNROLL for (int h = 0; h < H; h++) order_rows(U, c[h]);
}

static size_t tile_rows(size_t block_rows) {
  (void)block_rows;
  return ck_sparse_s8_most_rows;
}
static int inputs_together(const ck_sparse_structure *w) { return w->block_columns == 1 ? 1 : 2; }

#define STRIPS(U)                                                                                       \
  static void single_strips_##U(const ck_sparse_s8 *w, const int8_t *panel, const destination *to) {    \
    all_strips(1, 1, U, U, 1, w, panel, to);                                                            \
  }                                                                                                     \
  static void tall_strips_##U(const ck_sparse_s8 *w, const int8_t *panel, const destination *to) {      \
    all_strips(w->structure.block_rows, 4, 2, U, 1, w, panel, to);                                      \
  }                                                                                                     \
  static void neighbour_strips_##U(const ck_sparse_s8 *w, const int8_t *panel, const destination *to) { \
    all_strips(w->structure.block_rows, 1, U, U, 0, w, panel, to);                                      \
  }
STRIPS(1) STRIPS(2) STRIPS(3) STRIPS(4) STRIPS(5) STRIPS(6) STRIPS(7) STRIPS(8)

static strips_function *strips_kernel(const ck_sparse_structure *w, size_t units) {
#define UNITS(name) {name##_1, name##_2, name##_3, name##_4, name##_5, name##_6, name##_7, name##_8}
  static strips_function *const kernels[3][8] = {UNITS(single_strips), UNITS(tall_strips), UNITS(neighbour_strips)};
#undef UNITS
  return kernels[w->block_columns > 1 ? 2 : w->block_rows > 1][units - 1];
}

size_t ck_sparse_s8_tile__neon(size_t block_rows) { return tile_rows(block_rows); }
size_t ck_sparse_s8_workspace_bytes__neon(const ck_sparse_structure *w) { return workspace_bytes(w); }

void ck_sparse_s8__neon(const ck_sparse_s8 *w, size_t parts, const ck_sparse_input *x, const ck_sparse_output *y, size_t row_begin, size_t row_end,
                        void *workspace) {
  product(w, parts, x, y, row_begin, row_end, workspace);
}

CK_TARGET_END
#endif
