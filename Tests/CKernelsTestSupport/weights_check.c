// Checks quantizing of weights: every instruction set gives the codes, multipliers and scales of the portable kernel and of the rules in scalar.h, for
// weights of all kinds, without touching what lies around them, and finds weights that are not finite.
#include <math.h>
#include <string.h>

#include "CKernelsTestSupport.h"
#include "guarded.h"
#include "packed_product.h"

CK_NO_CONTRACTION

enum { slot_weights = ck_test_slot_others, slot_codes, slot_multipliers = slot_codes + 2, slot_scales = slot_multipliers + 2, slot_scratch = slot_scales + 2 };

// Random; zeros of both signs; subnormal; near the largest number; halves of a step, so that codes are ties; one magnitude with either sign; with
// few of them not zero.
static float weight_of_kind(int kind, size_t at, uint64_t *state) {
  float x = ck_test_number(state);
  switch (kind) {
    case 0: return x;
    case 1: return ck_test_coin(state) ? 0.0f : -0.0f;
    case 2: return x * 0x1p-130f;
    case 3: return x * 0x1.fffffep127f;
    case 4: return at == 0 ? 127.0f : (float)ck_test_between(state, -254, 254) / 2;
    case 5: return ck_test_coin(state) ? 0.75f : -0.75f;
    default: return ck_test_between(state, 0, 15) == 0 ? x * 0x1p-60f : -0.0f;
  }
}

typedef struct result {
  int8_t *codes, *multipliers;
  float *scales;
  int are_finite;
} result;

static result quantize(const ck_kernels *k, const ck_float_weights *w, size_t outputs, int half) {
  size_t groups = ck_gemm_groups(w->inputs, w->group);
  result r = {ck_test_guarded(slot_codes + half, outputs * w->inputs, 1), ck_test_guarded(slot_multipliers + half, outputs * groups, 1),
              ck_test_guarded(slot_scales + half, outputs * sizeof(float), 4), 0};
  void *scratch = ck_test_guarded(slot_scratch, ck_quantize_weights_workspace(w->bits, w->inputs, w->group), 64);
  r.are_finite = k->quantize_weights_s8_f32(w, outputs, r.codes, groups > 0 ? r.multipliers : NULL, r.scales, scratch);
  return r;
}

// The codes by the rule.
static int codes_follow_the_rule(const ck_float_weights *w, size_t outputs, const result *r) {
  size_t groups = ck_gemm_groups(w->inputs, w->group);
  int lowest = w->bits == 8 ? -127 : w->bits == ck_ternary ? -1 : -(1 << (w->bits - 1)), highest = w->bits == ck_ternary ? 1 : -1 - lowest;
  if (w->bits == 8) highest = 127;
  for (size_t i = 0; i < outputs * w->inputs; i++) {
    size_t n = i / w->inputs, k = i % w->inputs;
    float scale = groups == 0 ? r->scales[n] : r->scales[n] * (float)r->multipliers[n * groups + k / w->group];
    int expected = w->bits == 1 ? (w->weights[i] >= 0 ? 1 : -1) : ck_code(w->weights[i], 1.0f / scale, 0, lowest, highest);
    if (r->codes[i] != expected) return 0;
  }
  return 1;
}

// The greatest gain of 2-bit codes is the least error: no scale of the 32 is better by more than rounding.
static int two_bit_scale_is_best(const float *x, size_t count, float scale) {
  double largest = 0, found = 0, least = HUGE_VAL;
  for (size_t i = 0; i < count; i++) largest = fmax(largest, fabs((double)x[i]));
  for (int step = -1; step < 32 && largest > 0; step++) {
    double s = step < 0 ? (double)scale : largest * pow(0.93f, step), error = 0;
    for (size_t i = 0; i < count; i++) {
      double rest = (double)x[i] / s - fmin(fmax(nearbyint((double)x[i] / s), -2), 1);
      error += rest * rest * (s / largest) * (s / largest);
    }
    if (step < 0) found = error;
    least = fmin(least, error);
  }
  return largest == 0 || found <= least * (1 + 1e-3) + 1e-6;
}

int ck_test_quantize_weights(ck_isa isa, const ck_test_weights_case *c) {
  uint64_t state = c->seed | 1;
  size_t inputs = c->inputs, outputs = c->outputs, count = inputs * outputs, groups = ck_gemm_groups(inputs, c->group);
  float *x = ck_test_guarded(slot_weights, count * sizeof *x, 4);
  for (size_t i = 0; i < count; i++) x[i] = weight_of_kind(c->kind, i % inputs, &state);
  ck_float_weights w = {x, inputs, c->group, c->bits, NULL};
  const ck_kernels *k = ck_kernels_of(isa);
  result expected = quantize(ck_kernels_of(ck_isa_portable), &w, outputs, 0), found = quantize(k, &w, outputs, 1);
  int agrees = expected.are_finite && found.are_finite && memcmp(expected.codes, found.codes, count) == 0 &&
               memcmp(expected.multipliers, found.multipliers, outputs * groups) == 0 && memcmp(expected.scales, found.scales, 4 * outputs) == 0;
  for (int slot = slot_codes; slot <= slot_scratch; slot++) agrees &= ck_test_guards_are_intact(slot);
  agrees &= codes_follow_the_rule(&w, outputs, &found);
  if (c->bits == 2 && groups == 0 && c->kind != 1 && c->kind != 2 && c->kind != 6)
    for (size_t n = 0; n < outputs; n++) agrees &= two_bit_scale_is_best(x + n * inputs, inputs, found.scales[n]);
  // The scale alone, and one that outputs share.
  if (groups == 0) {
    float alone = 0, shared = found.scales[0];
    void *scratch = ck_test_guarded(slot_scratch, ck_quantize_weights_workspace(w.bits, inputs, 0), 64);
    agrees &= k->quantize_weights_s8_f32(&w, 1, NULL, NULL, &alone, scratch) && ck_bits_of_f32(alone) == ck_bits_of_f32(shared);
    w.shared_scale = &shared;
    result all = quantize(k, &w, outputs, 1);
    agrees &= codes_follow_the_rule(&w, outputs, &all) && ck_bits_of_f32(all.scales[outputs - 1]) == ck_bits_of_f32(shared);
    w.shared_scale = NULL;
  }
  // One that is not finite is found wherever it is.
  static const uint32_t not_finite[] = {0x7F800000, 0xFF800000, 0x7FC00000, 0xFFFFFFFF, 0x7F800001};
  x[ck_test_next(&state) % count] = ck_f32_of_bits(not_finite[c->seed % 5]);
  return agrees && !quantize(k, &w, outputs, 1).are_finite;
}
