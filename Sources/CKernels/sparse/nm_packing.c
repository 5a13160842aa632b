// Packed layout of N:M sparse weights: from a dense matrix and back. Used by every instruction set.
#include <math.h>
#include <string.h>

#include "../float_environment.h"
#include "int8_weights.h"
#include "nm_layout.h"

CK_APART void keep_largest(const float *dense, size_t inputs, size_t outputs, size_t kept, size_t group, uint8_t *keep) {
  memset(keep, 0, inputs * outputs);
  for (size_t n = 0; n < outputs; n++) {
    for (size_t first = 0; first < inputs; first += group) {
      const float *w = dense + n * inputs + first;
      uint8_t *marks = keep + n * inputs + first;
      size_t count = inputs - first < group ? inputs - first : group;
      for (size_t i = 0; i < kept && i < count; i++) {
        size_t best = count;
        for (size_t k = 0; k < count; k++)
          if (!marks[k] && (best == count || fabsf(w[k]) > fabsf(w[best]))) best = k;
        marks[best] = 1;
      }
    }
  }
}

void ck_nm_keep_largest(const float *dense, size_t inputs, size_t outputs, size_t kept, size_t group, uint8_t *keep) {
  uint64_t control = ck_begin_default_floats();
  keep_largest(dense, inputs, outputs, kept, group, keep);
  ck_end_default_floats(control);
}

size_t ck_nm_first_crowded(const uint8_t *keep, size_t inputs, size_t outputs, size_t kept, size_t group) {
  size_t across = (inputs + group - 1) / group;
  for (size_t n = 0; n < outputs; n++) {
    for (size_t g = 0; g < across; g++) {
      size_t count = 0;
      for (size_t k = g * group; k < inputs && k < (g + 1) * group; k++) count += keep[n * inputs + k] != 0;
      if (count > kept) return n * across + g;
    }
  }
  return outputs * across;
}

ck_nm_sizes ck_nm_f32_sizes_panel8(size_t inputs, size_t outputs) {
  size_t padded = ck_nm_round_up(outputs, ck_nm_panel), steps = ck_nm_round_up(inputs, ck_nm_f32_step);
  return (ck_nm_sizes){padded * (steps / ck_nm_f32_step), padded * (steps / 2)};
}

ck_nm_sizes ck_nm_s8_sizes_panel8(size_t inputs, size_t outputs) {
  size_t padded = ck_nm_round_up(outputs, ck_nm_panel), groups = ck_nm_round_up(inputs, ck_nm_group);
  return (ck_nm_sizes){padded * (groups / 4), padded * (groups / 2)};
}

ck_nm_sizes ck_nm_s8_sizes_panel16(size_t inputs, size_t outputs) {
  size_t padded = ck_nm_round_up(outputs, ck_nm_panel16);
  return (ck_nm_sizes){padded * (ck_nm_round_up(inputs, 2 * ck_nm_group) / 4), padded * (ck_nm_round_up(inputs, ck_nm_group) / 2)};
}

// The inputs 0…7, ascending, of the 4 slots of group `g` of 8 inputs; marks of one output, null for all zeros.
static void choose_slots(const uint8_t *marks, size_t inputs, size_t g, size_t group, uint8_t slots[ck_nm_kept]) {
  size_t kept = group / 2, slot = 0;
  for (size_t part = 0; part < ck_nm_group; part += group) {
    uint8_t chosen[ck_nm_group] = {0};
    size_t count = 0;
    for (size_t k = 0; k < group; k++) {
      size_t input = g * ck_nm_group + part + k;
      if (marks != NULL && input < inputs && marks[input]) chosen[k] = 1, count++;
    }
    for (size_t k = 0; k < group && count < kept; k++)
      if (!chosen[k]) chosen[k] = 1, count++;
    for (size_t k = 0; k < group; k++)
      if (chosen[k]) slots[slot++] = (uint8_t)(part + k);
  }
}

static float weight_at(const float *row, const uint8_t *marks, size_t inputs, size_t k) {
  return row != NULL && k < inputs && marks[k] ? row[k] : 0.0f;
}

void ck_nm_f32_pack_panel8(const float *dense, const uint8_t *keep, size_t inputs, size_t outputs, size_t group, uint32_t *codes, float *values) {
  size_t steps = ck_nm_round_up(inputs, ck_nm_f32_step) / ck_nm_f32_step;
  memset(codes, 0, ck_nm_f32_sizes_panel8(inputs, outputs).codes * sizeof *codes);
  for (size_t n = 0; n < ck_nm_round_up(outputs, ck_nm_panel); n++) {
    const float *row = n < outputs ? dense + n * inputs : NULL;
    const uint8_t *marks = n < outputs ? keep + n * inputs : NULL;
    for (size_t g = 0; g < 2 * steps; g++) {
      uint8_t slots[ck_nm_kept];
      choose_slots(marks, inputs, g, group, slots);
      for (size_t j = 0; j < ck_nm_kept; j++) {
        codes[(n / 8 * steps + g / 2) * 8 + n % 8] |= (uint32_t)slots[j] << (4 * (g % 2 * ck_nm_kept + j));
        values[((n / 8 * steps * 2 + g) * ck_nm_kept + j) * 8 + n % 8] = weight_at(row, marks, inputs, g * ck_nm_group + slots[j]);
      }
    }
  }
}

static float largest_kept(const float *row, const uint8_t *marks, size_t inputs) {
  float largest = 0;
  for (size_t k = 0; row != NULL && k < inputs; k++)
    if (marks[k] && fabsf(row[k]) > largest) largest = fabsf(row[k]);
  return largest;
}

CK_APART void pack_s8(const float *dense, const uint8_t *keep, size_t panel, const ck_nm_s8 *to, uint8_t *codes, int8_t *values, float *scales,
                      int32_t *sums) {
  size_t inputs = to->inputs, outputs = to->outputs, groups = ck_nm_round_up(inputs, ck_nm_group) / ck_nm_group;
  for (size_t n = 0; n < ck_nm_round_up(outputs, panel); n++) {
    const float *row = n < outputs ? dense + n * inputs : NULL;
    const uint8_t *marks = n < outputs ? keep + n * inputs : NULL;
    ck_int8_scale scale = ck_int8_scale_of(largest_kept(row, marks, inputs));
    int32_t sum = 0;
    for (size_t g = 0; g < groups; g++) {
      uint8_t slots[ck_nm_kept];
      choose_slots(marks, inputs, g, to->group, slots);
      for (size_t j = 0; j < ck_nm_kept; j++) {
        ck_nm_place place = ck_nm_s8_place(panel, groups, n, g * ck_nm_kept + j);
        int8_t code = ck_int8_code(weight_at(row, marks, inputs, g * ck_nm_group + slots[j]), scale);
        codes[place.code] |= (uint8_t)(slots[j] << place.shift);
        values[place.value] = code;
        sum += code;
      }
    }
    if (n < outputs) scales[n] = scale.scale, sums[n] = sum;
  }
}

#define PACK_S8(panel, width)                                                                                                                     \
  void ck_nm_s8_pack_##panel(const float *dense, const uint8_t *keep, size_t inputs, size_t outputs, size_t group, uint8_t *codes, int8_t *values, \
                             float *scales, int32_t *sums) {                                                                                      \
    uint64_t control = ck_begin_default_floats();                                                                                                 \
    ck_nm_s8 to = {inputs, outputs, group, codes, values, scales, sums};                                                                          \
    memset(codes, 0, ck_nm_s8_sizes_##panel(inputs, outputs).codes);                                                                              \
    pack_s8(dense, keep, width, &to, codes, values, scales, sums);                                                                                \
    ck_end_default_floats(control);                                                                                                               \
  }
PACK_S8(panel8, ck_nm_panel)
PACK_S8(panel16, ck_nm_panel16)

void ck_nm_f32_unpack_panel8(const ck_nm_f32 *w, float *dense) {
  size_t steps = ck_nm_round_up(w->inputs, ck_nm_f32_step) / ck_nm_f32_step;
  for (size_t n = 0; n < w->outputs; n++)
    for (size_t slot = 0; slot < steps * 8; slot++) {
      size_t code = w->codes[(n / 8 * steps + slot / 8) * 8 + n % 8] >> (4 * (slot % 8)) & 7, k = slot / 4 * ck_nm_group + code;
      if (k < w->inputs) dense[n * w->inputs + k] = w->values[(n / 8 * steps * 8 + slot) * 8 + n % 8];
    }
}

static void unpack_s8(size_t panel, const ck_nm_s8 *w, float *dense) {
  size_t groups = ck_nm_round_up(w->inputs, ck_nm_group) / ck_nm_group;
  for (size_t n = 0; n < w->outputs; n++)
    for (size_t slot = 0; slot < groups * ck_nm_kept; slot++) {
      ck_nm_place place = ck_nm_s8_place(panel, groups, n, slot);
      size_t k = slot / ck_nm_kept * ck_nm_group + (w->codes[place.code] >> place.shift & 7);
      if (k < w->inputs) dense[n * w->inputs + k] = w->scales[n] * (float)w->values[place.value];
    }
}
void ck_nm_s8_unpack_panel8(const ck_nm_s8 *w, float *dense) { unpack_s8(ck_nm_panel, w, dense); }
void ck_nm_s8_unpack_panel16(const ck_nm_s8 *w, float *dense) { unpack_s8(ck_nm_panel16, w, dense); }
