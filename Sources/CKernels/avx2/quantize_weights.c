// Quantizing of weights with AVX2: the text of gemm/weights.h compiled for 256 bits, and the search for extremes, whose groups of 32 compilers do not
// turn into vectors. The bits are the portable kernel's: least and greatest numbers do not depend on the order, all else is one text.
// Limit: the bandwidth of the floats, which are read from memory once (avx512/quantize_weights.c); 2 bits: the ports, with half of AVX512's width.
#if defined(__x86_64__)
#include "../gemm/weights.h"

#include "../x86_intrinsics.h"

#include "dispatch.h"

CK_TARGET_BEGIN(CK_TARGET_AVX2)

typedef struct range256 {
  __m256 greatest, least;  // `least` with the other sign
  __m256 zero;             // Σ x · 0: a NaN where an x is not finite
} range256;

CK_INLINE range256 no_range(void) { return (range256){_mm256_setzero_ps(), _mm256_setzero_ps(), _mm256_setzero_ps()}; }

CK_INLINE void extend(range256 *r, __m256 v) {
  r->greatest = _mm256_max_ps(v, r->greatest);
  r->least = _mm256_max_ps(_mm256_xor_ps(v, _mm256_set1_ps(-0.0f)), r->least);
  r->zero = _mm256_fmadd_ps(v, _mm256_setzero_ps(), r->zero);
}

// Both at once: the greatest in the lower half, the least in the upper.
CK_INLINE float extreme_of(__m256 greatest, __m256 least, const float *x, size_t count) {
  __m256 four = _mm256_max_ps(_mm256_permute2f128_ps(greatest, least, 0x20), _mm256_permute2f128_ps(greatest, least, 0x31));
  __m256 two = _mm256_max_ps(four, _mm256_permute_ps(four, 0x4E));
  __m256 one = _mm256_max_ps(two, _mm256_permute_ps(two, 0xB1));
  return ck_extreme_of_range(x, count, -_mm_cvtss_f32(_mm256_extractf128_ps(one, 1)), _mm256_cvtss_f32(one));
}

CK_INLINE float extreme(const float *x, size_t count, __m256 *zero) {
  range256 a = no_range(), b = no_range();
  size_t i = 0;
  for (; i + 16 <= count; i += 16) {
    extend(&a, _mm256_loadu_ps(x + i));
    extend(&b, _mm256_loadu_ps(x + i + 8));
  }
  for (; i < count; i += 8) {
    int left = count - i < 8 ? (int)(count - i) : 8;
    __m256i lanes = _mm256_cmpgt_epi32(_mm256_set1_epi32(left), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
    extend(&a, _mm256_maskload_ps(x + i, lanes));
  }
  *zero = _mm256_add_ps(*zero, _mm256_add_ps(a.zero, b.zero));
  return extreme_of(_mm256_max_ps(a.greatest, b.greatest), _mm256_max_ps(a.least, b.least), x, count);
}

static int extremes(const float *x, size_t count, size_t group, float *extremes) {
  __m256 zero = _mm256_setzero_ps();
  if (group == 32) {
    for (; count >= 32; count -= 32, x += 32) *extremes++ = extreme(x, 32, &zero);
  }
  for (size_t first = 0; first < count; first += group) *extremes++ = extreme(x + first, count - first < group ? count - first : group, &zero);
  return _mm256_movemask_ps(_mm256_cmp_ps(zero, zero, _CMP_UNORD_Q)) == 0;
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
CK_APART void find_multipliers(size_t groups, float *group_scales, float scale, int8_t *multipliers) {
  ck_find_inverse_scales(groups, group_scales, scale, multipliers);
}
CK_APART void find_codes(int bits, size_t inputs, size_t group, const float *x, size_t ahead, const float *inverse_scales, int8_t *codes) {
  ck_find_codes(bits, inputs, group, x, ahead, inverse_scales, codes);
}
static const ck_weight_steps steps = {extremes, add_two_bit_gains, find_multipliers, find_codes};

CK_APART int quantize(const ck_float_weights *w, size_t outputs, int8_t *codes, int8_t *multipliers, float *scales, void *workspace) {
  return ck_quantize_outputs(w, outputs, codes, multipliers, scales, workspace, &steps);
}

int ck_quantize_weights_s8_f32__avx2(const ck_float_weights *w, size_t outputs, int8_t *codes, int8_t *multipliers, float *scales, void *workspace) {
  uint64_t control = ck_begin_default_floats();
  int are_finite = quantize(w, outputs, codes, multipliers, scales, workspace);
  ck_end_default_floats(control);
  return are_finite;
}

CK_TARGET_END
#endif
