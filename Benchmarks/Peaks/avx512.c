// Peaks with registers of 512 bits.
#include "loops.h"

#if defined(__x86_64__)
#include <immintrin.h>

#include "instruction_sets.h"

// Sums that do not wait for one another: latency × instructions a cycle is at most 6 × 2 (vdpbf16ps of Zen).
enum { chains = 16 };

CK_TARGET_BEGIN(CK_TARGET_AVX512)

double peak_float32_avx512(size_t repetitions) {
  __m512 sums[chains], x = _mm512_set1_ps(0.5f);
  CK_UNROLL
  for (int i = 0; i < chains; i++) sums[i] = _mm512_set1_ps((float)i);
  for (size_t r = 0; r < repetitions; r++) {
    CK_UNROLL
    for (int i = 0; i < chains; i++) {
      sums[i] = _mm512_fmadd_ps(sums[i], x, x);
      PEAK_KEEP(sums[i]);
    }
  }
  return (double)(repetitions * chains * 16 * 2);
}

double peak_int8_avx512(size_t repetitions) {
  __m512i sums[chains], x = _mm512_set1_epi8(3), ones = _mm512_set1_epi16(1);
  CK_UNROLL
  for (int i = 0; i < chains; i++) sums[i] = _mm512_set1_epi32(i);
  for (size_t r = 0; r < repetitions; r++) {
    CK_UNROLL
    for (int i = 0; i < chains; i++) {
      PEAK_KEEP(x);  // else the product, the same each time, would be computed once
      __m512i products = _mm512_maddubs_epi16(x, ones);
      PEAK_KEEP(products);
      sums[i] = _mm512_add_epi32(sums[i], _mm512_madd_epi16(products, ones));
      PEAK_KEEP(sums[i]);
    }
  }
  return (double)(repetitions * chains * 64 * 2);
}

double peak_int8_folded_avx512(size_t repetitions) {
  enum { folds = 8, sets = 8 };
  __m512i sums[sets], x = _mm512_set1_epi8(3), ones = _mm512_set1_epi16(1);
  CK_UNROLL
  for (int i = 0; i < sets; i++) sums[i] = _mm512_set1_epi32(i);
  for (size_t r = 0; r < repetitions; r++) {
    __m512i narrow[sets];
    CK_UNROLL
    for (int i = 0; i < sets; i++) {
      PEAK_KEEP(x);
      narrow[i] = _mm512_maddubs_epi16(x, ones);
    }
    CK_UNROLL
    for (int f = 1; f < folds; f++) {
      CK_UNROLL
      for (int i = 0; i < sets; i++) {
        PEAK_KEEP(x);
        __m512i products = _mm512_maddubs_epi16(x, ones);
        PEAK_KEEP(products);
        narrow[i] = _mm512_add_epi16(narrow[i], products);
        PEAK_KEEP(narrow[i]);
      }
    }
    CK_UNROLL
    for (int i = 0; i < sets; i++) {
      sums[i] = _mm512_add_epi32(sums[i], _mm512_madd_epi16(narrow[i], ones));
      PEAK_KEEP(sums[i]);
    }
  }
  return (double)(repetitions * sets * folds * 64 * 2);
}

double peak_lookup_avx512(size_t repetitions) {
  __m512i sums[chains], table = _mm512_set1_epi8(3), index = _mm512_set1_epi8(1);
  CK_UNROLL
  for (int i = 0; i < chains; i++) sums[i] = _mm512_set1_epi8((char)i);
  for (size_t r = 0; r < repetitions; r++) {
    CK_UNROLL
    for (int i = 0; i < chains; i++) {
      PEAK_KEEP(index);
      __m512i found = _mm512_shuffle_epi8(table, index);
      PEAK_KEEP(found);
      sums[i] = _mm512_add_epi8(sums[i], found);
      PEAK_KEEP(sums[i]);
    }
  }
  return (double)(repetitions * chains * 64 * 4 * 2);
}

void peak_read_avx512(const void *memory, size_t bytes) {
  const char *p = memory;
  __m512i sums[8];
  CK_UNROLL
  for (int i = 0; i < 8; i++) sums[i] = _mm512_setzero_si512();
  for (size_t at = 0; at + 512 <= bytes; at += 512) {
    CK_UNROLL
    for (int i = 0; i < 8; i++) sums[i] = _mm512_or_si512(sums[i], _mm512_load_si512(p + at + 64 * (size_t)i));
  }
  CK_UNROLL
  for (int i = 0; i < 8; i++) PEAK_KEEP(sums[i]);
}

// Four places at once with prefetches 8 KiB ahead: beyond the L2 cache up to a quarter faster than one after the other.
void peak_read_streams_avx512(const void *memory, size_t bytes) {
  const char *p = memory;
  const size_t quarter = bytes / 4;
  __m512i sums[8];
  CK_UNROLL
  for (int i = 0; i < 8; i++) sums[i] = _mm512_setzero_si512();
  for (size_t at = 0; at + 128 <= quarter; at += 128) {
    CK_UNROLL
    for (int i = 0; i < 8; i++) {
      const char *from = p + (size_t)(i / 2) * quarter + at + 64 * (size_t)(i % 2);
      __builtin_prefetch(from + 8192, 0, 3);
      sums[i] = _mm512_or_si512(sums[i], _mm512_load_si512(from));
    }
  }
  CK_UNROLL
  for (int i = 0; i < 8; i++) PEAK_KEEP(sums[i]);
}

CK_TARGET_END

CK_TARGET_BEGIN(CK_TARGET_AVX512VNNI)

double peak_int8_avx512vnni(size_t repetitions) {
  __m512i sums[chains], x = _mm512_set1_epi8(3);
  CK_UNROLL
  for (int i = 0; i < chains; i++) sums[i] = _mm512_set1_epi32(i);
  for (size_t r = 0; r < repetitions; r++) {
    CK_UNROLL
    for (int i = 0; i < chains; i++) {
      sums[i] = _mm512_dpbusd_epi32(sums[i], x, x);
      PEAK_KEEP(sums[i]);
    }
  }
  return (double)(repetitions * chains * 64 * 2);
}

CK_TARGET_END

CK_TARGET_BEGIN(CK_TARGET_AVX512BF16)

double peak_count_avx512bf16(size_t repetitions) {
  __m512i sums[chains], x = _mm512_set1_epi8(3);
  CK_UNROLL
  for (int i = 0; i < chains; i++) sums[i] = _mm512_set1_epi64(i);
  for (size_t r = 0; r < repetitions; r++) {
    CK_UNROLL
    for (int i = 0; i < chains; i++) {
      __m512i differing = _mm512_xor_si512(x, sums[i]);
      PEAK_KEEP(differing);
      sums[i] = _mm512_add_epi64(sums[i], _mm512_popcnt_epi64(differing));
      PEAK_KEEP(sums[i]);
    }
  }
  return (double)(repetitions * chains * 512 * 2);
}

double peak_bf16_avx512bf16(size_t repetitions) {
  __m512 sums[chains];
  const __m512bh x = (__m512bh)_mm512_set1_epi16(0x3F00);  // 0.5
  CK_UNROLL
  for (int i = 0; i < chains; i++) sums[i] = _mm512_set1_ps((float)i);
  for (size_t r = 0; r < repetitions; r++) {
    CK_UNROLL
    for (int i = 0; i < chains; i++) {
      sums[i] = _mm512_dpbf16_ps(sums[i], x, x);
      PEAK_KEEP(sums[i]);
    }
  }
  return (double)(repetitions * chains * 32 * 2);
}

CK_TARGET_END
#endif
