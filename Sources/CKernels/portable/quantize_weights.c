// Quantizing of weights as C11 has it, the bits that every set gives; gemm/weights.h has the rules.
#include "../gemm/weights.h"
#include "dispatch.h"

CK_APART void find_multipliers(size_t groups, const float *group_scales, float scale, int8_t *multipliers) {
  ck_find_multipliers(groups, group_scales, scale, multipliers);
}
CK_APART void find_codes(int bits, size_t inputs, size_t group, const float *x, float scale, const int8_t *multipliers, int8_t *codes) {
  ck_find_codes(bits, inputs, group, x, scale, multipliers, codes);
}
static const ck_weight_steps steps = {ck_weight_extremes, ck_add_two_bit_gains, find_multipliers, find_codes};

CK_APART void quantize(const ck_float_weights *w, size_t outputs, int8_t *codes, int8_t *multipliers, float *scales, void *workspace) {
  ck_quantize_outputs(w, outputs, codes, multipliers, scales, workspace, &steps);
}

void ck_quantize_weights_s8_f32__portable(const ck_float_weights *w, size_t outputs, int8_t *codes, int8_t *multipliers, float *scales,
                                          void *workspace) {
  uint64_t control = ck_begin_default_floats();
  quantize(w, outputs, codes, multipliers, scales, workspace);
  ck_end_default_floats(control);
}
