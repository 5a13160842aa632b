// Packing into the canonical layouts, panel16x4 and panel16 (layout.h).
#include <string.h>

#include "layout.h"

static void pack_row(int bits, size_t inputs, size_t padded, size_t c, const int8_t *codes, uint8_t *panel) {
  int mask = (1 << bits) - 1;
  for (size_t k = 0; k < padded; k++) {
    int code = codes != NULL && k < inputs ? codes[k] : 0;
    uint8_t *byte = panel + ck_panel16_code_byte(bits, c, k);
    int shift = ck_panel16_code_shift(bits, k);
    *byte = (uint8_t)((*byte & ~(mask << shift)) | (ck_panel16_stored(bits, code) << shift));
  }
}

static void pack(int bits, const ck_gemm_shape *shape, const int8_t *codes, const int8_t *multipliers, size_t panel_begin, size_t panel_end,
                 const ck_gemm_arrays *packed) {
  size_t inputs = shape->inputs, outputs = shape->outputs, group = shape->group;
  size_t padded = ck_round_up(inputs, ck_fold), groups = ck_gemm_groups(inputs, group);
  size_t segment = ck_gemm_segment(inputs, group, bits), segments = ck_gemm_segments(inputs, group, bits);
  size_t panel_bytes = ck_panel16_bytes(bits, inputs), all = ck_round_up(outputs, ck_panel);
  for (size_t n = panel_begin * ck_panel; n < panel_end * ck_panel; n++) {
    size_t panel = n / ck_panel, c = n % ck_panel;
    const int8_t *row = n < outputs ? codes + n * inputs : NULL;
    pack_row(bits, inputs, padded, c, row, packed->codes + panel * panel_bytes);
    for (size_t g = 0; g < groups; g++)
      packed->multipliers[(panel * groups + g) * ck_panel + ck_panel16_multiplier_place(c)] = row == NULL ? (int8_t)0 : multipliers[n * groups + g];
    for (size_t s = 0; s < segments; s++) {
      int32_t sum = 0;
      size_t end = (s + 1) * segment < inputs ? (s + 1) * segment : inputs;
      if (row != NULL)
        for (size_t k = s * segment; k < end; k++) sum += row[k] * (group == 0 ? 1 : multipliers[n * groups + k / group]);
      packed->sums[s * all + n] = sum;
    }
  }
}

static void unpack_row(int bits, const ck_gemm_weights *w, size_t n, int8_t *codes, int8_t *multipliers) {
  for (size_t k = 0; k < w->inputs; k++) codes[k] = (int8_t)ck_panel16_code(bits, w, n, k);
  for (size_t g = 0; g < ck_gemm_groups(w->inputs, w->group); g++) multipliers[g] = (int8_t)ck_panel16_multiplier(w, n, g);
}

static ck_gemm_sizes sizes(int bits, const ck_gemm_shape *shape) {
  size_t padded = ck_round_up(shape->outputs, ck_panel);
  return (ck_gemm_sizes){padded / ck_panel * ck_panel16_bytes(bits, shape->inputs), padded * ck_gemm_groups(shape->inputs, shape->group),
                         padded * ck_gemm_segments(shape->inputs, shape->group, bits), padded};
}

#define PANEL16(bits)                                                                                                                   \
  ck_gemm_sizes ck_panel16_sizes_s##bits(const ck_gemm_shape *shape) { return sizes(bits, shape); }                                     \
  void ck_panel16_pack_s##bits(const ck_gemm_shape *shape, const void *codes, const int8_t *multipliers, size_t panel_begin,            \
                               size_t panel_end, const ck_gemm_arrays *packed) {                                                        \
    pack(bits, shape, codes, multipliers, panel_begin, panel_end, packed);                                                              \
  }                                                                                                                                     \
  void ck_panel16_unpack_s##bits(const ck_gemm_weights *w, size_t n, void *codes, int8_t *multipliers) {                                \
    unpack_row(bits, w, n, codes, multipliers);                                                                                         \
  }
PANEL16(8)
PANEL16(4)
PANEL16(2)
PANEL16(1)

// ---- Pairs that could saturate

size_t ck_gemm_unsafe_start_count(size_t inputs, size_t outputs) {
  return ck_round_up(outputs, ck_panel) * ((inputs + ck_gemm_block - 1) / ck_gemm_block) + 1;
}

size_t ck_gemm_list_unsafe(size_t inputs, size_t outputs, const int8_t *codes, uint32_t *starts, uint8_t *units) {
  size_t found = 0, all = ck_round_up(outputs, ck_panel), blocks = (inputs + ck_gemm_block - 1) / ck_gemm_block;
  for (size_t panel = 0; panel < all; panel += ck_panel)
    for (size_t block = 0; block < blocks; block++)
      for (size_t n = panel; n < panel + ck_panel; n++) {
        if (starts != NULL) *starts++ = (uint32_t)found;
        if (n >= outputs) continue;
        const int8_t *row = codes + n * inputs + block * ck_gemm_block;
        size_t left = inputs - block * ck_gemm_block, count = left < ck_gemm_block ? left : ck_gemm_block;
        for (size_t unit = 0; unit * 4 < count; unit++) {
          int is_unsafe = 0;
          for (size_t k = unit * 4; k + 1 < count && k < unit * 4 + 4; k += 2) is_unsafe |= row[k] + row[k + 1] > 128 || row[k] + row[k + 1] < -128;
          if (is_unsafe && units != NULL) units[found] = (uint8_t)unit;
          found += (size_t)is_unsafe;
        }
      }
  if (starts != NULL) *starts = (uint32_t)found;
  return found;
}

// ---- 16-bit floats

ck_gemm_sizes ck_panel16_sizes_half(const ck_gemm_shape *shape) {
  return (ck_gemm_sizes){ck_round_up(shape->outputs, ck_panel) * shape->inputs * sizeof(uint16_t), 0, 0, 0};
}

void ck_panel16_pack_half(const ck_gemm_shape *shape, const void *codes, const int8_t *multipliers, size_t panel_begin, size_t panel_end,
                          const ck_gemm_arrays *packed) {
  (void)multipliers;
  const uint16_t *patterns = codes;
  uint16_t *to = (uint16_t *)(void *)packed->codes + panel_begin * shape->inputs * ck_panel;
  for (size_t panel = panel_begin; panel < panel_end; panel++)
    for (size_t k = 0; k < shape->inputs; k++)
      for (size_t n = panel * ck_panel; n < (panel + 1) * ck_panel; n++) *to++ = n < shape->outputs ? patterns[n * shape->inputs + k] : 0;
}

void ck_panel16_unpack_half(const ck_gemm_weights *w, size_t n, void *codes, int8_t *multipliers) {
  (void)multipliers;
  uint16_t *patterns = codes;
  const uint16_t *from = (const uint16_t *)(const void *)w->codes + n / ck_panel * w->inputs * ck_panel + n % ck_panel;
  for (size_t k = 0; k < w->inputs; k++) patterns[k] = from[k * ck_panel];
}
