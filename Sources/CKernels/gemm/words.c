// Packing of signs into panel16x64 (layout.h): words of 64 inputs.
#include "layout.h"

ck_gemm_sizes ck_panel16x64_sizes(const ck_gemm_shape *shape) {
  size_t outputs = ck_round_up(shape->outputs, ck_panel);
  return (ck_gemm_sizes){outputs * ck_sign_words(shape->inputs) * sizeof(uint64_t), 0, outputs, outputs};
}

static uint64_t word_of(const int8_t *codes, size_t count) {
  uint64_t word = 0;
  for (size_t i = 0; i < count; i++) word |= (uint64_t)(codes[i] > 0) << i;
  return word;
}

void ck_panel16x64_pack(const ck_gemm_shape *shape, const void *codes, const int8_t *multipliers, size_t panel_begin, size_t panel_end,
                        const ck_gemm_arrays *packed) {
  (void)multipliers;
  size_t inputs = shape->inputs, words = ck_sign_words(inputs);
  uint64_t *to = (uint64_t *)(void *)packed->codes;
  for (size_t n = panel_begin * ck_panel; n < panel_end * ck_panel; n++) {
    const int8_t *row = n < shape->outputs ? (const int8_t *)codes + (n - panel_begin * ck_panel) * inputs : NULL;
    int32_t sum = 0;
    for (size_t t = 0; t < words; t++) {
      size_t left = inputs - t * 64, count = left < 64 ? left : 64;
      to[ck_panel16x64_place(words, n, t)] = row != NULL ? word_of(row + t * 64, count) : 0;
      for (size_t i = 0; row != NULL && i < count; i++) sum += row[t * 64 + i];
    }
    packed->sums[n] = sum;
  }
}

void ck_panel16x64_unpack(const ck_gemm_weights *w, size_t n, void *codes, int8_t *multipliers) {
  (void)multipliers;
  const uint64_t *from = (const uint64_t *)(const void *)w->codes;
  int8_t *row = codes;
  for (size_t k = 0; k < w->inputs; k++) row[k] = from[ck_panel16x64_place(ck_sign_words(w->inputs), n, k / 64)] >> k % 64 & 1 ? 1 : -1;
}
