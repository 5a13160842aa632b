// Packed layouts of gemm weights: the one place that knows where a code lies. Used by every instruction set.
#include <string.h>

#include "gemm.h"

// Place of output c (0…15) in a row of packed multipliers.
static size_t multiplier_place(size_t c) {
  static const uint8_t place[ck_panel] = {0, 1, 2, 3, 8, 9, 10, 11, 4, 5, 6, 7, 12, 13, 14, 15};
  return place[c];
}

// Byte and bit of the code of output c, input k in a panel.
static size_t code_byte(int bits, size_t c, size_t k) {
  if (bits == 1) return k / 8 * ck_panel + c;
  size_t unit = k / 4, units = 8 / (size_t)bits;
  return unit / units * 64 + 4 * c + k % 4;
}
static int code_shift(int bits, size_t k) { return bits == 1 ? (int)(k % 8) : (int)(k / 4 % (8 / (size_t)bits)) * bits; }

// What is stored of a code, and back. No input has the code 0 of 1 bit: it stands for padding.
static int stored(int bits, int code) { return bits == 1 ? code > 0 : bits == 8 ? code & 255 : code + (1 << (bits - 1)); }
static int restored(int bits, int value) { return bits == 1 ? 2 * value - 1 : bits == 8 ? (int8_t)value : value - (1 << (bits - 1)); }

static void pack_row(int bits, size_t inputs, size_t padded, size_t c, const int8_t *codes, uint8_t *panel) {
  int mask = (1 << bits) - 1;
  for (size_t k = 0; k < padded; k++) {
    int code = codes != NULL && k < inputs ? codes[k] : 0;
    uint8_t *byte = panel + code_byte(bits, c, k);
    int shift = code_shift(bits, k);
    *byte = (uint8_t)((*byte & ~(mask << shift)) | (stored(bits, code) << shift));
  }
}

void ck_gemm_pack(int bits, size_t inputs, size_t outputs, size_t group, const int8_t *codes, const int8_t *multipliers, size_t panel_begin,
                  size_t panel_end, uint8_t *packed, int8_t *packed_multipliers, int32_t *sums) {
  size_t padded = ck_round_up(inputs, ck_fold), groups = ck_gemm_groups(inputs, group);
  size_t segment = ck_gemm_segment(inputs, group, bits), segments = ck_gemm_segments(inputs, group, bits);
  size_t panel_bytes = padded * ck_panel / 8 * (size_t)bits, all = ck_round_up(outputs, ck_panel);
  for (size_t n = panel_begin * ck_panel; n < panel_end * ck_panel; n++) {
    size_t panel = n / ck_panel, c = n % ck_panel;
    const int8_t *row = n < outputs ? codes + n * inputs : NULL;
    pack_row(bits, inputs, padded, c, row, packed + panel * panel_bytes);
    for (size_t g = 0; g < groups; g++)
      packed_multipliers[(panel * groups + g) * ck_panel + multiplier_place(c)] = row == NULL ? 0 : multipliers[n * groups + g];
    for (size_t s = 0; s < segments; s++) {
      int32_t sum = 0;
      size_t end = (s + 1) * segment < inputs ? (s + 1) * segment : inputs;
      if (row != NULL)
        for (size_t k = s * segment; k < end; k++) sum += row[k] * (group == 0 ? 1 : multipliers[n * groups + k / group]);
      sums[s * all + n] = sum;
    }
  }
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

void ck_gemm_unpack_row(int bits, const ck_gemm_weights *w, size_t n, int8_t *codes, int8_t *multipliers) {
  size_t padded = ck_round_up(w->inputs, ck_fold), panel = n / ck_panel, c = n % ck_panel;
  size_t groups = ck_gemm_groups(w->inputs, w->group);
  const uint8_t *panel_codes = w->codes + panel * (padded * ck_panel / 8 * (size_t)bits);
  int mask = (1 << bits) - 1;
  for (size_t k = 0; k < w->inputs; k++)
    codes[k] = (int8_t)restored(bits, panel_codes[code_byte(bits, c, k)] >> code_shift(bits, k) & mask);
  for (size_t g = 0; g < groups; g++) multipliers[g] = w->multipliers[(panel * groups + g) * ck_panel + multiplier_place(c)];
}

void ck_half_pack(size_t inputs, size_t outputs, const uint16_t *patterns, size_t panel_begin, size_t panel_end, uint16_t *packed) {
  for (size_t panel = panel_begin; panel < panel_end; panel++)
    for (size_t k = 0; k < inputs; k++)
      for (size_t c = 0; c < ck_panel; c++) {
        size_t n = panel * ck_panel + c;
        packed[(panel * inputs + k) * ck_panel + c] = n < outputs ? patterns[n * inputs + k] : 0;
      }
}

void ck_half_unpack_row(const ck_half_weights *w, size_t n, uint16_t *patterns) {
  for (size_t k = 0; k < w->inputs; k++) patterns[k] = w->values[(n / ck_panel * w->inputs + k) * ck_panel + n % ck_panel];
}

#if defined(__x86_64__)
size_t ck_gemm_blocks_workspace_bytes__avx2(void);
size_t ck_gemm_rows_workspace_bytes__avx2(size_t inputs);
size_t ck_gemm_short_workspace_bytes__avx2(void);
size_t ck_gemm_half_workspace_bytes__avx2(void);
size_t ck_gemm_binary_workspace_bytes__avx2(void);
#endif

size_t ck_gemm_workspace_bytes(size_t inputs) {
  size_t bytes = 64;
#if defined(__x86_64__)
  size_t needs[] = {ck_gemm_blocks_workspace_bytes__avx2(), ck_gemm_rows_workspace_bytes__avx2(inputs), ck_gemm_short_workspace_bytes__avx2(),
                    ck_gemm_half_workspace_bytes__avx2(), ck_gemm_binary_workspace_bytes__avx2()};
  for (size_t i = 0; i < sizeof needs / sizeof needs[0]; i++) bytes = needs[i] > bytes ? needs[i] : bytes;
#else
  (void)inputs;
#endif
  return bytes;
}
