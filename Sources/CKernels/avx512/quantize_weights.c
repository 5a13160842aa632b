// Quantizing of weights with AVX512: the text of gemm/weights.h compiled for 512 bits, and the search for extremes, whose groups of 32 compilers do not
// turn into vectors. The bits are the portable kernel's: least and greatest numbers do not depend on the order, all else is one text.
//
// Limit: an output's floats come from memory once and lie in L1 or L2 for the codes: 64 MiB at 16 GB/s (28 where they are in L3) are 4.2 ms on an Emerald
// Rapids core, of which about half passes meanwhile, since the next outputs are fetched while codes are found. Codes are six operations for 16
// weights, 1.3 ms for 4096×4096, extremes of groups of 32 about 30 a group, 2.3 ms. 2 bits: four operations on two ports for 16 weights and a scale, and
// a quarter of two: 2.25 cycles, for 16 of 32 scales of bell-shaped weights (ck_two_bit_scale): 37 M cycles, 14 ms.
#if defined(__x86_64__)
#include "../gemm/weights.h"

#include "dispatch.h"
#include "simd.h"

CK_TARGET_BEGIN(CK_TARGET_AVX512)

typedef struct range512 {
  __m512 greatest, least;  // `least` with the other sign
  __m512 zero;             // Σ x · 0: a NaN where an x is not finite
} range512;

CK_INLINE range512 no_range(void) { return (range512){_mm512_setzero_ps(), _mm512_setzero_ps(), _mm512_setzero_ps()}; }

CK_INLINE void extend(range512 *r, __m512 v) {
  r->greatest = _mm512_max_ps(v, r->greatest);
  r->least = _mm512_max_ps(_mm512_xor_ps(v, _mm512_set1_ps(-0.0f)), r->least);
  r->zero = _mm512_fmadd_ps(v, _mm512_setzero_ps(), r->zero);
}

// Both at once: the greatest in the lower half, the least in the upper.
CK_INLINE float extreme_of(__m512 greatest, __m512 least, const float *x, size_t count) {
  __m256 g = _mm256_max_ps(_mm512_castps512_ps256(greatest), _mm512_extractf32x8_ps(greatest, 1));
  __m256 l = _mm256_max_ps(_mm512_castps512_ps256(least), _mm512_extractf32x8_ps(least, 1));
  __m256 four = _mm256_max_ps(_mm256_permute2f128_ps(g, l, 0x20), _mm256_permute2f128_ps(g, l, 0x31));
  __m256 two = _mm256_max_ps(four, _mm256_permute_ps(four, 0x4E));
  __m256 one = _mm256_max_ps(two, _mm256_permute_ps(two, 0xB1));
  return ck_extreme_of_range(x, count, -_mm_cvtss_f32(_mm256_extractf128_ps(one, 1)), _mm256_cvtss_f32(one));
}

CK_INLINE float extreme(const float *x, size_t count, __m512 *zero) {
  range512 a = no_range(), b = no_range();
  size_t i = 0;
  for (; i + 32 <= count; i += 32) {
    extend(&a, _mm512_loadu_ps(x + i));
    extend(&b, _mm512_loadu_ps(x + i + 16));
  }
  for (; i < count; i += 16) extend(&a, _mm512_maskz_loadu_ps(ck_first_lanes(count - i), x + i));
  *zero = _mm512_add_ps(*zero, _mm512_add_ps(a.zero, b.zero));
  return extreme_of(_mm512_max_ps(a.greatest, b.greatest), _mm512_max_ps(a.least, b.least), x, count);
}

static int extremes(const float *x, size_t count, size_t group, float *extremes) {
  __m512 zero = _mm512_setzero_ps();
  if (group == 32) {
    for (; count >= 32; count -= 32, x += 32) *extremes++ = extreme(x, 32, &zero);
  }
  for (size_t first = 0; first < count; first += group) *extremes++ = extreme(x + first, count - first < group ? count - first : group, &zero);
  return _mm512_cmp_ps_mask(zero, zero, _CMP_UNORD_Q) == 0;
}

static void add_two_bit_gains(const float *x, size_t count, float factor, const float *scales, float (*sums)[ck_gain_lanes]) {
  __m512 upper[ck_gains_at_once], lower[ck_gains_at_once], sum[ck_gains_at_once];
  CK_UNROLL for (int i = 0; i < ck_gains_at_once; i++) {
    upper[i] = _mm512_set1_ps(ck_gain_upper(scales[i])), lower[i] = _mm512_set1_ps(ck_gain_lower(scales[i]));
    sum[i] = _mm512_loadu_ps(sums[i]);
  }
  for (size_t k = 0; k < count; k += 16) {
    __m512 value = _mm512_mul_ps(_mm512_loadu_ps(x + k), _mm512_set1_ps(factor)), magnitude = _mm512_abs_ps(value);
    CK_UNROLL for (int i = 0; i < ck_gains_at_once; i++)
      sum[i] = _mm512_add_ps(sum[i], _mm512_sub_ps(_mm512_max_ps(magnitude, upper[i]), _mm512_min_ps(value, lower[i])));
  }
  CK_UNROLL for (int i = 0; i < ck_gains_at_once; i++) _mm512_storeu_ps(sums[i], sum[i]);
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

int ck_quantize_weights_s8_f32__avx512(const ck_float_weights *w, size_t outputs, int8_t *codes, int8_t *multipliers, float *scales,
                                        void *workspace) {
  uint64_t control = ck_begin_default_floats();
  int are_finite = quantize(w, outputs, codes, multipliers, scales, workspace);
  ck_end_default_floats(control);
  return are_finite;
}

CK_TARGET_END
#endif
