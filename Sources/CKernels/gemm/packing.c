// Packing into the canonical layouts, panel16x4 and panel16 (layout.h).
#include <string.h>

#include "layout.h"

// The rows of one panel: codes [rows][K] and multipliers [rows][groups]; rows beyond `rows` are zeros.
typedef struct panel_rows {
  const int8_t *codes, *multipliers;
  size_t rows, inputs, group;
} panel_rows;

enum { stripe = 64 };  // inputs that are packed at once: a cache line of a row

// Inputs k … k + 63 of all rows as 16 units. Each line of a row is read once: lines of rows that lie a multiple of 4 KiB apart put each other out of L1.
static void units_of_stripe(const panel_rows *p, size_t k, uint8_t units[ck_panel * stripe]) {
  size_t left = p->inputs - (k < p->inputs ? k : p->inputs), count = left < stripe ? left : stripe;
  for (size_t c = 0; c < ck_panel; c++) {
    int8_t padded[stripe];
    const int8_t *row = p->codes + c * p->inputs + k;
    if (c >= p->rows || count < stripe) {
      memset(padded, 0, stripe);
      if (c < p->rows) memcpy(padded, row, count);
      row = padded;
    }
    for (size_t t = 0; t < stripe / 4; t++) memcpy(units + 64 * t + 4 * c, row + 4 * t, 4);
  }
}

// Units of codes as their layout stores them: `bits` / 8 of their bytes, loops that compilers turn into vector operations.
static void store_units(int bits, const uint8_t *units, size_t count, uint8_t *to) {
  if (bits == 8) memcpy(to, units, 64 * count);
  for (size_t t = 0; bits == 4 && t < count; t += 2, units += 128, to += 64)
    for (size_t i = 0; i < 64; i++) to[i] = (uint8_t)((units[i] + 8) & 15) | (uint8_t)((units[64 + i] + 8) << 4);
  for (size_t t = 0; bits == 2 && t < count; t += 4, units += 256, to += 64)
    for (size_t i = 0; i < 64; i++)
      to[i] = (uint8_t)(((units[i] + 2) & 3) | ((units[64 + i] + 2) & 3) << 2 | ((units[128 + i] + 2) & 3) << 4 | ((units[192 + i] + 2) & 3) << 6);
}

// Codes of 1 bit: eight inputs of an output are a byte. A code is 1 where its lowest bit is set and its sign is not.
static void pack_signs(const panel_rows *p, size_t padded, uint8_t *to) {
  for (size_t c = 0; c < ck_panel; c++)
    for (size_t k = 0; k < padded; k += 8) {
      uint64_t codes = 0;
      size_t left = p->inputs - (k < p->inputs ? k : p->inputs);
      if (c < p->rows) memcpy(&codes, p->codes + c * p->inputs + k, left < 8 ? left : 8);
      uint64_t ones = codes & ~(codes >> 7) & 0x0101010101010101ull;
      to[k / 8 * ck_panel + c] = (uint8_t)(ones * 0x0102040810204080ull >> 56);  // brings the lowest bits of eight bytes together
    }
}

static void pack_codes(int bits, const panel_rows *p, size_t padded, uint8_t *to) {
  if (bits == 1) {
    pack_signs(p, padded, to);
    return;
  }
  for (size_t k = 0; k < padded; k += stripe, to += ck_panel * stripe / 8 * (size_t)bits) {
    uint8_t units[ck_panel * stripe];
    units_of_stripe(p, k, units);
    store_units(bits, units, (padded - k < stripe ? padded - k : stripe) / 4, to);
  }
}

// Sum of some codes. In pieces that 16 bits can hold: 128 · 128 ≤ 2¹⁵.
static int32_t sum_of_codes(const int8_t *codes, size_t count) {
  int32_t sum = 0;
  for (size_t first = 0; first < count; first += 128) {
    size_t end = count - first < 128 ? count : first + 128;
    int16_t piece = 0;
    for (size_t k = first; k < end; k++) piece = (int16_t)(piece + codes[k]);
    sum += piece;
  }
  return sum;
}

// Σ multiplier · code of one row over inputs begin ..< end.
static int32_t sum_of_segment(const panel_rows *p, size_t row, size_t begin, size_t end) {
  const int8_t *codes = p->codes + row * p->inputs;
  if (p->group == 0) return sum_of_codes(codes + begin, end - begin);
  const int8_t *multipliers = p->multipliers + row * ck_gemm_groups(p->inputs, p->group);
  int32_t sum = 0;
  for (size_t k = begin; k < end;) {
    size_t behind = (k / p->group + 1) * p->group, here = behind < end ? behind : end;
    sum += sum_of_codes(codes + k, here - k) * multipliers[k / p->group];
    k = here;
  }
  return sum;
}

static void pack(int bits, const ck_gemm_shape *shape, const int8_t *codes, const int8_t *multipliers, size_t panel_begin, size_t panel_end,
                 const ck_gemm_arrays *packed) {
  size_t inputs = shape->inputs, outputs = shape->outputs, group = shape->group, groups = ck_gemm_groups(inputs, group);
  size_t segment = ck_gemm_segment(inputs, group, bits), segments = ck_gemm_segments(inputs, group, bits), all = ck_round_up(outputs, ck_panel);
  for (size_t panel = panel_begin; panel < panel_end; panel++) {
    size_t before = (panel - panel_begin) * ck_panel, left = outputs - panel * ck_panel;
    panel_rows p = {codes + before * inputs, groups > 0 ? multipliers + before * groups : NULL, left < ck_panel ? left : ck_panel, inputs, group};
    pack_codes(bits, &p, ck_round_up(inputs, ck_fold), packed->codes + panel * ck_panel16_bytes(bits, inputs));
    for (size_t c = 0; c < ck_panel; c++) {
      for (size_t g = 0; g < groups; g++)
        packed->multipliers[(panel * groups + g) * ck_panel + ck_panel16_multiplier_place(c)] = c < p.rows ? p.multipliers[c * groups + g] : 0;
      for (size_t s = 0; s < segments; s++) {
        size_t end = (s + 1) * segment < inputs ? (s + 1) * segment : inputs;
        packed->sums[s * all + panel * ck_panel + c] = c < p.rows ? sum_of_segment(&p, c, s * segment, end) : 0;
      }
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
