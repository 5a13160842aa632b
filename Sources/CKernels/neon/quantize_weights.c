// Quantizing of weights with NEON: the text of gemm/weights.h, with extremes, gains and codes of its own. The bits are the portable kernel's: least and
// greatest numbers do not depend on the order, gains are added in the same one, codes follow one rule.
// Limit: extremes of a group of 32 take 19 operations and the scalar ones that choose between both; codes of 16 weights 16, in place of the 27 that
// compilers make of the text; gains of 16 weights at four scales 72. Modelled, cycles on Neoverse N1, V1 and V2, Apple M1, Cortex-A72: extremes of 32
// 12, 6.1, 8.1, 28; 16 codes 11, 5.3, 5.5, 16; gains of 16 weights 36, 18, 24, 72.
#if defined(__aarch64__)
#include "../gemm/weights.h"

#include "codes.h"
#include "dispatch.h"

CK_TARGET_BEGIN(CK_TARGET_NEON)

CK_INLINE void extend(float32x4_t *greatest, float32x4_t *least, float32x4_t v) {
  *greatest = vmaxq_f32(*greatest, v);
  *least = vminq_f32(*least, v);
}

// FMAX and FMIN give a NaN where either operand is one, so `worst`, the largest magnitudes of all so far, tells of all that is not finite.
CK_INLINE float extreme(const float *x, size_t count, float32x4_t *worst) {
  float32x4_t greatest[4], least[4];
  size_t i = 0;
  CK_UNROLL for (int k = 0; k < 4; k++) greatest[k] = least[k] = count >= 16 ? vld1q_f32(x + 4 * k) : vdupq_n_f32(0);
  if (count >= 16) i = 16;
  for (; i + 16 <= count; i += 16) CK_UNROLL for (int k = 0; k < 4; k++) extend(&greatest[k], &least[k], vld1q_f32(x + i + 4 * k));
  for (; i + 4 <= count; i += 4) extend(&greatest[0], &least[0], vld1q_f32(x + i));
  for (; i < count; i++) extend(&greatest[1], &least[1], vld1q_dup_f32(x + i));
  float32x4_t g = vmaxq_f32(vmaxq_f32(greatest[0], greatest[1]), vmaxq_f32(greatest[2], greatest[3]));
  float32x4_t l = vminq_f32(vminq_f32(least[0], least[1]), vminq_f32(least[2], least[3]));
  float32x4_t pairs = vpmaxq_f32(g, vnegq_f32(l)), both = vmaxq_f32(vpmaxq_f32(pairs, pairs), vdupq_n_f32(0));  // the greatest, −least, no less than 0
  *worst = vmaxq_f32(*worst, both);
  return ck_extreme_of_range(x, count, -vgetq_lane_f32(both, 1), vgetq_lane_f32(both, 0));
}

static int extremes(const float *x, size_t count, size_t group, float *extremes) {
  float32x4_t worst = vdupq_n_f32(0);
  if (group == 32) {
    for (; count >= 32; count -= 32, x += 32) *extremes++ = extreme(x, 32, &worst);
  }
  for (size_t first = 0; first < count; first += group) *extremes++ = extreme(x + first, count - first < group ? count - first : group, &worst);
  return vmaxvq_f32(worst) < INFINITY;
}

// All four scales at once, for half of the lanes: 8 sums, 8 bounds. With all lanes compilers put some of 24 aside in memory.
CK_INLINE void add_gains_of_half(const float *x, size_t count, float factor, const float *scales, float (*sums)[ck_gain_lanes]) {
  float32x4_t upper[ck_gains_at_once], lower[ck_gains_at_once], sum[ck_gains_at_once][2];
  CK_UNROLL for (int i = 0; i < ck_gains_at_once; i++) {
    upper[i] = vdupq_n_f32(ck_gain_upper(scales[i])), lower[i] = vdupq_n_f32(ck_gain_lower(scales[i]));
    CK_UNROLL for (int part = 0; part < 2; part++) sum[i][part] = vld1q_f32(sums[i] + 4 * part);
  }
  for (size_t k = 0; k < count; k += ck_gain_lanes)
    CK_UNROLL for (int part = 0; part < 2; part++) {
      float32x4_t value = vmulq_n_f32(vld1q_f32(x + k + 4 * (size_t)part), factor), magnitude = vabsq_f32(value);
      CK_UNROLL for (int i = 0; i < ck_gains_at_once; i++)
        sum[i][part] = vaddq_f32(sum[i][part], vsubq_f32(vmaxq_f32(magnitude, upper[i]), vminq_f32(value, lower[i])));
    }
  CK_UNROLL for (int i = 0; i < ck_gains_at_once; i++)
    CK_UNROLL for (int part = 0; part < 2; part++) vst1q_f32(sums[i] + 4 * part, sum[i][part]);
}

static void add_two_bit_gains(const float *x, size_t count, float factor, const float *scales, float (*sums)[ck_gain_lanes]) {
  add_gains_of_half(x, count, factor, scales, sums);
  add_gains_of_half(x + 8, count, factor, scales, (float(*)[ck_gain_lanes])(*sums + 8));
}

CK_APART void find_multipliers(size_t groups, float *group_scales, float scale, int8_t *multipliers) {
  ck_find_inverse_scales(groups, group_scales, scale, multipliers);
}

// A group of codes as ck_codes_of_group makes it.
CK_INLINE void codes_of_group(ck_weight_range range, size_t count, const float *x, size_t ahead, float inverse_scale, int8_t *codes) {
  const int8x16_t lowest = vdupq_n_s8((int8_t)range.lowest), highest = vdupq_n_s8((int8_t)range.highest);
  size_t k = 0;
  for (; k + 16 <= count; k += 16) {
    __builtin_prefetch(x + k + ahead, 0, 2);
    vst1q_s8(codes + k, vmaxq_s8(vminq_s8(ck_nearest_codes(x + k, vdupq_n_f32(inverse_scale)), highest), lowest));
  }
  ck_codes_of_group(range, count - k, x + k, ahead, inverse_scale, codes + k);
}

CK_APART void find_codes(int bits, size_t inputs, size_t group, const float *x, size_t ahead, const float *inverse_scales, int8_t *codes) {
  if (bits == 1) {
    ck_find_codes(1, inputs, 0, x, ahead, inverse_scales, codes);
    return;
  }
  ck_weight_range range = ck_weight_range_of(bits);
  size_t length = group == 0 ? inputs : group;
  for (size_t first = 0; first < inputs; first += length)
    codes_of_group(range, inputs - first < length ? inputs - first : length, x + first, ahead, *inverse_scales++, codes + first);
}
static const ck_weight_steps steps = {extremes, add_two_bit_gains, find_multipliers, find_codes};

CK_APART int quantize(const ck_float_weights *w, size_t outputs, int8_t *codes, int8_t *multipliers, float *scales, void *workspace) {
  return ck_quantize_outputs(w, outputs, codes, multipliers, scales, workspace, &steps);
}

int ck_quantize_weights_s8_f32__neon(const ck_float_weights *w, size_t outputs, int8_t *codes, int8_t *multipliers, float *scales, void *workspace) {
  uint64_t control = ck_begin_default_floats();
  int are_finite = quantize(w, outputs, codes, multipliers, scales, workspace);
  ck_end_default_floats(control);
  return are_finite;
}

CK_TARGET_END
#endif
