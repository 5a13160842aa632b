// Packing into the canonical layouts, panel16x4 and panel16 (layout.h), and back.
#include "pack_panel16.h"

static void units_of_rows(const int8_t *rows, size_t stride, uint8_t *units) {
  for (size_t c = 0; c < ck_panel; c++)
    for (size_t t = 0; t < ck_stripe / 4; t++) memcpy(units + 64 * t + 4 * c, rows + c * stride + 4 * t, 4);
}

static void add_fold(const uint8_t *units, const int8_t *multipliers, int32_t *sums) {
  int16_t bytes[64] = {0};
  for (size_t t = 0; t < ck_fold / 4; t++)
    for (size_t i = 0; i < 64; i++) bytes[i] = (int16_t)(bytes[i] + (int8_t)units[64 * t + i]);
  for (size_t c = 0; c < ck_panel; c++) {
    int sum = bytes[4 * c] + bytes[4 * c + 1] + bytes[4 * c + 2] + bytes[4 * c + 3];
    sums[c] += sum * (multipliers == NULL ? 1 : multipliers[ck_panel16_multiplier_place(c)]);
  }
}

static const ck_panel16_steps steps = {units_of_rows, add_fold};

static void unpack_row(int bits, const ck_gemm_weights *w, size_t n, int8_t *codes, int8_t *multipliers) {
  for (size_t k = 0; k < w->inputs; k++) codes[k] = (int8_t)ck_panel16_code(bits, w, n, k);
  for (size_t g = 0; g < ck_gemm_groups(w->inputs, w->group); g++) multipliers[g] = (int8_t)ck_panel16_multiplier(w, n, g);
}

static ck_gemm_sizes sizes(int bits, const ck_gemm_shape *shape) {
  size_t padded = ck_round_up(shape->outputs, ck_panel);
  return (ck_gemm_sizes){padded / ck_panel * ck_panel16_bytes(bits, shape->inputs), padded * ck_gemm_groups(shape->inputs, shape->group),
                         padded * ck_gemm_segments(shape->inputs, shape->group, bits), padded};
}

#define PANEL16(bits)                                                                                      \
  ck_gemm_sizes ck_panel16_sizes_s##bits(const ck_gemm_shape *shape) { return sizes(bits, shape); }        \
  CK_DEFINE_PACK_PANEL16(bits, , &steps)                                                                   \
  void ck_panel16_unpack_s##bits(const ck_gemm_weights *w, size_t n, void *codes, int8_t *multipliers) {   \
    unpack_row(bits, w, n, codes, multipliers);                                                            \
  }
PANEL16(8)
PANEL16(4)
PANEL16(2)
PANEL16(1)

// ---- Pairs that could saturate

size_t ck_gemm_unsafe_start_count(size_t inputs, size_t outputs) {
  return ck_round_up(outputs, ck_panel) * ((inputs + ck_gemm_block - 1) / ck_gemm_block) + 1;
}

// Whether each of `pairs` ≤ 512 pairs of codes is unsafe. A loop without branches, which compilers turn into vector operations.
static void mark_unsafe(const int8_t *codes, size_t pairs, uint8_t *marks) {
  for (size_t i = 0; i < pairs; i++) {
    int sum = codes[2 * i] + codes[2 * i + 1];
    marks[i] = sum > 128 || sum < -128;
  }
}

// Lists the units of one output in a block: 4-input units one of whose pairs is unsafe. Each place is written until an unsafe unit has come. An odd
// input at the end has no partner.
static size_t list_units(const int8_t *codes, size_t count, uint8_t units[ck_gemm_block / 4 + 1]) {
  uint8_t marks[ck_gemm_block / 2 + 2];
  mark_unsafe(codes, count / 2, marks);
  memset(marks + count / 2, 0, 2);
  size_t found = 0;
  for (size_t unit = 0; unit * 4 < count; unit++) {
    units[found] = (uint8_t)unit;
    found += marks[2 * unit] | marks[2 * unit + 1];
  }
  return found;
}

size_t ck_gemm_list_unsafe(size_t inputs, size_t outputs, const int8_t *codes, uint32_t *starts, uint8_t *units) {
  size_t found = 0, all = ck_round_up(outputs, ck_panel), blocks = (inputs + ck_gemm_block - 1) / ck_gemm_block;
  for (size_t panel = 0; panel < all; panel += ck_panel)
    for (size_t block = 0; block < blocks; block++)
      for (size_t n = panel; n < panel + ck_panel; n++) {
        if (starts != NULL) *starts++ = (uint32_t)found;
        if (n >= outputs) continue;
        uint8_t here[ck_gemm_block / 4 + 1];
        size_t left = inputs - block * ck_gemm_block;
        size_t count = list_units(codes + n * inputs + block * ck_gemm_block, left < ck_gemm_block ? left : ck_gemm_block, here);
        if (units != NULL) memcpy(units + found, here, count);
        found += count;
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
  size_t inputs = shape->inputs;
  const uint16_t *patterns = codes;
  uint16_t *to = (uint16_t *)(void *)packed->codes + panel_begin * inputs * ck_panel;
  for (size_t panel = panel_begin; panel < panel_end; panel++, patterns += ck_panel * inputs) {
    size_t left = shape->outputs - panel * ck_panel;
    for (size_t k = 0; k < inputs; k++)
      for (size_t c = 0; c < ck_panel; c++) *to++ = c < left ? patterns[c * inputs + k] : 0;
  }
}

void ck_panel16_unpack_half(const ck_gemm_weights *w, size_t n, void *codes, int8_t *multipliers) {
  (void)multipliers;
  uint16_t *patterns = codes;
  const uint16_t *from = (const uint16_t *)(const void *)w->codes + n / ck_panel * w->inputs * ck_panel + n % ck_panel;
  for (size_t k = 0; k < w->inputs; k++) patterns[k] = from[k * ck_panel];
}

ck_gemm_sizes ck_panel16_sizes_marked(const ck_gemm_shape *shape) {
  ck_gemm_sizes sizes = ck_panel16_sizes_half(shape);
  sizes.code_bytes += ck_round_up(shape->outputs, ck_panel) / ck_panel;
  return sizes;
}

void ck_panel16_pack_marked(const ck_gemm_shape *shape, const void *codes, const int8_t *multipliers, size_t panel_begin, size_t panel_end,
                            const ck_gemm_arrays *packed) {
  ck_panel16_pack_half(shape, codes, multipliers, panel_begin, panel_end, packed);
  const uint16_t *patterns = (const uint16_t *)(const void *)packed->codes;
  size_t size = shape->inputs * ck_panel;
  for (size_t panel = panel_begin; panel < panel_end; panel++) {
    uint16_t largest = 0;
    for (size_t i = 0; i < size; i++) {
      uint16_t magnitude = patterns[panel * size + i] & 0x7FFF;
      largest = magnitude > largest ? magnitude : largest;
    }
    packed->codes[ck_panel16_sizes_half(shape).code_bytes + panel] = largest >= 0x7C00;
  }
}
