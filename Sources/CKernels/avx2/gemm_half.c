// Float32 activations times FP16 or BF16 weights. More than a few rows: a panel of 16 outputs × 256 inputs is widened once into
// L1 (16 KB) and used by all rows in tiles of 6 × 16 (12 accumulators, 2 weights, 1 activation). Few rows: widened in registers,
// limited by the bandwidth of the weights; four partial sums per output hide the latency of the multiply-add.
// The path depends on the rows of the whole product alone, so the sums do not depend on how threads cut it.
#if defined(__x86_64__)
#include "float_tiles.h"
#include "kernels.h"

CK_TARGET_BEGIN(CK_TARGET_AVX2)

enum { partial_sums = 4 };

size_t ck_gemm_half_workspace_bytes__avx2(void) { return ck_round_up(sizeof(ck_float_workspace), 64); }

CK_INLINE __m256 widen(int is_bf16, const uint16_t *p) {
  __m128i v = _mm_loadu_si128((const __m128i *)p);
  if (is_bf16) return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(v), 16));
  return _mm256_cvtph_ps(v);
}

CK_INLINE void panel_through_k(int is_bf16, const ck_gemm_weights *w, const float *x, size_t stride, size_t panel, size_t rows, ck_float_workspace *s) {
  const uint16_t *values = (const uint16_t *)(const void *)w->codes + panel * w->inputs * ck_panel;
  memset(s->sums, 0, rows * sizeof s->sums[0]);
  for (size_t first = 0; first < w->inputs; first += ck_float_block) {
    size_t inputs = w->inputs - first < ck_float_block ? w->inputs - first : ck_float_block;
    for (size_t k = 0; k < inputs; k++) {
      _mm256_store_ps(s->panel[k], widen(is_bf16, values + (first + k) * ck_panel));
      _mm256_store_ps(s->panel[k] + 8, widen(is_bf16, values + (first + k) * ck_panel + 8));
    }
    for (size_t m = 0; m < rows; m += ck_tile_rows)
      ck_run_float_tile(rows - m < ck_tile_rows ? rows - m : ck_tile_rows, x + m * stride + first, stride, (const float(*)[ck_panel])s->panel,
                        inputs, s->sums + m);
  }
}

// R rows, weights widened in registers; the sums over k ≡ i (mod partial) are kept apart and added at the end.
CK_INLINE void few_rows(int is_bf16, int R, int partial, const ck_gemm_weights *w, const float *x, size_t stride, size_t panel,
                        float (*sums)[ck_panel]) {
  const uint16_t *values = (const uint16_t *)(const void *)w->codes + panel * w->inputs * ck_panel;
  __m256 c[ck_few_rows * partial_sums][2];
  CK_UNROLL for (int i = 0; i < R * partial; i++) c[i][0] = c[i][1] = _mm256_setzero_ps();
  size_t k = 0;
  for (; k + (size_t)partial <= w->inputs; k += (size_t)partial) {
    CK_UNROLL for (int i = 0; i < partial; i++) {
      __m256 w0 = widen(is_bf16, values + (k + (size_t)i) * ck_panel), w1 = widen(is_bf16, values + (k + (size_t)i) * ck_panel + 8);
      CK_UNROLL for (int r = 0; r < R; r++) {
        __m256 a = _mm256_broadcast_ss(x + (size_t)r * stride + k + (size_t)i);
        c[r * partial + i][0] = _mm256_fmadd_ps(a, w0, c[r * partial + i][0]);
        c[r * partial + i][1] = _mm256_fmadd_ps(a, w1, c[r * partial + i][1]);
      }
    }
  }
  for (; k < w->inputs; k++) {
    __m256 w0 = widen(is_bf16, values + k * ck_panel), w1 = widen(is_bf16, values + k * ck_panel + 8);
    CK_UNROLL for (int r = 0; r < R; r++) {
      __m256 a = _mm256_broadcast_ss(x + (size_t)r * stride + k);
      c[r * partial][0] = _mm256_fmadd_ps(a, w0, c[r * partial][0]);
      c[r * partial][1] = _mm256_fmadd_ps(a, w1, c[r * partial][1]);
    }
  }
  CK_UNROLL for (int r = 0; r < R; r++) {
    CK_UNROLL for (int i = 1; i < partial; i++) {
      c[r * partial][0] = _mm256_add_ps(c[r * partial][0], c[r * partial + i][0]);
      c[r * partial][1] = _mm256_add_ps(c[r * partial][1], c[r * partial + i][1]);
    }
    _mm256_store_ps(sums[r], c[r * partial][0]);
    _mm256_store_ps(sums[r] + 8, c[r * partial][1]);
  }
}

CK_INLINE void gemm_half(int is_bf16, const ck_gemm_weights *w, const ck_gemm_activations *activations, const ck_gemm_output *y,
                         size_t row_begin, size_t row_end, size_t panel_begin, size_t panel_end, ck_float_workspace *s) {
  const float *x = (const float *)(const void *)activations->codes;
  size_t stride = activations->stride;
  for (size_t first = row_begin; first < row_end; first += ck_float_chunk) {
    size_t count = row_end - first < ck_float_chunk ? row_end - first : ck_float_chunk;
    for (size_t panel = panel_begin; panel < panel_end; panel++) {
      switch (activations->rows) {
        case 1: few_rows(is_bf16, 1, 4, w, x, stride, panel, s->sums); break;
        case 2: few_rows(is_bf16, 2, 2, w, x, stride, panel, s->sums); break;
        case 3: few_rows(is_bf16, 3, 2, w, x, stride, panel, s->sums); break;
        case 4: few_rows(is_bf16, 4, 1, w, x, stride, panel, s->sums); break;
        default: panel_through_k(is_bf16, w, x + first * stride, stride, panel, count, s);
      }
      for (size_t m = 0; m < count; m++) ck_finish_float_row(w, y, first + m, panel, s->sums[m]);
    }
  }
}

#define GEMM_HALF(name, is_bf16)                                                                                                      \
  void name(const ck_gemm_weights *w, const ck_gemm_activations *x, const ck_gemm_output *y, size_t row_begin, size_t row_end,       \
            size_t panel_begin, size_t panel_end, void *space) {                                                                     \
    gemm_half(is_bf16, w, x, y, row_begin, row_end, panel_begin, panel_end, (ck_float_workspace *)space);                            \
  }
GEMM_HALF(ck_gemm_half_f16__avx2, 0)
GEMM_HALF(ck_gemm_half_bf16__avx2, 1)

CK_TARGET_END
#endif
