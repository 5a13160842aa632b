// Packing into panel16x4 (layout.h), shared as text: each instruction set compiles it for itself, with its own way of bringing 16 rows of codes into units
// and of adding them up. 64 inputs of 16 outputs at a time, which stay in L1.
#ifndef CK_GEMM_PACK_PANEL16_H
#define CK_GEMM_PACK_PANEL16_H

#include <string.h>

#include "layout.h"

enum { ck_stripe = 64 };  // inputs that are packed at once: a cache line of a row

// 16 rows of 64 codes, `stride` bytes apart, as 16 units. Each line of a row is read once: lines of rows that lie a multiple of 4 KiB apart put each other
// out of L1.
typedef void ck_fn_panel16_units(const int8_t *_Nonnull rows, size_t stride, uint8_t *_Nonnull units);
// sums[c] += multiplier · Σ code of output c over 8 units, 32 inputs; multipliers in their packed order, or null for 1.
typedef void ck_fn_panel16_add_fold(const uint8_t *_Nonnull units, const int8_t *_Nullable multipliers, int32_t *_Nonnull sums);
typedef struct ck_panel16_steps {
  ck_fn_panel16_units *_Nonnull units;
  ck_fn_panel16_add_fold *_Nonnull add_fold;
} ck_panel16_steps;

// The rows of one panel: codes [rows][K] and multipliers [rows][groups]; those beyond `rows` are zeros.
typedef struct ck_panel_rows {
  const int8_t *_Nonnull codes;
  const int8_t *_Nullable multipliers;
  size_t rows, inputs, group;
} ck_panel_rows;

CK_INLINE void ck_units_of_stripe(const ck_panel_rows *_Nonnull p, size_t k, uint8_t *_Nonnull units, const ck_panel16_steps *_Nonnull steps) {
  if (p->rows == ck_panel && k + ck_stripe <= p->inputs) {
    steps->units(p->codes + k, p->inputs, units);
    return;
  }
  int8_t padded[ck_panel][ck_stripe] = {{0}};
  size_t left = p->inputs - (k < p->inputs ? k : p->inputs);
  for (size_t c = 0; c < p->rows; c++) memcpy(padded[c], p->codes + c * p->inputs + k, left < ck_stripe ? left : ck_stripe);
  steps->units(padded[0], ck_stripe, units);
}

// Units as their layout stores them, `bits` / 8 of their bytes: loops that compilers turn into vector operations.
CK_INLINE void ck_store_units(int bits, const uint8_t *_Nonnull units, size_t count, uint8_t *_Nonnull to) {
  if (bits == 8) memcpy(to, units, 64 * count);
  for (size_t t = 0; bits == 4 && t < count; t += 2, units += 128, to += 64)
    for (size_t i = 0; i < 64; i++) to[i] = (uint8_t)(((units[i] + 8) & 15) | (units[64 + i] + 8) << 4);
  for (size_t t = 0; bits == 2 && t < count; t += 4, units += 256, to += 64)
    for (size_t i = 0; i < 64; i++)
      to[i] = (uint8_t)(((units[i] + 2) & 3) | ((units[64 + i] + 2) & 3) << 2 | ((units[128 + i] + 2) & 3) << 4 | (units[192 + i] + 2) << 6);
}

// Codes of 1 bit: eight inputs of an output are a byte. A code is 1 where its lowest bit is set and its sign is not.
CK_INLINE void ck_store_signs(const ck_panel_rows *_Nonnull p, size_t padded, uint8_t *_Nonnull to) {
  for (size_t c = 0; c < p->rows; c++)
    for (size_t k = 0; k < padded; k += 8) {
      uint64_t codes = 0;
      if (k + 8 <= p->inputs) {
        memcpy(&codes, p->codes + c * p->inputs + k, 8);
      } else if (k < p->inputs) {
        memcpy(&codes, p->codes + c * p->inputs + k, p->inputs - k);
      }
      uint64_t ones = codes & ~(codes >> 7) & 0x0101010101010101ull;
      to[k / 8 * ck_panel + c] = (uint8_t)(ones * 0x0102040810204080ull >> 56);  // brings the lowest bits of eight bytes together
    }
  for (size_t c = p->rows; c < ck_panel; c++)
    for (size_t k = 0; k < padded; k += 8) to[k / 8 * ck_panel + c] = 0;
}

// One panel. `sums` are those of its 16 outputs in the first segment, those of the next lie `all` behind.
CK_INLINE void ck_pack_panel(int bits, const ck_panel_rows *_Nonnull p, uint8_t *_Nonnull to, int8_t *_Nullable multipliers, int32_t *_Nonnull sums,
                             size_t all, const ck_panel16_steps *_Nonnull steps) {
  size_t inputs = p->inputs, padded = ck_round_up(inputs, ck_fold), groups = ck_gemm_groups(inputs, p->group);
  size_t segment = ck_gemm_segment(inputs, p->group, bits), segments = ck_gemm_segments(inputs, p->group, bits);
  for (size_t c = 0; c < ck_panel; c++)
    for (size_t g = 0; g < groups; g++)
      multipliers[g * ck_panel + ck_panel16_multiplier_place(c)] = c < p->rows ? p->multipliers[c * groups + g] : 0;
  for (size_t s = 0; s < segments; s++) memset(sums + s * all, 0, ck_panel * sizeof *sums);
  if (bits == 1) ck_store_signs(p, padded, to);
  for (size_t k = 0; k < padded; k += ck_stripe, to += ck_panel * ck_stripe / 8 * (size_t)bits) {
    uint8_t units[ck_panel * ck_stripe];
    size_t count = padded - k < ck_stripe ? padded - k : ck_stripe;
    ck_units_of_stripe(p, k, units, steps);
    if (bits > 1) ck_store_units(bits, units, count / 4, to);
    for (size_t f = 0; f < count; f += ck_fold)  // segments begin at multiples of 32 inputs, groups too
      steps->add_fold(units + ck_panel * f, groups > 0 ? multipliers + (k + f) / p->group * ck_panel : NULL, sums + (k + f) / segment * all);
  }
}

// What ck_fn_gemm_pack says.
CK_INLINE void ck_pack_panel16(int bits, const ck_gemm_shape *_Nonnull shape, const int8_t *_Nonnull codes, const int8_t *_Nullable multipliers,
                               size_t panel_begin, size_t panel_end, const ck_gemm_arrays *_Nonnull packed, const ck_panel16_steps *_Nonnull steps) {
  size_t inputs = shape->inputs, outputs = shape->outputs, groups = ck_gemm_groups(inputs, shape->group);
  for (size_t panel = panel_begin; panel < panel_end; panel++) {
    size_t before = (panel - panel_begin) * ck_panel, left = outputs - panel * ck_panel;
    ck_panel_rows p = {codes + before * inputs, groups > 0 ? multipliers + before * groups : NULL, left < ck_panel ? left : ck_panel, inputs,
                       shape->group};
    ck_pack_panel(bits, &p, packed->codes + panel * ck_panel16_bytes(bits, inputs), groups > 0 ? packed->multipliers + panel * groups * ck_panel : NULL,
                  packed->sums + panel * ck_panel, ck_round_up(outputs, ck_panel), steps);
  }
}

// Definitions of the packing functions of a set, ck_panel16_pack_s8__<set> and so on.
#define CK_DEFINE_PACK_PANEL16(bits, suffix, steps)                                                                                       \
  void ck_panel16_pack_s##bits##suffix(const ck_gemm_shape *shape, const void *codes, const int8_t *multipliers, size_t panel_begin,      \
                                       size_t panel_end, const ck_gemm_arrays *packed) {                                                  \
    ck_pack_panel16(bits, shape, codes, multipliers, panel_begin, panel_end, packed, steps);                                              \
  }

#endif
