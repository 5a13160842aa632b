// Signs of rows. The eight sums of a row are a chain of additions, 4 cycles for 8 numbers, so four rows go side by side; then loads and stores are the limit.
#if defined(__x86_64__)
#include "../gemm/layout.h"
#include "dispatch.h"
#include "simd.h"

CK_TARGET_BEGIN(CK_TARGET_AVX512)

// Bits of the lanes' numbers, and |x| added to the eight sums, in order; the others are read as 0.
CK_INLINE __mmask16 add_sixteen(const float *x, __mmask16 lanes, __m256 *sums) {
  __m512 v = _mm512_maskz_loadu_ps(lanes, x), magnitudes = _mm512_abs_ps(v);
  *sums = _mm256_add_ps(*sums, _mm512_castps512_ps256(magnitudes));
  *sums = _mm256_add_ps(*sums, _mm512_extractf32x8_ps(magnitudes, 1));
  return _mm512_mask_cmp_ps_mask(lanes, v, _mm512_setzero_ps(), _CMP_GE_OQ);
}

CK_INLINE void binarize(int R, const float *x, size_t columns, size_t stride, uint8_t *bits, float *scales) {
  size_t row_bytes = ck_round_up(columns, ck_fold) / 8;
  __m256 sums[4];
  CK_UNROLL for (int r = 0; r < R; r++) sums[r] = _mm256_setzero_ps();
  for (size_t k = 0; k < row_bytes * 8; k += 16) {
    __mmask16 lanes = k < columns ? ck_first_lanes(columns - k) : 0;
    CK_UNROLL for (int r = 0; r < R; r++) {
      uint16_t mask = (uint16_t)add_sixteen(x + (size_t)r * stride + k, lanes, &sums[r]);
      memcpy(bits + (size_t)r * row_bytes + k / 8, &mask, sizeof mask);
    }
  }
  CK_UNROLL for (int r = 0; r < R; r++) {
    float s[8];
    _mm256_storeu_ps(s, sums[r]);
    scales[r] = (((s[0] + s[4]) + (s[1] + s[5])) + ((s[2] + s[6]) + (s[3] + s[7]))) / (float)columns;
  }
}

void ck_binarize_rows_u1_f32__avx512(const float *x, size_t rows, size_t columns, size_t stride, uint8_t *bits, float *scales) {
  size_t row_bytes = ck_round_up(columns, ck_fold) / 8, m = 0;
  for (; m + 4 <= rows; m += 4) binarize(4, x + m * stride, columns, stride, bits + m * row_bytes, scales + m);
  for (; m < rows; m++) binarize(1, x + m * stride, columns, stride, bits + m * row_bytes, scales + m);
}

CK_TARGET_END
#endif
