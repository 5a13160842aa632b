// int8 sparse weights times several rows of X, without instructions that add four products. Lanes are rows and an input is a row of bytes, so that gathered
// inputs need no interleaving: two products of a lane are added in 16 bits, exactly, since |x − 128| · |w| ≤ 128 · 127 and twice that is less than 2¹⁵,
// and their sum is widened into one of 32 bits. Outputs of a strip go one by one, as nothing but loads could be shared.
#if defined(__aarch64__)
#include "sparse_s8_panel.h"

CK_TARGET_BEGIN(CK_TARGET_NEON)

#include "sparse_s8.h"

// Adds the products of two inputs of 16 rows, or of 8, to four sums or two.
CK_INLINE void add_pair(int rows, int8x16_t x0, int8x16_t x1, int8x16_t w0, int8x16_t w1, int32x4_t c[4]) {
  int16x8_t low = vmlal_s8(vmull_s8(vget_low_s8(x0), vget_low_s8(w0)), vget_low_s8(x1), vget_low_s8(w1));
  c[0] = vaddw_s16(c[0], vget_low_s16(low));
  c[1] = vaddw_high_s16(c[1], low);
  if (rows == 8) return;
  int16x8_t high = vmlal_high_s8(vmull_high_s8(x0, w0), x1, w1);
  c[2] = vaddw_s16(c[2], vget_low_s16(high));
  c[3] = vaddw_high_s16(c[3], high);
}

CK_INLINE void strip_sums(size_t R, int H, int U, int is_gathered, const uint16_t *columns, const int8_t *values, size_t quads, const int8_t *panel,
                          int32x4_t c[4][most_vectors]) {
  (void)H;
  const size_t width = 8 * (size_t)U;
  CK_UNROLL for (int v = 0; v < 2 * U; v++) c[0][v] = vdupq_n_s32(0);
  for (size_t q = 0; q < quads; q++, values += 4 * R, columns += is_gathered ? 4 : 1) {
    int8x16_t w[4];
    const int8_t *x[4];
    CK_UNROLL for (size_t i = 0; i < 4; i++) {
      w[i] = vld1q_dup_s8(values + i);
      x[i] = panel + (is_gathered ? columns[i] : 4 * (size_t)columns[0] + i) * width;
    }
    CK_UNROLL for (int u = 0; u < U; u += 2) {
      const int rows = U - u > 1 ? 16 : 8;
      int8x16_t a[4];
      CK_UNROLL for (int i = 0; i < 4; i++) a[i] = vld1q_s8(x[i] + 8 * u);
      add_pair(rows, a[0], a[1], w[0], w[1], c[0] + 2 * u);
      add_pair(rows, a[2], a[3], w[2], w[3], c[0] + 2 * u);
    }
  }
}

static size_t tile_rows(size_t block_rows) {
  (void)block_rows;
  return ck_sparse_s8_most_rows;
}
static int panel_is_by_quads(const ck_sparse_structure *w) {
  (void)w;
  return 0;
}

#define STRIPS(U)                                                                                              \
  static void gathered_strips_##U(const ck_sparse_s8 *w, const int8_t *panel, const destination *to) {         \
    all_strips(w->structure.block_rows, 1, U, 1, w, panel, to);                                                \
  }                                                                                                            \
  static void neighbour_strips_##U(const ck_sparse_s8 *w, const int8_t *panel, const destination *to) {        \
    all_strips(w->structure.block_rows, 1, U, 0, w, panel, to);                                                \
  }
STRIPS(1) STRIPS(2) STRIPS(3) STRIPS(4) STRIPS(5) STRIPS(6) STRIPS(7) STRIPS(8)

static strips_function *strips_kernel(const ck_sparse_structure *w, size_t units) {
#define UNITS(name) {name##_1, name##_2, name##_3, name##_4, name##_5, name##_6, name##_7, name##_8}
  static strips_function *const kernels[2][8] = {UNITS(neighbour_strips), UNITS(gathered_strips)};
#undef UNITS
  return kernels[w->block_columns == 1][units - 1];
}

size_t ck_sparse_s8_tile__neon(size_t block_rows) { return tile_rows(block_rows); }
size_t ck_sparse_s8_workspace_bytes__neon(const ck_sparse_structure *w) { return workspace_bytes(w); }

void ck_sparse_s8__neon(const ck_sparse_s8 *w, size_t parts, const ck_sparse_input *x, const ck_sparse_output *y, size_t row_begin, size_t row_end,
                        void *workspace) {
  product(w, parts, x, y, row_begin, row_end, workspace);
}

CK_TARGET_END
#endif
