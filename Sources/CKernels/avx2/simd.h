// AVX2 in short. Kernel files include this and open a target of their own.
#ifndef CK_AVX2_SIMD_H
#define CK_AVX2_SIMD_H

#include "../x86_intrinsics.h"
#include <string.h>

#include "instruction_sets.h"

CK_NO_CONTRACTION  // float epilogues give the bits of the portable kernels
CK_TARGET_BEGIN(CK_TARGET_AVX2)

CK_INLINE __m256i ck_load(const void *p) { return _mm256_load_si256((const __m256i *)p); }
CK_INLINE void ck_store(void *p, __m256i v) { _mm256_store_si256((__m256i *)p, v); }
CK_INLINE __m256i ck_broadcast4(const void *p) {
  int32_t v;
  memcpy(&v, p, 4);
  return _mm256_set1_epi32(v);
}
CK_INLINE __m256i ck_broadcast8(const void *p) {
  int64_t v;
  memcpy(&v, p, 8);
  return _mm256_set1_epi64x(v);
}

CK_TARGET_END

#endif
