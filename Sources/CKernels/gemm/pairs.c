// Packing into panel16x2 and panel8x4-bf16 (layout.h): 16-bit floats by pairs of inputs and by blocks of four.
#include "layout.h"

ck_gemm_sizes ck_panel16x2_sizes(const ck_gemm_shape *shape) {
  return (ck_gemm_sizes){ck_round_up(shape->outputs, ck_panel) * ck_round_up(shape->inputs, 2) * sizeof(uint16_t), 0, 0, 0};
}

void ck_panel16x2_pack(const ck_gemm_shape *shape, const void *codes, const int8_t *multipliers, size_t panel_begin, size_t panel_end,
                       const ck_gemm_arrays *packed) {
  (void)multipliers;
  size_t inputs = shape->inputs, padded = ck_round_up(inputs, 2);
  const uint16_t *patterns = codes;
  uint16_t *to = (uint16_t *)(void *)packed->codes;
  for (size_t n = panel_begin * ck_panel; n < panel_end * ck_panel; n++, patterns += inputs)
    for (size_t k = 0; k < padded; k++) to[ck_panel16x2_place(padded, n, k)] = n < shape->outputs && k < inputs ? patterns[k] : 0;
}

void ck_panel16x2_unpack(const ck_gemm_weights *w, size_t n, void *codes, int8_t *multipliers) {
  (void)multipliers;
  uint16_t *patterns = codes;
  for (size_t k = 0; k < w->inputs; k++) patterns[k] = ((const uint16_t *)(const void *)w->codes)[ck_panel16x2_place(ck_round_up(w->inputs, 2), n, k)];
}

ck_gemm_sizes ck_panel8x4_sizes(const ck_gemm_shape *shape) {
  return (ck_gemm_sizes){ck_round_up(shape->outputs, ck_panel) * ck_round_up(shape->inputs, 4) * sizeof(uint16_t), 0, 0, 0};
}

void ck_panel8x4_pack(const ck_gemm_shape *shape, const void *codes, const int8_t *multipliers, size_t panel_begin, size_t panel_end,
                      const ck_gemm_arrays *packed) {
  (void)multipliers;
  size_t inputs = shape->inputs, padded = ck_round_up(inputs, 4);
  const uint16_t *patterns = codes;
  uint16_t *to = (uint16_t *)(void *)packed->codes;
  for (size_t n = panel_begin * ck_panel; n < panel_end * ck_panel; n++, patterns += inputs)
    for (size_t k = 0; k < padded; k++) to[ck_panel8x4_place(padded, n, k)] = n < shape->outputs && k < inputs ? patterns[k] : 0;
}

void ck_panel8x4_unpack(const ck_gemm_weights *w, size_t n, void *codes, int8_t *multipliers) {
  (void)multipliers;
  uint16_t *patterns = codes;
  for (size_t k = 0; k < w->inputs; k++) patterns[k] = ((const uint16_t *)(const void *)w->codes)[ck_panel8x4_place(ck_round_up(w->inputs, 4), n, k)];
}
