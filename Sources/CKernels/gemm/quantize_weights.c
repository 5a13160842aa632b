// Codes, multipliers and scale of one row of weights, step by step; weights.h has the rules.
#include "weights.h"

static const ck_weight_steps steps = {ck_weight_extremes, ck_add_two_bit_gains, ck_find_inverse_scales, ck_find_codes};

CK_APART void find_multipliers(size_t groups, const float *group_scales, float scale, int8_t *multipliers) {
  ck_find_multipliers(groups, group_scales, scale, multipliers);
}

CK_APART void find_codes(int bits, size_t inputs, size_t group, const float *weights, float scale, const int8_t *multipliers, int8_t *codes) {
  size_t length = group == 0 ? inputs : group;
  for (size_t first = 0; first < inputs; first += length) {
    float inverse_scale = 1.0f / (group == 0 ? scale : scale * (float)multipliers[first / length]);
    ck_find_codes(bits, inputs - first < length ? inputs - first : length, 0, weights + first, 0, &inverse_scale, codes + first);
  }
}

CK_APART float channel_scale(int bits, size_t count, const float *weights, uint32_t *scratch) {
  float scale = 1;
  ck_channel_scale(bits, count, weights, &scale, scratch, &steps);
  return scale;
}

CK_APART float group_scale(int bits, size_t inputs, size_t group, const float *weights, float *group_scales, uint32_t *scratch) {
  float scale = 1;
  ck_group_scale(bits, inputs, group, weights, &scale, group_scales, scratch, &steps);
  return scale;
}

// ---- The same in the default floating-point environment

float ck_gemm_channel_scale(int bits, size_t count, const float *weights, uint32_t *scratch) {
  uint64_t control = ck_begin_default_floats();
  float scale = channel_scale(bits, count, weights, scratch);
  ck_end_default_floats(control);
  return scale;
}

float ck_gemm_group_scale(int bits, size_t inputs, size_t group, const float *weights, float *group_scales, uint32_t *scratch) {
  uint64_t control = ck_begin_default_floats();
  float scale = group_scale(bits, inputs, group, weights, group_scales, scratch);
  ck_end_default_floats(control);
  return scale;
}

void ck_gemm_multipliers(size_t groups, const float *group_scales, float scale, int8_t *multipliers) {
  uint64_t control = ck_begin_default_floats();
  find_multipliers(groups, group_scales, scale, multipliers);
  ck_end_default_floats(control);
}

void ck_gemm_codes(int bits, size_t inputs, size_t group, const float *weights, float scale, const int8_t *multipliers, int8_t *codes) {
  uint64_t control = ck_begin_default_floats();
  find_codes(bits, inputs, group, weights, scale, multipliers, codes);
  ck_end_default_floats(control);
}
