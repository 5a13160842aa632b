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

void ck_nm_s8_pack_slots_panel8(const uint8_t *positions, const int8_t *weights, size_t inputs, size_t outputs, size_t group, uint8_t *codes,
                         int8_t *values, int32_t *sums) {
  size_t groups = ck_nm_round_up(inputs, ck_nm_group) / ck_nm_group, slots = slot_count(inputs);
  memset(codes, 0, ck_nm_s8_sizes_panel8(inputs, outputs).codes);
  for (size_t n = 0; n < ck_nm_round_up(outputs, ck_nm_panel); n++) {
    int32_t sum = 0;
    for (size_t slot = 0; slot < slots; slot++) {
      size_t j = slot % ck_nm_kept, at = n / 8 * groups + slot / ck_nm_kept;
      uint8_t position = n < outputs ? positions[n * slots + slot] : empty_slot(j, group);
      int8_t weight = n < outputs ? weights[n * slots + slot] : 0;
      codes[(at * 8 + n % 8) * 2 + j % 2] |= (uint8_t)(position << (j / 2 * 4));
      values[((at * 2 + j / 2) * 8 + n % 8) * 2 + j % 2] = weight;
      sum += weight;
    }
    if (n < outputs) sums[n] = sum;
  }
}

void ck_nm_f32_slots_panel8(const ck_nm_f32 *w, uint8_t *positions, float *weights) {
  size_t steps = ck_nm_round_up(w->inputs, ck_nm_f32_step) / ck_nm_f32_step, slots = slot_count(w->inputs);
  for (size_t n = 0; n < w->outputs; n++)
    for (size_t slot = 0; slot < slots; slot++) {
      positions[n * slots + slot] = (uint8_t)(w->codes[(n / 8 * steps + slot / 8) * 8 + n % 8] >> (4 * (slot % 8)) & 7);
      weights[n * slots + slot] = w->values[(n / 8 * steps * 8 + slot) * 8 + n % 8];
    }
}

void ck_nm_s8_slots_panel8(const ck_nm_s8 *w, uint8_t *positions, int8_t *weights) {
  size_t groups = ck_nm_round_up(w->inputs, ck_nm_group) / ck_nm_group, slots = slot_count(w->inputs);
  for (size_t n = 0; n < w->outputs; n++)
    for (size_t slot = 0; slot < slots; slot++) {
      size_t j = slot % ck_nm_kept, at = n / 8 * groups + slot / ck_nm_kept;
      positions[n * slots + slot] = w->codes[(at * 8 + n % 8) * 2 + j % 2] >> (j / 2 * 4) & 7;
      weights[n * slots + slot] = w->values[((at * 2 + j / 2) * 8 + n % 8) * 2 + j % 2];
    }
}
