// N:M sparse weights as plain arrays, into the packed layout and back: what files hold.
#include <string.h>

#include "nm_layout.h"

static size_t slot_count(size_t inputs) { return ck_nm_round_up(inputs, ck_nm_group) / ck_nm_group * ck_nm_kept; }

// The input of slot j of 4 where nothing is stored: behind K, and of outputs behind N.
static uint8_t empty_slot(size_t j, size_t group) { return (uint8_t)(j / (group / 2) * group + j % (group / 2)); }

void ck_nm_f32_pack_slots_panel8(const uint8_t *positions, const float *weights, size_t inputs, size_t outputs, size_t group, uint32_t *codes,
                          float *values) {
  size_t steps = ck_nm_round_up(inputs, ck_nm_f32_step) / ck_nm_f32_step, slots = slot_count(inputs);
  memset(codes, 0, ck_nm_f32_sizes_panel8(inputs, outputs).codes * sizeof *codes);
  for (size_t n = 0; n < ck_nm_round_up(outputs, ck_nm_panel); n++)
    for (size_t slot = 0; slot < steps * 8; slot++) {
      int is_stored = n < outputs && slot < slots;
      uint32_t position = is_stored ? positions[n * slots + slot] : empty_slot(slot % ck_nm_kept, group);
      codes[(n / 8 * steps + slot / 8) * 8 + n % 8] |= position << (4 * (slot % 8));
      values[(n / 8 * steps * 8 + slot) * 8 + n % 8] = is_stored ? weights[n * slots + slot] : 0.0f;
    }
}

static void pack_slots_s8(size_t panel, const uint8_t *positions, const int8_t *weights, const ck_nm_s8 *to, uint8_t *codes, int8_t *values,
                          int32_t *sums) {
  size_t groups = ck_nm_round_up(to->inputs, ck_nm_group) / ck_nm_group, slots = slot_count(to->inputs);
  for (size_t n = 0; n < ck_nm_round_up(to->outputs, panel); n++) {
    int32_t sum = 0;
    for (size_t slot = 0; slot < slots; slot++) {
      ck_nm_place place = ck_nm_s8_place(panel, groups, n, slot);
      uint8_t position = n < to->outputs ? positions[n * slots + slot] : empty_slot(slot % ck_nm_kept, to->group);
      int8_t weight = n < to->outputs ? weights[n * slots + slot] : 0;
      codes[place.code] |= (uint8_t)(position << place.shift);
      values[place.value] = weight;
      sum += weight;
    }
    if (n < to->outputs) sums[n] = sum;
  }
}

#define PACK_SLOTS_S8(panel, width)                                                                                                               \
  void ck_nm_s8_pack_slots_##panel(const uint8_t *positions, const int8_t *weights, size_t inputs, size_t outputs, size_t group, uint8_t *codes,  \
                                   int8_t *values, int32_t *sums) {                                                                               \
    ck_nm_s8 to = {.inputs = inputs, .outputs = outputs, .group = group};                                                                         \
    memset(codes, 0, ck_nm_s8_sizes_##panel(inputs, outputs).codes);                                                                              \
    pack_slots_s8(width, positions, weights, &to, codes, values, sums);                                                                           \
  }
PACK_SLOTS_S8(panel8, ck_nm_panel)
PACK_SLOTS_S8(panel16, ck_nm_panel16)

void ck_nm_f32_slots_panel8(const ck_nm_f32 *w, uint8_t *positions, float *weights) {
  size_t steps = ck_nm_round_up(w->inputs, ck_nm_f32_step) / ck_nm_f32_step, slots = slot_count(w->inputs);
  for (size_t n = 0; n < w->outputs; n++)
    for (size_t slot = 0; slot < slots; slot++) {
      positions[n * slots + slot] = (uint8_t)(w->codes[(n / 8 * steps + slot / 8) * 8 + n % 8] >> (4 * (slot % 8)) & 7);
      weights[n * slots + slot] = w->values[(n / 8 * steps * 8 + slot) * 8 + n % 8];
    }
}

static void slots_s8(size_t panel, const ck_nm_s8 *w, uint8_t *positions, int8_t *weights) {
  size_t groups = ck_nm_round_up(w->inputs, ck_nm_group) / ck_nm_group, slots = slot_count(w->inputs);
  for (size_t n = 0; n < w->outputs; n++)
    for (size_t slot = 0; slot < slots; slot++) {
      ck_nm_place place = ck_nm_s8_place(panel, groups, n, slot);
      positions[n * slots + slot] = w->codes[place.code] >> place.shift & 7;
      weights[n * slots + slot] = w->values[place.value];
    }
}
void ck_nm_s8_slots_panel8(const ck_nm_s8 *w, uint8_t *positions, int8_t *weights) { slots_s8(ck_nm_panel, w, positions, weights); }
void ck_nm_s8_slots_panel16(const ck_nm_s8 *w, uint8_t *positions, int8_t *weights) { slots_s8(ck_nm_panel16, w, positions, weights); }
