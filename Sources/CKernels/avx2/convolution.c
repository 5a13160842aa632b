// Convolution of stride 1 for few outputs: 16 neighbouring positions of up to 6 outputs are 12 sums; for each place of the window 2 loads
// of the image and 6 broadcasts of weights serve 12 multiply-adds. The image is copied into planes with its padding before, so that
// neighbours of one channel lie side by side and borders need no branch.
#if defined(__x86_64__)
#include "../x86_intrinsics.h"

#include "../windows/planes.h"
#include "kernels.h"
#include "sparse_panel.h"

CK_TARGET_BEGIN(CK_TARGET_AVX2)

enum { most_outputs = 6, positions = 16, row_vectors = positions / 8 };

// The first G of 8 numbers; G is known when this is compiled. A masked store takes some ten cycles on AMD's processors.
CK_INLINE void store_first(int G, float *to, __m256 v) {
  __m128 part = _mm256_castps256_ps128(v);
  if (G >= 4) {
    _mm_storeu_ps(to, part);
    part = _mm256_extractf128_ps(v, 1);
    to += 4;
  }
  const int rest = G % 4;
  if (rest >= 2) {
    _mm_storel_pi((__m64 *)to, part);
    part = _mm_movehl_ps(part, part);
    to += 2;
  }
  if (rest % 2 == 1) _mm_store_ss(to, part);
}

// Writes outputs n … n + G of `count` positions, `outputs` numbers apart.
CK_INLINE void write_positions(int G, __m256 c[most_outputs][row_vectors], int relu, size_t count, size_t outputs, float *y) {
  for (int v = 0; v < row_vectors && (size_t)v * 8 < count; v++) {
    __m256 rows[8];
    CK_UNROLL for (int g = 0; g < 8; g++) {
      rows[g] = g < G ? c[g < most_outputs ? g : 0][v] : _mm256_setzero_ps();
      if (relu) rows[g] = _mm256_max_ps(_mm256_setzero_ps(), rows[g]);  // the second operand where one is NaN, and −0
    }
    ck_transpose8_ps(rows);
    size_t left = count - (size_t)v * 8;
    CK_UNROLL for (size_t i = 0; i < 8; i++)
      if (i < left) store_first(G, y + ((size_t)v * 8 + i) * outputs, rows[i]);
  }
}

CK_INLINE void block(int G, const float *planes, const ck_windows *w, const float *weights, const float *bias, int relu, size_t count,
                     size_t outputs, float *y) {
  size_t rows = w->height + 2 * w->padding, columns = w->width + 2 * w->padding, channels = w->channels;
  size_t patch = w->window_height * w->window_width * channels;
  __m256 c[most_outputs][row_vectors];
  CK_UNROLL for (int g = 0; g < G; g++)
      CK_UNROLL for (int v = 0; v < row_vectors; v++) c[g][v] = bias != NULL ? _mm256_set1_ps(bias[g]) : _mm256_setzero_ps();
  for (size_t channel = 0; channel < channels; channel++) {
    for (size_t ky = 0; ky < w->window_height; ky++) {
      const float *x = planes + (channel * rows + ky) * columns, *taps = weights + ky * w->window_width * channels + channel;
      for (size_t kx = 0; kx < w->window_width; kx++, taps += channels) {
        __m256 x0 = _mm256_loadu_ps(x + kx), x1 = _mm256_loadu_ps(x + kx + 8);
        CK_UNROLL for (int g = 0; g < G; g++) {
          __m256 weight = _mm256_broadcast_ss(taps + (size_t)g * patch);
          c[g][0] = _mm256_fmadd_ps(weight, x0, c[g][0]);
          c[g][1] = _mm256_fmadd_ps(weight, x1, c[g][1]);
        }
      }
    }
  }
  write_positions(G, c, relu, count, outputs, y);
}

typedef void block_function(const float *, const ck_windows *, const float *, const float *, int, size_t, size_t, float *);
#define BLOCK(G)                                                                                                                                \
  static void block_##G(const float *planes, const ck_windows *w, const float *weights, const float *bias, int relu, size_t count, size_t outputs, \
                        float *y) {                                                                                                             \
    block(G, planes, w, weights, bias, relu, count, outputs, y);                                                                                \
  }
BLOCK(1) BLOCK(2) BLOCK(3) BLOCK(4) BLOCK(5) BLOCK(6)

size_t ck_conv2d_workspace_bytes__avx2(const ck_windows *w, size_t outputs) {
  (void)outputs;
  return (ck_planes_count(w) + positions) * sizeof(float);
}

void ck_conv2d__avx2(const float *images, size_t batch, const ck_windows *w, const float *weights, size_t outputs, const float *bias, int relu,
                     float *y, void *workspace) {
  static block_function *const blocks[most_outputs] = {block_1, block_2, block_3, block_4, block_5, block_6};
  size_t columns = w->width + 2 * w->padding, patch = w->window_height * w->window_width * w->channels;
  float *planes = workspace;
  for (size_t b = 0; b < batch; b++, images += w->height * w->width * w->channels) {
    ck_make_planes(images, w, planes, positions);
    for (size_t oy = 0; oy < w->output_height; oy++, y += w->output_width * outputs)
      for (size_t ox = 0; ox < w->output_width; ox += positions) {
        size_t count = w->output_width - ox < positions ? w->output_width - ox : positions;
        for (size_t n = 0; n < outputs; n += most_outputs) {
          size_t group = outputs - n < most_outputs ? outputs - n : most_outputs;
          blocks[group - 1](planes + oy * columns + ox, w, weights + n * patch, bias != NULL ? bias + n : NULL, relu, count, outputs,
                            y + ox * outputs + n);
        }
      }
  }
}

CK_TARGET_END
#endif
