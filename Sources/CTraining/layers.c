#include "layers.h"
#include "loops.h"

#include <string.h>

void ck_gather_rows_f32(const float *source, size_t columns, const int64_t *indices, size_t count, float *destination) {
  for (size_t i = 0; i < count; i++)
    memcpy(destination + i * columns, source + (size_t)indices[i] * columns, columns * sizeof(float));
}

CK_INLINE void ck_relu_forward_f32_body(const float *restrict x, float *restrict y, size_t count) {
  for (size_t i = 0; i < count; i++) y[i] = x[i] < 0.0f ? 0.0f : x[i];
}

CK_INLINE void ck_relu_backward_f32_body(const float *restrict y, const float *restrict dy, float *restrict dx, size_t count) {
  for (size_t i = 0; i < count; i++) {
    // Loaded in any case, or the loop would have a branch.
    float gradient = dy[i];
    dx[i] = y[i] > 0.0f ? gradient : 0.0f;
  }
}

CK_INLINE void ck_add_column_sums_f32_body(const float *restrict x, size_t rows, size_t columns, float *restrict sums) {
  for (size_t m = 0; m < rows; m++, x += columns)
    for (size_t n = 0; n < columns; n++) sums[n] += x[n];
}

CK_INLINE void ck_scale_f32_body(float *x, size_t count, float factor) {
  for (size_t i = 0; i < count; i++) x[i] *= factor;
}

CK_INLINE void ck_fill_rows_f32_body(const float *row, size_t rows, size_t columns, float *destination) {
  for (size_t m = 0; m < rows; m++, destination += columns)
    for (size_t n = 0; n < columns; n++) destination[n] = row[n];
}

void ck_gather_i64(const int64_t *source, const int64_t *indices, size_t count, int64_t *values) {
  for (size_t i = 0; i < count; i++) values[i] = source[indices[i]];
}

static uint64_t rotated(uint64_t x, int by) { return x << by | x >> (64 - by); }

static uint64_t next_random(uint64_t s[4]) {
  uint64_t result = rotated(s[0] + s[3], 23) + s[0], shifted = s[1] << 17;
  s[2] ^= s[0];
  s[3] ^= s[1];
  s[1] ^= s[2];
  s[0] ^= s[3];
  s[2] ^= shifted;
  s[3] = rotated(s[3], 45);
  return result;
}

// The upper half of a · b, whose lower half is the product of the language. With halves of 32 bits, a = a₁·2³² + a₀: each sum of a product and two halves
// is at most (2³² − 1)² + 2 · (2³² − 1) = 2⁶⁴ − 1, so that nothing is lost, whatever a and b are.
static uint64_t upper_half_of_product(uint64_t a, uint64_t b) {
  const uint64_t half = 0xFFFFFFFF, a0 = a & half, a1 = a >> 32, b0 = b & half, b1 = b >> 32;
  uint64_t middle = a1 * b0 + (a0 * b0 >> 32), other = a0 * b1 + (middle & half);
  return a1 * b1 + (middle >> 32) + (other >> 32);
}

static size_t random_below(size_t bound, uint64_t s[4]) {
  for (;;) {
    uint64_t random = next_random(s);
    if (random * bound >= -(uint64_t)bound % bound) return (size_t)upper_half_of_product(random, bound);
  }
}

void ck_permutation_i64(int64_t *order, size_t count, const uint64_t *state) {
  uint64_t s[4] = {state[0], state[1], state[2], state[3]};
  for (size_t i = 0; i < count; i++) order[i] = (int64_t)i;
  for (size_t last = count; last > 1; last--) {
    size_t other = random_below(last, s);
    int64_t value = order[last - 1];
    order[last - 1] = order[other];
    order[other] = value;
  }
}

#define CK_LOOPS_OF_LAYERS
#define CK_LOOP CK_DEFINE_LOOP
#include "loops.inc"
