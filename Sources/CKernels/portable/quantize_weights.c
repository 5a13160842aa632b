// Quantizing of weights as C11 has it, the bits that every set gives; gemm/weights.h has the rules.
#include "../gemm/weights.h"
#include "dispatch.h"

CK_APART void find_multipliers(size_t groups, float *group_scales, float scale, int8_t *multipliers) {
  ck_find_inverse_scales(groups, group_scales, scale, multipliers);
}
CK_APART void find_codes(int bits, size_t inputs, size_t group, const float *x, size_t ahead, const float *inverse_scales, int8_t *codes) {
  ck_find_codes(bits, inputs, group, x, ahead, inverse_scales, codes);
}
static const ck_weight_steps steps = {ck_weight_extremes, ck_add_two_bit_gains, find_multipliers, find_codes};

CK_APART int quantize(const ck_float_weights *w, size_t outputs, int8_t *codes, int8_t *multipliers, float *scales, void *workspace) {
  return ck_quantize_outputs(w, outputs, codes, multipliers, scales, workspace, &steps);
}

int ck_quantize_weights_s8_f32__portable(const ck_float_weights *w, size_t outputs, int8_t *codes, int8_t *multipliers, float *scales,
                                          void *workspace) {
  uint64_t control = ck_begin_default_floats();
  int are_finite = quantize(w, outputs, codes, multipliers, scales, workspace);
  ck_end_default_floats(control);
  return are_finite;
}
