// Rounding and widening, 32 numbers at a time. In L1 and L2 the ports are the limit (BF16: 16 operations for 32 numbers on two ports, half of what 256
// bits take); from memory the bandwidth is, as with AVX2. VCVTNEPS2BF16 would flush subnormals.
#if defined(__x86_64__)
#include "round.h"

#include <stdbool.h>

#include "../avx2/kernels.h"
#include "dispatch.h"
#include "scalar.h"
#include "simd.h"

CK_TARGET_BEGIN(CK_TARGET_AVX512)

CK_INLINE void put(void *destination, __m512i value, bool streaming) {
  if (streaming) _mm512_stream_si512((__m512i *)destination, value);
  else ck_store64(destination, value);
}

CK_INLINE __mmask16 is_nan(__m512i bits) {
  __m512 x = _mm512_castsi512_ps(bits);
  return _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q);
}

// 16 bit patterns of a format of 16 bits. VCVTPS2PH with an explicit mode ignores MXCSR.RC and FTZ, and a float32 subnormal (what DAZ clears) rounds to
// zero anyway.
CK_INLINE __m256i f16_of(__m512i bits) { return _mm512_cvtps_ph(_mm512_castsi512_ps(bits), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }

CK_INLINE __m512i bf16_lanes(__m512i bits) {
  __m512i upper = _mm512_srli_epi32(bits, 16), odd = _mm512_and_si512(upper, _mm512_set1_epi32(1));
  __m512i rounded = _mm512_srli_epi32(_mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7FFF))), 16);
  return _mm512_mask_or_epi32(rounded, is_nan(bits), upper, _mm512_set1_epi32(0x40));
}
CK_INLINE __m256i bf16_of(__m512i bits) { return _mm512_cvtepi32_epi16(bf16_lanes(bits)); }

CK_INLINE __m512i f16_pair(__m512i first, __m512i second) { return _mm512_inserti64x4(_mm512_castsi256_si512(f16_of(first)), f16_of(second), 1); }
CK_INLINE __m512i bf16_pair(__m512i first, __m512i second) {
  __m512i packed = _mm512_packus_epi32(bf16_lanes(first), bf16_lanes(second));  // within 128 bits: parts of 64 bits in the order 0 2 4 6 1 3 5 7
  return _mm512_permutexvar_epi64(_mm512_setr_epi64(0, 2, 4, 6, 1, 3, 5, 7), packed);
}

// 16 floats of bit patterns. VCVTPH2PS ignores DAZ and FTZ; it makes signalling NaNs quiet.
CK_INLINE __m512i float_of_f16(__m256i half) { return _mm512_castps_si512(_mm512_cvtph_ps(half)); }
CK_INLINE __m512i float_of_bf16(__m256i half) {
  __m512i bits = _mm512_slli_epi32(_mm512_cvtepu16_epi32(half), 16);
  return _mm512_mask_or_epi32(bits, is_nan(bits), bits, _mm512_set1_epi32(0x400000));
}

// TF32: adds what carries into the kept bits, sets the quiet bit of NaNs, clears the low 13 bits.
CK_INLINE __m512i tf32_of(__m512i bits, __m512i half) {
  __m512i carried = _mm512_mask_or_epi32(_mm512_add_epi32(bits, half), is_nan(bits), bits, _mm512_set1_epi32(0x400000));
  return _mm512_and_si512(carried, _mm512_set1_epi32(~0x1FFF));
}
CK_INLINE __m512i tf32_even(__m512i bits) {
  __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 13), _mm512_set1_epi32(1));
  return tf32_of(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0xFFF)));
}
CK_INLINE __m512i tf32_away(__m512i bits) { return tf32_of(bits, _mm512_set1_epi32(0x1000)); }
CK_INLINE __m512i tf32_zero(__m512i bits) { return tf32_of(bits, _mm512_setzero_si512()); }

#define LOAD_FLOATS(lanes, from) _mm512_maskz_loadu_epi32(lanes, from)
#define LOAD_HALVES(lanes, from) _mm256_maskz_loadu_epi16(lanes, from)

// A block of 32 numbers, and up to 16 of them.
#define NARROW(operation)                                                                                                    \
  CK_INLINE void operation##_block(const float *from, uint16_t *to, bool streaming) {                                        \
    put(to, operation##_pair(ck_load64(from), ck_load64(from + 16)), streaming);                                             \
  }                                                                                                                          \
  CK_INLINE void operation##_some(const float *from, uint16_t *to, __mmask16 lanes) {                                        \
    _mm256_mask_storeu_epi16(to, lanes, operation##_of(LOAD_FLOATS(lanes, from)));                                           \
  }
#define TO_FLOATS(operation, type, load)                                                                                     \
  CK_INLINE void operation##_block(const type *from, float *to, bool streaming) {                                            \
    put(to, operation(load(0xFFFF, from)), streaming);                                                                       \
    put(to + 16, operation(load(0xFFFF, from + 16)), streaming);                                                             \
  }                                                                                                                          \
  CK_INLINE void operation##_some(const type *from, float *to, __mmask16 lanes) {                                            \
    _mm512_mask_storeu_epi32(to, lanes, operation(load(lanes, from)));                                                       \
  }

// A large destination is written past the caches, from a line's beginning on, unless it is the source.
#define ROUND_KERNEL(operation, from, to, block, scalar)                                                                     \
  void ck_##operation##__avx512(const from *source, to *destination, size_t count) {                                         \
    size_t i = 0;                                                                                                            \
    if (count >= ck_streaming_bytes / sizeof(to) && (const void *)source != (const void *)destination) {                     \
      for (; (uintptr_t)(destination + i) % 64 != 0; i++) destination[i] = scalar(source[i]);                                \
      for (; count - i >= 32; i += 32) block##_block(source + i, destination + i, true);                                     \
      _mm_sfence();                                                                                                          \
    }                                                                                                                        \
    for (; count - i >= 32; i += 32) block##_block(source + i, destination + i, false);                                      \
    for (; i < count; i += 16) block##_some(source + i, destination + i, ck_first_lanes(count - i));                         \
  }

NARROW(f16)
NARROW(bf16)
TO_FLOATS(float_of_f16, uint16_t, LOAD_HALVES)
TO_FLOATS(float_of_bf16, uint16_t, LOAD_HALVES)
TO_FLOATS(tf32_even, float, LOAD_FLOATS)
TO_FLOATS(tf32_away, float, LOAD_FLOATS)
TO_FLOATS(tf32_zero, float, LOAD_FLOATS)

ROUND_KERNEL(round_f16_f32, float, uint16_t, f16, ck_f16_from_f32)
ROUND_KERNEL(round_bf16_f32, float, uint16_t, bf16, ck_bf16_from_f32)
ROUND_KERNEL(widen_f32_f16, uint16_t, float, float_of_f16, ck_f32_from_f16)
ROUND_KERNEL(widen_f32_bf16, uint16_t, float, float_of_bf16, ck_f32_from_bf16)
ROUND_KERNEL(round_tf32_even_f32, float, float, tf32_even, ck_tf32_even)
ROUND_KERNEL(round_tf32_away_f32, float, float, tf32_away, ck_tf32_away)
ROUND_KERNEL(round_tf32_zero_f32, float, float, tf32_zero, ck_tf32_zero)

CK_TARGET_END
#endif
