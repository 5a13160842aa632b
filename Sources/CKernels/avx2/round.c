#if defined(__x86_64__)
#include "round.h"

#include "../x86_intrinsics.h"
#include <stdbool.h>

#include "dispatch.h"
#include "kernels.h"
#include "scalar.h"

CK_TARGET_BEGIN(CK_TARGET_AVX2)

static inline void put(void *destination, __m256i value, bool streaming) {
  if (streaming) {
    _mm256_stream_si256((__m256i *)destination, value);
  } else {
    _mm256_storeu_si256((__m256i *)destination, value);
  }
}

static inline __m256i load_bits(const float *source) { return _mm256_loadu_si256((const __m256i *)source); }

static inline __m256i is_nan(__m256i bits) {
  __m256 x = _mm256_castsi256_ps(bits);
  return _mm256_castps_si256(_mm256_cmp_ps(x, x, _CMP_UNORD_Q));
}

// Each block turns 16 numbers at `source` into 16 at `destination`.

// VCVTPS2PH with an explicit mode ignores MXCSR.RC and FTZ, and a float32 subnormal (what DAZ clears) rounds to zero anyway.
static inline void f16_block(const float *source, uint16_t *destination, bool streaming) {
  __m128i low = _mm256_cvtps_ph(_mm256_loadu_ps(source), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  __m128i high = _mm256_cvtps_ph(_mm256_loadu_ps(source + 8), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  put(destination, _mm256_set_m128i(high, low), streaming);
}

// Eight bfloat16 bit patterns, each in a lane of 32 bits.
static inline __m256i bf16_of(__m256i bits) {
  __m256i upper = _mm256_srli_epi32(bits, 16);
  __m256i odd = _mm256_and_si256(upper, _mm256_set1_epi32(1));
  __m256i half = _mm256_add_epi32(odd, _mm256_set1_epi32(0x7FFF));
  __m256i rounded = _mm256_srli_epi32(_mm256_add_epi32(bits, half), 16);
  return _mm256_blendv_epi8(rounded, _mm256_or_si256(upper, _mm256_set1_epi32(0x40)), is_nan(bits));
}

static inline void bf16_block(const float *source, uint16_t *destination, bool streaming) {
  __m256i packed = _mm256_packus_epi32(bf16_of(load_bits(source)), bf16_of(load_bits(source + 8)));
  put(destination, _mm256_permute4x64_epi64(packed, 0xD8), streaming);  // the pack interleaves its halves by 64 bits
}

// VCVTPH2PS ignores DAZ and FTZ; it makes signalling NaNs quiet.
static inline void widen_f16_block(const uint16_t *source, float *destination, bool streaming) {
  for (int i = 0; i < 16; i += 8) {
    __m256 wide = _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(source + i)));
    put(destination + i, _mm256_castps_si256(wide), streaming);
  }
}

static inline void widen_bf16_block(const uint16_t *source, float *destination, bool streaming) {
  for (int i = 0; i < 16; i += 8) {
    __m256i bits = _mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)(source + i))), 16);
    __m256i quiet = _mm256_and_si256(is_nan(bits), _mm256_set1_epi32(0x400000));
    put(destination + i, _mm256_or_si256(bits, quiet), streaming);
  }
}

// TF32: adds what carries into the kept bits, sets the quiet bit of NaNs, clears the low 13 bits.
static inline __m256i tf32_of(__m256i bits, __m256i half) {
  __m256i quiet = _mm256_or_si256(bits, _mm256_set1_epi32(0x400000));
  __m256i carried = _mm256_blendv_epi8(_mm256_add_epi32(bits, half), quiet, is_nan(bits));
  return _mm256_and_si256(carried, _mm256_set1_epi32(~0x1FFF));
}

static inline void tf32_even_block(const float *source, float *destination, bool streaming) {
  for (int i = 0; i < 16; i += 8) {
    __m256i bits = load_bits(source + i);
    __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 13), _mm256_set1_epi32(1));
    put(destination + i, tf32_of(bits, _mm256_add_epi32(odd, _mm256_set1_epi32(0xFFF))), streaming);
  }
}

static inline void tf32_away_block(const float *source, float *destination, bool streaming) {
  for (int i = 0; i < 16; i += 8) {
    put(destination + i, tf32_of(load_bits(source + i), _mm256_set1_epi32(0x1000)), streaming);
  }
}

static inline void tf32_zero_block(const float *source, float *destination, bool streaming) {
  for (int i = 0; i < 16; i += 8) {
    put(destination + i, tf32_of(load_bits(source + i), _mm256_setzero_si256()), streaming);
  }
}

// Blocks of 16, a scalar tail; a large destination also has a scalar head up to the alignment that streaming stores need. In
// place the lines are in the cache already, so nothing is gained by streaming.
#define ROUND_KERNEL(operation, from, to, block, scalar)                                                \
  void ck_##operation##__avx2(const from *source, to *destination, size_t count) {                      \
    size_t i = 0;                                                                                       \
    if (count >= ck_streaming_bytes / sizeof(to) && (const void *)source != (const void *)destination) {   \
      for (; (uintptr_t)(destination + i) % 32 != 0; i++) destination[i] = scalar(source[i]);           \
      for (; count - i >= 16; i += 16) block(source + i, destination + i, true);                        \
      _mm_sfence();                                                                                     \
    }                                                                                                   \
    for (; count - i >= 16; i += 16) block(source + i, destination + i, false);                         \
    for (; i < count; i++) destination[i] = scalar(source[i]);                                          \
  }

ROUND_KERNEL(round_f16_f32, float, uint16_t, f16_block, ck_f16_from_f32)
ROUND_KERNEL(round_bf16_f32, float, uint16_t, bf16_block, ck_bf16_from_f32)
ROUND_KERNEL(widen_f32_f16, uint16_t, float, widen_f16_block, ck_f32_from_f16)
ROUND_KERNEL(widen_f32_bf16, uint16_t, float, widen_bf16_block, ck_f32_from_bf16)
ROUND_KERNEL(round_tf32_even_f32, float, float, tf32_even_block, ck_tf32_even)
ROUND_KERNEL(round_tf32_away_f32, float, float, tf32_away_block, ck_tf32_away)
ROUND_KERNEL(round_tf32_zero_f32, float, float, tf32_zero_block, ck_tf32_zero)

CK_TARGET_END
#endif
