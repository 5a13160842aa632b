// Quantizing of weights with AVX2: the text of gemm/weights.h compiled for 256 bits, and the search for extremes, whose groups of 32 compilers do not
// turn into vectors. The bits are the portable kernel's: least and greatest numbers do not depend on the order, all else is one text.
// Limit: the bandwidth of the floats, which are read from memory once (avx512/quantize_weights.c); 2 bits: the ports, with half of AVX512's width.
#if defined(__x86_64__)
#include "../gemm/weights.h"

#include <immintrin.h>

#include "dispatch.h"

CK_TARGET_BEGIN(CK_TARGET_AVX2)

typedef struct range256 {
  __m256 greatest, least;  // `least` with the other sign
} range256;

CK_INLINE range256 extended(range256 r, __m256 v) {
  return (range256){_mm256_max_ps(v, r.greatest), _mm256_max_ps(_mm256_xor_ps(v, _mm256_set1_ps(-0.0f)), r.least)};
}

// Both at once: the greatest in the lower half, the least in the upper.
CK_INLINE float extreme_of(range256 r, const float *x, size_t count) {
  __m256 four = _mm256_max_ps(_mm256_permute2f128_ps(r.greatest, r.least, 0x20), _mm256_permute2f128_ps(r.greatest, r.least, 0x31));
  __m256 two = _mm256_max_ps(four, _mm256_permute_ps(four, 0x4E));
  __m256 one = _mm256_max_ps(two, _mm256_permute_ps(two, 0xB1));
  return ck_extreme_of_range(x, count, -_mm_cvtss_f32(_mm256_extractf128_ps(one, 1)), _mm256_cvtss_f32(one));
}

CK_INLINE float extreme(const float *x, size_t count) {
  range256 r[2] = {{_mm256_setzero_ps(), _mm256_setzero_ps()}, {_mm256_setzero_ps(), _mm256_setzero_ps()}};
  size_t i = 0;
  for (; i + 16 <= count; i += 16) {
    r[0] = extended(r[0], _mm256_loadu_ps(x + i));
    r[1] = extended(r[1], _mm256_loadu_ps(x + i + 8));
  }
  for (; i < count; i += 8) {
    int left = count - i < 8 ? (int)(count - i) : 8;
    __m256i lanes = _mm256_cmpgt_epi32(_mm256_set1_epi32(left), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
    r[0] = extended(r[0], _mm256_maskload_ps(x + i, lanes));
  }
  return extreme_of((range256){_mm256_max_ps(r[0].greatest, r[1].greatest), _mm256_max_ps(r[0].least, r[1].least)}, x, count);
}

static void extremes(const float *x, size_t count, size_t group, float *extremes) {
  if (group == 32) {
    for (; count >= 32; count -= 32, x += 32) *extremes++ = extreme(x, 32);
  }
  for (size_t first = 0; first < count; first += group) *extremes++ = extreme(x + first, count - first < group ? count - first : group);
}

static void add_two_bit_gains(const float *x, size_t count, float factor, const float *scales, float (*sums)[ck_gain_lanes]) {
  const __m256 sign = _mm256_set1_ps(-0.0f);
  for (int i = 0; i < ck_gains_at_once; i += 2) {  // two scales at a time: 4 sums, 4 bounds
    __m256 upper[2], lower[2], sum[2][2];
    CK_UNROLL for (int s = 0; s < 2; s++) {
      upper[s] = _mm256_set1_ps(ck_gain_upper(scales[i + s])), lower[s] = _mm256_set1_ps(ck_gain_lower(scales[i + s]));
      sum[s][0] = _mm256_loadu_ps(sums[i + s]), sum[s][1] = _mm256_loadu_ps(sums[i + s] + 8);
    }
    for (size_t k = 0; k < count; k += 16)
      CK_UNROLL for (int half = 0; half < 2; half++) {
        __m256 value = _mm256_mul_ps(_mm256_loadu_ps(x + k + 8 * half), _mm256_set1_ps(factor)), magnitude = _mm256_andnot_ps(sign, value);
        CK_UNROLL for (int s = 0; s < 2; s++) {
          __m256 gain = _mm256_sub_ps(_mm256_max_ps(magnitude, upper[s]), _mm256_min_ps(value, lower[s]));
          sum[s][half] = _mm256_add_ps(sum[s][half], gain);
        }
      }
    CK_UNROLL for (int s = 0; s < 2; s++) _mm256_storeu_ps(sums[i + s], sum[s][0]), _mm256_storeu_ps(sums[i + s] + 8, sum[s][1]);
  }
}
CK_APART void find_multipliers(size_t groups, const float *group_scales, float scale, int8_t *multipliers) {
  ck_find_multipliers(groups, group_scales, scale, multipliers);
}
CK_APART void find_codes(int bits, size_t inputs, size_t group, const float *x, float scale, const int8_t *multipliers, int8_t *codes) {
  ck_find_codes(bits, inputs, group, x, scale, multipliers, codes);
}
static const ck_weight_steps steps = {extremes, add_two_bit_gains, find_multipliers, find_codes};

CK_APART void quantize(const ck_float_weights *w, size_t outputs, int8_t *codes, int8_t *multipliers, float *scales, void *workspace) {
  ck_quantize_outputs(w, outputs, codes, multipliers, scales, workspace, &steps);
}

void ck_quantize_weights_s8_f32__avx2(const ck_float_weights *w, size_t outputs, int8_t *codes, int8_t *multipliers, float *scales, void *workspace) {
  uint64_t control = ck_begin_default_floats();
  quantize(w, outputs, codes, multipliers, scales, workspace);
  ck_end_default_floats(control);
}

CK_TARGET_END
#endif
