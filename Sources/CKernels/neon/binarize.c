// Signs of rows. 32 numbers are 8 comparisons, 7 insertions that leave a nibble of each mask in a word, one that keeps a bit of it, and the sum of four
// words; and 16 operations for the eight sums of magnitudes, in the portable kernel's order: 33 in all. The sums are chains of additions: two rows go side
// by side where an addition takes 3 or 4 cycles (Apple, Cortex-A72). Modelled, numbers a cycle: Neoverse N1 1.9, V1 and V2 3.8, Apple M1 2.9, Cortex-A72 1.1.
#if defined(__aarch64__)
#include "../gemm/layout.h"

#include "dispatch.h"
#include "simd.h"

CK_TARGET_BEGIN(CK_TARGET_NEON)

// The bits of `from` at `where`, the others as they are. As assembly, since clang makes two operations of a selection by a constant.
CK_INLINE uint32x4_t insert(uint32x4_t into, uint32x4_t from, uint32x4_t where) {
  __asm__("bit %0.16b, %1.16b, %2.16b" : "+w"(into) : "w"(from), "w"(where));
  return into;
}

// Bit k % 4 of nibble k / 4 where lane k % 4 of mask k / 4 is set.
CK_INLINE uint32_t word_of(const uint32x4_t masks[8]) {
  const uint32x4_t nibbles = vdupq_n_u32(0xF0F0F0F0), bytes = vdupq_n_u32(0xFF00FF00), halves = vdupq_n_u32(0xFFFF0000);
  static const uint32_t own[4] = {0x11111111, 0x22222222, 0x44444444, 0x88888888};
  uint32x4_t b[4];
  CK_UNROLL for (int i = 0; i < 4; i++) b[i] = insert(masks[2 * i], masks[2 * i + 1], nibbles);
  uint32x4_t all = insert(insert(b[0], b[1], bytes), insert(b[2], b[3], bytes), halves);
  return vaddvq_u32(vandq_u32(all, vld1q_u32(own)));
}

CK_INLINE uint32_t add_fold(const float *x, float32x4_t sums[2]) {
  uint32x4_t masks[8];
  CK_UNROLL for (int i = 0; i < 8; i++) {
    float32x4_t v = vld1q_f32(x + 4 * i);
    masks[i] = vcgezq_f32(v);
    sums[i % 2] = vaddq_f32(sums[i % 2], vabsq_f32(v));
  }
  return word_of(masks);
}

// The last numbers of a row; what lies beyond counts 0 and has no bit.
__attribute__((noinline)) static uint32_t add_rest(const float *x, size_t count, float32x4_t sums[2]) {
  float all[ck_fold] = {0};
  memcpy(all, x, count * sizeof(float));
  return add_fold(all, sums) & ((1u << count) - 1);
}

CK_INLINE void binarize(int R, const float *x, size_t columns, size_t stride, uint8_t *bits, float *scales) {
  size_t row_bytes = ck_round_up(columns, ck_fold) / 8, k = 0;
  float32x4_t sums[2][2];
  CK_UNROLL for (int r = 0; r < R; r++) sums[r][0] = sums[r][1] = vdupq_n_f32(0);
  for (; columns - k >= ck_fold; k += ck_fold)
    CK_UNROLL for (int r = 0; r < R; r++) {
      uint32_t word = add_fold(x + (size_t)r * stride + k, sums[r]);
      memcpy(bits + (size_t)r * row_bytes + k / 8, &word, sizeof word);
    }
  if (k < columns)
    CK_UNROLL for (int r = 0; r < R; r++) {
      float32x4_t last[2] = {sums[r][0], sums[r][1]};
      uint32_t word = add_rest(x + (size_t)r * stride + k, columns - k, last);
      memcpy(bits + (size_t)r * row_bytes + k / 8, &word, sizeof word);
      sums[r][0] = last[0], sums[r][1] = last[1];
    }
  CK_UNROLL for (int r = 0; r < R; r++) {
    float s[8];
    vst1q_f32(s, sums[r][0]), vst1q_f32(s + 4, sums[r][1]);
    scales[r] = (((s[0] + s[4]) + (s[1] + s[5])) + ((s[2] + s[6]) + (s[3] + s[7]))) / (float)columns;
  }
}

void ck_binarize_rows_u1_f32__neon(const float *x, size_t rows, size_t columns, size_t stride, uint8_t *bits, float *scales) {
  size_t row_bytes = ck_round_up(columns, ck_fold) / 8, m = 0;
  for (; m + 2 <= rows; m += 2) binarize(2, x + m * stride, columns, stride, bits + m * row_bytes, scales + m);
  if (m < rows) binarize(1, x + m * stride, columns, stride, bits + m * row_bytes, scales + m);
}

CK_TARGET_END
#endif
