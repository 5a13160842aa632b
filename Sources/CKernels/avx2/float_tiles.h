// Products of float32 activations and a panel of weights widened to float32: tiles of 6 rows × 16 outputs (12 sums, 2 weights, 1 activation), shared by
// gemm_half.c and gemm_bf16.c. Each output is one sum in ascending order of inputs.
#ifndef CK_AVX2_FLOAT_TILES_H
#define CK_AVX2_FLOAT_TILES_H

#include "epilogue.h"
#include "../float_environment.h"

CK_TARGET_BEGIN(CK_TARGET_AVX2)

enum { ck_float_block = 256, ck_float_chunk = 240, ck_tile_rows = 6 };

typedef struct ck_float_workspace {
  float panel[ck_float_block][ck_panel];
  float sums[ck_float_chunk][ck_panel];
} ck_float_workspace;

CK_INLINE void ck_float_tile(int R, const float *x, size_t stride, const float (*w)[ck_panel], size_t inputs, float (*sums)[ck_panel]) {
  __m256 c0[ck_tile_rows], c1[ck_tile_rows];
  CK_UNROLL for (int r = 0; r < R; r++) {
    c0[r] = _mm256_load_ps(sums[r]);
    c1[r] = _mm256_load_ps(sums[r] + 8);
  }
  for (size_t k = 0; k < inputs; k++) {
    __m256 w0 = _mm256_load_ps(w[k]), w1 = _mm256_load_ps(w[k] + 8);
    CK_UNROLL for (int r = 0; r < R; r++) {
      __m256 a = _mm256_broadcast_ss(x + (size_t)r * stride + k);
      c0[r] = _mm256_fmadd_ps(a, w0, c0[r]);
      c1[r] = _mm256_fmadd_ps(a, w1, c1[r]);
    }
  }
  CK_UNROLL for (int r = 0; r < R; r++) {
    _mm256_store_ps(sums[r], c0[r]);
    _mm256_store_ps(sums[r] + 8, c1[r]);
  }
}

CK_APART void ck_run_float_tile(size_t rows, const float *x, size_t stride, const float (*w)[ck_panel], size_t inputs, float (*sums)[ck_panel]) {
  switch (rows) {
    case 1: ck_float_tile(1, x, stride, w, inputs, sums); break;
    case 2: ck_float_tile(2, x, stride, w, inputs, sums); break;
    case 3: ck_float_tile(3, x, stride, w, inputs, sums); break;
    case 4: ck_float_tile(4, x, stride, w, inputs, sums); break;
    case 5: ck_float_tile(5, x, stride, w, inputs, sums); break;
    default: ck_float_tile(6, x, stride, w, inputs, sums); break;
  }
}

CK_INLINE void ck_finish_float_row(const ck_gemm_weights *w, const ck_gemm_output *y, size_t m, size_t panel, const float *sums) {
  size_t n = panel * ck_panel, columns = w->outputs - n < ck_panel ? w->outputs - n : ck_panel;
  ck_finish_row(y, m, n, columns, _mm256_load_ps(sums), _mm256_load_ps(sums + 8));
}

CK_TARGET_END
#endif
