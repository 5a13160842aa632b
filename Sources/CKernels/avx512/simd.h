// AVX512 in short, for all sets that have F, BW, DQ and VL. always_inline, so that kernels of the sets above take these in.
#ifndef CK_AVX512_SIMD_H
#define CK_AVX512_SIMD_H

#include "../x86_intrinsics.h"
#include <string.h>

#include "instruction_sets.h"

CK_NO_CONTRACTION  // float epilogues give the bits of the portable kernels
CK_TARGET_BEGIN(CK_TARGET_AVX512)

CK_INLINE __m512i ck_load64(const void *p) { return _mm512_loadu_si512(p); }
CK_INLINE void ck_store64(void *p, __m512i v) { _mm512_storeu_si512(p, v); }
// Four bytes to all lanes: clang and gcc fold it into the operand of the instruction that uses it.
CK_INLINE __m512i ck_broadcast4x16(const void *p) {
  int32_t v;
  memcpy(&v, p, 4);
  return _mm512_set1_epi32(v);
}
// The lowest `count` ≤ 16 lanes.
CK_INLINE __mmask16 ck_first_lanes(size_t count) { return (__mmask16)(count >= 16 ? 0xFFFF : (1u << count) - 1); }
// Indices that transpose 4 × 4 quads of bytes.
CK_INLINE __m512i ck_quad_columns(void) { return _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15); }

CK_TARGET_END

#endif
