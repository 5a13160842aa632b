// int8 sparse weights times several rows of X, blocks of several neighbouring inputs and several outputs: SMMLA multiplies 8 inputs of 2 rows and of 2
// outputs, exactly. Two quads of a strip, from anywhere, are zipped to 8 inputs: activations of 4 rows by two ZIP, which 4 outputs share, and weights of 4
// outputs by two, which 24 rows share. Other shapes are SDOT's (dotprod/sparse_s8.c), and so is the panel. Modelled (llvm-mca 19), operations a cycle of Neoverse N2, V1, V2:
// 80.6, 161, 161; SDOT 63.8, 127, 127.
#if defined(__aarch64__)
#include "../dotprod/kernels.h"
#include "../neon/sparse_s8_panel.h"
#include "kernels.h"

CK_TARGET_BEGIN(CK_TARGET_I8MM)

#include "../neon/sparse_s8.h"

// The quads of two vectors in turn: 0 and 1 of each, 2 and 3 of each.
CK_INLINE void zip_quads(int8x16_t first, int8x16_t second, int8x16_t to[2]) {
  to[0] = vreinterpretq_s8_s32(vzip1q_s32(vreinterpretq_s32_s8(first), vreinterpretq_s32_s8(second)));
  to[1] = vreinterpretq_s8_s32(vzip2q_s32(vreinterpretq_s32_s8(first), vreinterpretq_s32_s8(second)));
}

// Two quads of 4 outputs. c[2 · p + i][v] sums outputs 2 · p and 2 · p + 1 of rows 2 · i and 2 · i + 1 of vector v.
CK_INLINE void add_quads(int V, const int8_t *first, const int8_t *second, const int8x16_t w[2], int32x4_t c[4][most_vectors]) {
  CK_UNROLL for (int v = 0; v < V; v++) {
    int8x16_t x[2];
    zip_quads(vld1q_s8(first + 16 * v), vld1q_s8(second + 16 * v), x);
    CK_UNROLL for (int p = 0; p < 2; p++) CK_UNROLL for (int i = 0; i < 2; i++) c[2 * p + i][v] = vmmlaq_s32(c[2 * p + i][v], x[i], w[p]);
    CK_UNROLL for (int j = 0; j < 4; j++) CK_END_STEP(c[j][v]);
  }
}

CK_INLINE void strip_sums(size_t R, int H, int U, int is_gathered, const uint16_t *columns, const int8_t *values, size_t quads, const int8_t *panel,
                          size_t width, int32x4_t c[4][most_vectors]) {
  (void)is_gathered;
  CK_UNROLL for (int h = 0; h < H; h++) CK_UNROLL for (int v = 0; v < 2 * U; v++) c[h][v] = vdupq_n_s32(0);
  int8x16_t w[2];
  size_t q = 0;
  for (; q + 2 <= quads; q += 2, values += 8 * R) {
    zip_quads(vld1q_s8(values), vld1q_s8(values + 4 * R), w);
    add_quads(2 * U, panel + columns[q] * 4 * width, panel + columns[q + 1] * 4 * width, w, c);
  }
  if (q < quads) {  // the last one with itself, and weights of 0
    zip_quads(vld1q_s8(values), vdupq_n_s8(0), w);
    add_quads(2 * U, panel + columns[q] * 4 * width, panel + columns[q] * 4 * width, w, c);
  }
  CK_UNROLL for (int p = 0; p < 2; p++)
      CK_UNROLL for (int v = 0; v < 2 * U; v++) {
        int32x4_t first = c[2 * p][v], second = c[2 * p + 1][v];
        c[2 * p][v] = vuzp1q_s32(first, second);
        c[2 * p + 1][v] = vuzp2q_s32(first, second);
      }
}

static size_t tile_rows(size_t block_rows) { return ck_sparse_s8_tile__dotprod(block_rows); }
static int inputs_together(const ck_sparse_structure *w) {
  (void)w;
  return 4;
}

#define TALL(U)                                                                                       \
  static void tall_strips_##U(const ck_sparse_s8 *w, const int8_t *panel, const destination *to) {    \
    all_strips(w->structure.block_rows, 4, U, U, 0, w, panel, to);                                    \
  }
TALL(1) TALL(2) TALL(3)

static strips_function *strips_kernel(const ck_sparse_structure *w, size_t units) {
  static strips_function *const kernels[3] = {tall_strips_1, tall_strips_2, tall_strips_3};
  (void)w;
  return kernels[units - 1];
}

void ck_sparse_s8__i8mm(const ck_sparse_s8 *w, size_t parts, const ck_sparse_input *x, const ck_sparse_output *y, size_t row_begin, size_t row_end,
                        void *workspace) {
  const ck_sparse_structure *t = &w->structure;
  if (t->block_rows > 1 && t->block_columns > 1) product(w, parts, x, y, row_begin, row_end, workspace);
  else ck_sparse_s8__dotprod(w, parts, x, y, row_begin, row_end, workspace);
}

CK_TARGET_END
#endif
