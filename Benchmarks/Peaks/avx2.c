// Peaks with registers of 256 bits.
#include "loops.h"

#if defined(__x86_64__)
#include <immintrin.h>

#include "instruction_sets.h"

// Sums that do not wait for one another: latency × instructions a cycle is at most 5 × 2.
enum { chains = 12 };

CK_TARGET_BEGIN(CK_TARGET_AVX2)

double peak_float32_avx2(size_t repetitions) {
  __m256 sums[chains], x = _mm256_set1_ps(0.5f);
  CK_UNROLL
  for (int i = 0; i < chains; i++) sums[i] = _mm256_set1_ps((float)i);
  for (size_t r = 0; r < repetitions; r++) {
    CK_UNROLL
    for (int i = 0; i < chains; i++) {
      sums[i] = _mm256_fmadd_ps(sums[i], x, x);
      PEAK_KEEP(sums[i]);
    }
  }
  return (double)(repetitions * chains * 8 * 2);
}

double peak_int8_avx2(size_t repetitions) {
  __m256i sums[chains], x = _mm256_set1_epi8(3), ones = _mm256_set1_epi16(1);
  CK_UNROLL
  for (int i = 0; i < chains; i++) sums[i] = _mm256_set1_epi32(i);
  for (size_t r = 0; r < repetitions; r++) {
    CK_UNROLL
    for (int i = 0; i < chains; i++) {
      PEAK_KEEP(x);  // else the product, the same each time, would be computed once
      __m256i products = _mm256_maddubs_epi16(x, ones);
      PEAK_KEEP(products);
      sums[i] = _mm256_add_epi32(sums[i], _mm256_madd_epi16(products, ones));
      PEAK_KEEP(sums[i]);
    }
  }
  return (double)(repetitions * chains * 32 * 2);
}

double peak_int8_folded_avx2(size_t repetitions) {
  enum { folds = 8, sets = 6 };
  __m256i sums[sets], x = _mm256_set1_epi8(3), ones = _mm256_set1_epi16(1);
  CK_UNROLL
  for (int i = 0; i < sets; i++) sums[i] = _mm256_set1_epi32(i);
  for (size_t r = 0; r < repetitions; r++) {
    __m256i narrow[sets];
    CK_UNROLL
    for (int i = 0; i < sets; i++) {
      PEAK_KEEP(x);
      narrow[i] = _mm256_maddubs_epi16(x, ones);
    }
    CK_UNROLL
    for (int f = 1; f < folds; f++) {
      CK_UNROLL
      for (int i = 0; i < sets; i++) {
        PEAK_KEEP(x);
        __m256i products = _mm256_maddubs_epi16(x, ones);
        PEAK_KEEP(products);
        narrow[i] = _mm256_add_epi16(narrow[i], products);
        PEAK_KEEP(narrow[i]);
      }
    }
    CK_UNROLL
    for (int i = 0; i < sets; i++) {
      sums[i] = _mm256_add_epi32(sums[i], _mm256_madd_epi16(narrow[i], ones));
      PEAK_KEEP(sums[i]);
    }
  }
  return (double)(repetitions * sets * folds * 32 * 2);
}

double peak_lookup_avx2(size_t repetitions) {
  __m256i sums[chains], table = _mm256_set1_epi8(3), index = _mm256_set1_epi8(1);
  CK_UNROLL
  for (int i = 0; i < chains; i++) sums[i] = _mm256_set1_epi8((char)i);
  for (size_t r = 0; r < repetitions; r++) {
    CK_UNROLL
    for (int i = 0; i < chains; i++) {
      PEAK_KEEP(index);
      __m256i found = _mm256_shuffle_epi8(table, index);
      PEAK_KEEP(found);
      sums[i] = _mm256_add_epi8(sums[i], found);
      PEAK_KEEP(sums[i]);
    }
  }
  return (double)(repetitions * chains * 32 * 4 * 2);
}

void peak_read_avx2(const void *memory, size_t bytes) {
  const char *p = memory;
  __m256i sums[8];
  CK_UNROLL
  for (int i = 0; i < 8; i++) sums[i] = _mm256_setzero_si256();
  for (size_t at = 0; at + 512 <= bytes; at += 512) {
    CK_UNROLL
    for (int i = 0; i < 16; i++) sums[i % 8] = _mm256_or_si256(sums[i % 8], _mm256_load_si256((const void *)(p + at + 32 * (size_t)i)));
  }
  CK_UNROLL
  for (int i = 0; i < 8; i++) PEAK_KEEP(sums[i]);
}

// Four places at once with prefetches 8 KiB ahead: beyond the L2 cache up to a quarter faster than one after the other.
void peak_read_streams_avx2(const void *memory, size_t bytes) {
  const char *p = memory;
  const size_t quarter = bytes / 4;
  __m256i sums[8];
  CK_UNROLL
  for (int i = 0; i < 8; i++) sums[i] = _mm256_setzero_si256();
  for (size_t at = 0; at + 64 <= quarter; at += 64) {
    CK_UNROLL
    for (int i = 0; i < 4; i++) {
      const char *from = p + (size_t)i * quarter + at;
      __builtin_prefetch(from + 8192, 0, 3);
      sums[2 * i] = _mm256_or_si256(sums[2 * i], _mm256_load_si256((const void *)from));
      sums[2 * i + 1] = _mm256_or_si256(sums[2 * i + 1], _mm256_load_si256((const void *)(from + 32)));
    }
  }
  CK_UNROLL
  for (int i = 0; i < 8; i++) PEAK_KEEP(sums[i]);
}

CK_TARGET_END

CK_TARGET_BEGIN(CK_TARGET_AVXVNNI)

double peak_int8_avxvnni(size_t repetitions) {
  __m256i sums[chains], x = _mm256_set1_epi8(3);
  CK_UNROLL
  for (int i = 0; i < chains; i++) sums[i] = _mm256_set1_epi32(i);
  for (size_t r = 0; r < repetitions; r++) {
    CK_UNROLL
    for (int i = 0; i < chains; i++) {
      sums[i] = _mm256_dpbusd_avx_epi32(sums[i], x, x);
      PEAK_KEEP(sums[i]);
    }
  }
  return (double)(repetitions * chains * 32 * 2);
}

CK_TARGET_END
#endif
