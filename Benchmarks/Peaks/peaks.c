#include "CPeaks.h"

#include <stdint.h>

// Keeps a value in a register and the loop from being simplified.
#define KEEP(x) __asm__ volatile("" : "+x"(x))
#define UNROLL _Pragma("clang loop unroll(full)")

#if defined(__x86_64__)
#include <immintrin.h>
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)

enum { chains = 12 };

static double float32_avx2(size_t repetitions) {
  __m256 sums[chains], x = _mm256_set1_ps(0.5f);
  for (int i = 0; i < chains; i++) sums[i] = _mm256_set1_ps((float)i);
  for (size_t r = 0; r < repetitions; r++) {
    UNROLL for (int i = 0; i < chains; i++) {
      sums[i] = _mm256_fmadd_ps(sums[i], x, x);
      KEEP(sums[i]);
    }
  }
  return (double)repetitions * chains * 8 * 2;
}

static double int8_avx2(size_t repetitions) {
  __m256i sums[chains], x = _mm256_set1_epi8(3), ones = _mm256_set1_epi16(1);
  for (int i = 0; i < chains; i++) sums[i] = _mm256_set1_epi32(i);
  for (size_t r = 0; r < repetitions; r++) {
    UNROLL for (int i = 0; i < chains; i++) {
      KEEP(x);  // else the product, the same each time, would be computed once
      __m256i products = _mm256_maddubs_epi16(x, ones);
      KEEP(products);
      sums[i] = _mm256_add_epi32(sums[i], _mm256_madd_epi16(products, ones));
      KEEP(sums[i]);
    }
  }
  return (double)repetitions * chains * 32 * 2;
}

static double int8_folded_avx2(size_t repetitions) {
  enum { folds = 8, sets = 6 };
  __m256i sums[sets], x = _mm256_set1_epi8(3), ones = _mm256_set1_epi16(1);
  for (int i = 0; i < sets; i++) sums[i] = _mm256_set1_epi32(i);
  for (size_t r = 0; r < repetitions; r++) {
    __m256i narrow[sets];
    UNROLL for (int i = 0; i < sets; i++) {
      KEEP(x);
      narrow[i] = _mm256_maddubs_epi16(x, ones);
    }
    UNROLL for (int f = 1; f < folds; f++) {
      UNROLL for (int i = 0; i < sets; i++) {
        KEEP(x);
        __m256i products = _mm256_maddubs_epi16(x, ones);
        KEEP(products);
        narrow[i] = _mm256_add_epi16(narrow[i], products);
        KEEP(narrow[i]);
      }
    }
    UNROLL for (int i = 0; i < sets; i++) sums[i] = _mm256_add_epi32(sums[i], _mm256_madd_epi16(narrow[i], ones));
    UNROLL for (int i = 0; i < sets; i++) KEEP(sums[i]);
  }
  return (double)repetitions * sets * folds * 32 * 2;
}

static double lookup_avx2(size_t repetitions) {
  __m256i sums[chains], table = _mm256_set1_epi8(3), index = _mm256_set1_epi8(1);
  for (int i = 0; i < chains; i++) sums[i] = _mm256_set1_epi8((char)i);
  for (size_t r = 0; r < repetitions; r++) {
    UNROLL for (int i = 0; i < chains; i++) {
      KEEP(index);
      __m256i found = _mm256_shuffle_epi8(table, index);
      KEEP(found);
      sums[i] = _mm256_add_epi8(sums[i], found);
      KEEP(sums[i]);
    }
  }
  return (double)repetitions * chains * 32 * 4 * 2;
}

static double read_avx2(const void *memory, size_t bytes) {
  const __m256i *p = memory, *end = p + bytes / 32;
  __m256i sums[8];
  for (int i = 0; i < 8; i++) sums[i] = _mm256_setzero_si256();
  for (; p + 16 <= end; p += 16) {
    UNROLL for (int i = 0; i < 16; i++) sums[i % 8] = _mm256_or_si256(sums[i % 8], _mm256_load_si256(p + i));
  }
  for (int i = 0; i < 8; i++) KEEP(sums[i]);
  return (double)bytes;
}
#pragma clang attribute pop

#pragma clang attribute push(__attribute__((target("avx512f,avx512vnni"))), apply_to = function)
static double int8_vnni(size_t repetitions) {
  __m512i sums[chains], x = _mm512_set1_epi8(3);
  for (int i = 0; i < chains; i++) sums[i] = _mm512_set1_epi32(i);
  for (size_t r = 0; r < repetitions; r++) {
    UNROLL for (int i = 0; i < chains; i++) {
      sums[i] = _mm512_dpbusd_epi32(sums[i], x, x);
      __asm__ volatile("" : "+v"(sums[i]));
    }
  }
  return (double)repetitions * chains * 64 * 2;
}
#pragma clang attribute pop

static int has_avx2(void) {
  __builtin_cpu_init();
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}
#endif

// What the compiler's own vectorizer makes of the same loops, for other processors.
static double float32_plain(size_t repetitions) {
  float sums[64];
  for (int i = 0; i < 64; i++) sums[i] = (float)i;
  for (size_t r = 0; r < repetitions; r++) {
    for (int i = 0; i < 64; i++) sums[i] = sums[i] * 0.5f + 0.5f;
    __asm__ volatile("" ::"r"(sums) : "memory");
  }
  return (double)repetitions * 64 * 2;
}

static double int8_plain(size_t repetitions) {
  int32_t sums[64] = {0};
  int8_t codes[64];
  for (int i = 0; i < 64; i++) codes[i] = (int8_t)i;
  for (size_t r = 0; r < repetitions; r++) {
    for (int i = 0; i < 64; i++) sums[i] += codes[i] * codes[63 - i];
    __asm__ volatile("" ::"r"(sums), "r"(codes) : "memory");
  }
  return (double)repetitions * 64 * 2;
}

static double read_plain(const void *memory, size_t bytes) {
  const uint64_t *p = memory;
  uint64_t sum = 0;
  for (size_t i = 0; i < bytes / 8; i++) sum |= p[i];
  __asm__ volatile("" ::"r"(sum));
  return (double)bytes;
}

#if defined(__x86_64__)
#define CHOOSE(avx2, plain) return has_avx2() ? avx2 : plain
#else
#define CHOOSE(avx2, plain) return plain
#endif

double peak_float32_operations(size_t repetitions) { CHOOSE(float32_avx2(repetitions), float32_plain(repetitions)); }
double peak_int8_operations(size_t repetitions, int has_vnni) {
#if defined(__x86_64__)
  if (has_vnni) return int8_vnni(repetitions);
#endif
  (void)has_vnni;
  CHOOSE(int8_avx2(repetitions), int8_plain(repetitions));
}
double peak_int8_folded_operations(size_t repetitions) { CHOOSE(int8_folded_avx2(repetitions), int8_plain(repetitions)); }
double peak_lookup_operations(size_t repetitions) { CHOOSE(lookup_avx2(repetitions), int8_plain(repetitions)); }
double peak_read_bytes(const void *memory, size_t bytes) { CHOOSE(read_avx2(memory, bytes), read_plain(memory, bytes)); }
