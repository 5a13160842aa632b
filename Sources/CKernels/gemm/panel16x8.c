// Packing into panel16x8 (layout.h), and back: 64 inputs of 16 outputs at a time, which stay in L1.
#include <string.h>

#include "layout.h"

enum { unit_inputs = 8, unit_bytes = ck_panel * unit_inputs, stripe = 64, stripe_units = stripe / unit_inputs };

// The rows of a panel: codes [rows][K], multipliers [rows][groups]; those beyond `rows` are zeros.
typedef struct panel_rows {
  const int8_t *codes, *multipliers;
  size_t rows, inputs, group;
} panel_rows;

static void units_of_stripe(const panel_rows *p, size_t k, uint8_t *units) {
  size_t left = p->inputs - (k < p->inputs ? k : p->inputs), count = left < stripe ? left : stripe;
  for (size_t c = 0; c < ck_panel; c++) {
    uint8_t row[stripe] = {0};
    if (c < p->rows) memcpy(row, p->codes + c * p->inputs + k, count);
    for (size_t t = 0; t < stripe_units; t++) memcpy(units + t * unit_bytes + c * unit_inputs, row + t * unit_inputs, unit_inputs);
  }
}

// Units as their layout stores them, 8 / bits of them in one: loops that compilers turn into vector operations.
static inline void store_units(int bits, const uint8_t *units, size_t count, uint8_t *to) {
  const size_t each = 8 / (size_t)bits, offset = bits == 8 || bits == 1 ? 0 : (size_t)1 << (bits - 1);
  for (size_t t = 0; t < count; t += each, to += unit_bytes)
    for (size_t i = 0; i < unit_bytes; i++) {
      unsigned all = 0;
      for (size_t u = 0; u < each; u++) {
        uint8_t code = units[(t + u) * unit_bytes + i];
        unsigned stored = bits == 1 ? code == 1 : (unsigned)(code + offset) & ((1u << bits) - 1);
        all |= stored << u * (size_t)bits;
      }
      to[i] = (uint8_t)all;
    }
}

// sums[s][c] = Σ multiplier · code over each segment of K; those of the next segment lie `all` behind.
static void add_sums(int bits, const panel_rows *p, int32_t *sums, size_t all) {
  size_t segment = ck_gemm_segment(p->inputs, p->group, bits), segments = ck_gemm_segments(p->inputs, p->group, bits);
  size_t groups = ck_gemm_groups(p->inputs, p->group);
  for (size_t s = 0; s < segments; s++) memset(sums + s * all, 0, ck_panel * sizeof *sums);
  for (size_t c = 0; c < p->rows; c++)
    for (size_t k = 0; k < p->inputs; k += ck_fold) {  // groups and segments begin at multiples of 32
      size_t left = p->inputs - k, count = left < ck_fold ? left : ck_fold;
      int32_t sum = 0;
      for (size_t i = 0; i < count; i++) sum += p->codes[c * p->inputs + k + i];
      sums[k / segment * all + c] += sum * (groups > 0 ? p->multipliers[c * groups + k / p->group] : 1);
    }
}

static inline void pack_panel(int bits, const panel_rows *p, uint8_t *to, int8_t *multipliers) {
  size_t padded = ck_panel16x8_inputs(bits, p->inputs), groups = ck_gemm_groups(p->inputs, p->group);
  for (size_t c = 0; c < ck_panel; c++)
    for (size_t g = 0; g < groups; g++)
      multipliers[g * ck_panel + ck_panel16_multiplier_place(c)] = c < p->rows ? p->multipliers[c * groups + g] : 0;
  for (size_t k = 0; k < padded; k += stripe, to += ck_panel * stripe / 8 * bits) {
    uint8_t units[ck_panel * stripe];
    units_of_stripe(p, k, units);
    store_units(bits, units, (padded - k < stripe ? padded - k : stripe) / unit_inputs, to);
  }
}

static inline void pack(int bits, const ck_gemm_shape *shape, const int8_t *codes, const int8_t *multipliers, const size_t panels[2],
                        const ck_gemm_arrays *packed) {
  size_t inputs = shape->inputs, outputs = shape->outputs, groups = ck_gemm_groups(inputs, shape->group);
  for (size_t panel = panels[0]; panel < panels[1]; panel++) {
    size_t before = (panel - panels[0]) * ck_panel, left = outputs - panel * ck_panel;
    panel_rows p = {codes + before * inputs, groups > 0 ? multipliers + before * groups : NULL, left < ck_panel ? left : ck_panel, inputs, shape->group};
    pack_panel(bits, &p, packed->codes + panel * ck_panel16x8_bytes(bits, inputs), groups > 0 ? packed->multipliers + panel * groups * ck_panel : NULL);
    add_sums(bits, &p, packed->sums + panel * ck_panel, ck_round_up(outputs, ck_panel));
  }
}

static ck_gemm_sizes sizes(int bits, const ck_gemm_shape *shape) {
  size_t padded = ck_round_up(shape->outputs, ck_panel);
  return (ck_gemm_sizes){padded / ck_panel * ck_panel16x8_bytes(bits, shape->inputs), padded * ck_gemm_groups(shape->inputs, shape->group),
                         padded * ck_gemm_segments(shape->inputs, shape->group, bits), padded};
}

static void unpack_row(int bits, const ck_gemm_weights *w, size_t n, int8_t *codes, int8_t *multipliers) {
  const uint8_t *panel = w->codes + n / ck_panel * ck_panel16x8_bytes(bits, w->inputs);
  const size_t each = 8 / (size_t)bits;
  for (size_t k = 0; k < w->inputs; k++) {
    size_t unit = k / unit_inputs, shift = unit % each * (size_t)bits;
    int stored = panel[unit / each * unit_bytes + n % ck_panel * unit_inputs + k % unit_inputs] >> shift & ((1 << bits) - 1);
    codes[k] = (int8_t)ck_panel16_restored(bits, stored);
  }
  for (size_t g = 0; g < ck_gemm_groups(w->inputs, w->group); g++) multipliers[g] = (int8_t)ck_panel16_multiplier(w, n, g);
}

#define PANEL16X8(bits)                                                                                                                  \
  ck_gemm_sizes ck_panel16x8_sizes_s##bits(const ck_gemm_shape *shape) { return sizes(bits, shape); }                                    \
  void ck_panel16x8_pack_s##bits(const ck_gemm_shape *shape, const void *codes, const int8_t *multipliers, size_t panel_begin,           \
                                 size_t panel_end, const ck_gemm_arrays *packed) {                                                       \
    const size_t panels[2] = {panel_begin, panel_end};                                                                                   \
    pack(bits, shape, codes, multipliers, panels, packed);                                                                               \
  }                                                                                                                                      \
  void ck_panel16x8_unpack_s##bits(const ck_gemm_weights *w, size_t n, void *codes, int8_t *multipliers) {                               \
    unpack_row(bits, w, n, codes, multipliers);                                                                                          \
  }
PANEL16X8(8)
PANEL16X8(4)
PANEL16X8(2)
PANEL16X8(1)
