// Peaks with the registers of 128 bits of arm64.
#include "loops.h"

#if defined(__aarch64__)
#include <arm_neon.h>

#include "instruction_sets.h"

// Sums that do not wait for one another: latency × instructions a cycle is at most 4 × 4 (Neoverse V1 and V2, Apple's).
enum { chains = 20 };

CK_TARGET_BEGIN(CK_TARGET_NEON)

double peak_float32_neon(size_t repetitions) {
  float32x4_t sums[chains], x = vdupq_n_f32(0.5f);
  CK_UNROLL
  for (int i = 0; i < chains; i++) sums[i] = vdupq_n_f32((float)i);
  for (size_t r = 0; r < repetitions; r++) {
    CK_UNROLL
    for (int i = 0; i < chains; i++) {
      sums[i] = vfmaq_f32(sums[i], x, x);
      PEAK_KEEP(sums[i]);
    }
  }
  return (double)(repetitions * chains * 4 * 2);
}

// `folds` products are added in int16 before they are widened to int32.
CK_INLINE double int8_products(int folds, size_t repetitions) {
  enum { sets = 10 };
  int32x4_t sums[sets];
  int8x8_t x = vdup_n_s8(3);
  CK_UNROLL
  for (int i = 0; i < sets; i++) sums[i] = vdupq_n_s32(i);
  for (size_t r = 0; r < repetitions; r++) {
    int16x8_t narrow[sets];
    CK_UNROLL
    for (int f = 0; f < folds; f++) {
      CK_UNROLL
      for (int i = 0; i < sets; i++) {
        PEAK_KEEP(x);  // else the product, the same each time, would be computed once
        narrow[i] = f == 0 ? vmull_s8(x, x) : vmlal_s8(narrow[i], x, x);
        PEAK_KEEP(narrow[i]);
      }
    }
    CK_UNROLL
    for (int i = 0; i < sets; i++) {
      sums[i] = vpadalq_s16(sums[i], narrow[i]);
      PEAK_KEEP(sums[i]);
    }
  }
  return (double)(repetitions * sets * (size_t)folds * 8 * 2);
}

// Two products of −127 … 127 and −128 … 127 fit in int16.
double peak_int8_neon(size_t repetitions) { return int8_products(2, repetitions); }
double peak_int8_folded_neon(size_t repetitions) { return int8_products(8, repetitions); }

double peak_lookup_neon(size_t repetitions) {
  uint8x16_t sums[chains], table = vdupq_n_u8(3), index = vdupq_n_u8(1);
  CK_UNROLL
  for (int i = 0; i < chains; i++) sums[i] = vdupq_n_u8((uint8_t)i);
  for (size_t r = 0; r < repetitions; r++) {
    CK_UNROLL
    for (int i = 0; i < chains; i++) {
      PEAK_KEEP(index);
      uint8x16_t found = vqtbl1q_u8(table, index);
      PEAK_KEEP(found);
      sums[i] = vaddq_u8(sums[i], found);
      PEAK_KEEP(sums[i]);
    }
  }
  return (double)(repetitions * chains * 16 * 4 * 2);
}

double peak_count_neon(size_t repetitions) {
  uint8x16_t sums[chains], x = vdupq_n_u8(3);
  CK_UNROLL
  for (int i = 0; i < chains; i++) sums[i] = vdupq_n_u8((uint8_t)i);
  for (size_t r = 0; r < repetitions; r++) {
    CK_UNROLL
    for (int i = 0; i < chains; i++) {
      uint8x16_t differing = veorq_u8(x, sums[i]);
      PEAK_KEEP(differing);
      sums[i] = vaddq_u8(sums[i], vcntq_u8(differing));
      PEAK_KEEP(sums[i]);
    }
  }
  return (double)(repetitions * chains * 128 * 2);
}

void peak_read_neon(const void *memory, size_t bytes) {
  const uint8_t *p = memory;
  uint8x16_t sums[8];
  CK_UNROLL
  for (int i = 0; i < 8; i++) sums[i] = vdupq_n_u8(0);
  for (size_t at = 0; at + 128 <= bytes; at += 128) {
    CK_UNROLL
    for (int i = 0; i < 8; i++) sums[i] = vorrq_u8(sums[i], vld1q_u8(p + at + 16 * (size_t)i));
  }
  CK_UNROLL
  for (int i = 0; i < 8; i++) PEAK_KEEP(sums[i]);
}

// Four places at once with prefetches 8 KiB ahead, as on x86.
void peak_read_streams_neon(const void *memory, size_t bytes) {
  const uint8_t *p = memory;
  const size_t quarter = bytes / 4;
  uint8x16_t sums[16];
  CK_UNROLL
  for (int i = 0; i < 16; i++) sums[i] = vdupq_n_u8(0);
  for (size_t at = 0; at + 64 <= quarter; at += 64) {
    CK_UNROLL
    for (int i = 0; i < 16; i++) {
      const uint8_t *from = p + (size_t)(i / 4) * quarter + at + 16 * (size_t)(i % 4);
      if (i % 4 == 0) __builtin_prefetch(from + 8192, 0, 3);
      sums[i] = vorrq_u8(sums[i], vld1q_u8(from));
    }
  }
  CK_UNROLL
  for (int i = 0; i < 16; i++) PEAK_KEEP(sums[i]);
}

CK_TARGET_END

CK_TARGET_BEGIN(CK_TARGET_DOTPROD)

double peak_int8_dotprod(size_t repetitions) {
  int32x4_t sums[chains];
  int8x16_t x = vdupq_n_s8(3);
  CK_UNROLL
  for (int i = 0; i < chains; i++) sums[i] = vdupq_n_s32(i);
  for (size_t r = 0; r < repetitions; r++) {
    CK_UNROLL
    for (int i = 0; i < chains; i++) {
      sums[i] = vdotq_s32(sums[i], x, x);
      PEAK_KEEP(sums[i]);
    }
  }
  return (double)(repetitions * chains * 16 * 2);
}

CK_TARGET_END

CK_TARGET_BEGIN(CK_TARGET_I8MM)

double peak_int8_i8mm(size_t repetitions) {
  int32x4_t sums[chains];
  uint8x16_t x = vdupq_n_u8(3);
  int8x16_t w = vdupq_n_s8(3);
  CK_UNROLL
  for (int i = 0; i < chains; i++) sums[i] = vdupq_n_s32(i);
  for (size_t r = 0; r < repetitions; r++) {
    CK_UNROLL
    for (int i = 0; i < chains; i++) {
      sums[i] = vusmmlaq_s32(sums[i], x, w);
      PEAK_KEEP(sums[i]);
    }
  }
  return (double)(repetitions * chains * 32 * 2);
}

CK_TARGET_END

CK_TARGET_BEGIN(CK_TARGET_ARMBF16)

double peak_bf16_armbf16(size_t repetitions) {
  float32x4_t sums[chains];
  uint16x8_t half = vdupq_n_u16(0x3F00);  // 0.5
  PEAK_KEEP(half);  // gcc 12 writes the constant by an instruction of FP16
  const bfloat16x8_t x = vreinterpretq_bf16_u16(half);
  CK_UNROLL
  for (int i = 0; i < chains; i++) sums[i] = vdupq_n_f32((float)i);
  for (size_t r = 0; r < repetitions; r++) {
    CK_UNROLL
    for (int i = 0; i < chains; i++) {
      sums[i] = vbfmmlaq_f32(sums[i], x, x);
      PEAK_KEEP(sums[i]);
    }
  }
  return (double)(repetitions * chains * 16 * 2);
}

CK_TARGET_END
#endif
