// int8 sparse weights times one row of codes: avx512/sparse_vector_s8.h with vpdpwssd and vpdpbusd.
#if defined(__x86_64__)
#include "../avx512/simd.h"
#include "../gemm/layout.h"
#include "kernels.h"

CK_TARGET_BEGIN(CK_TARGET_AVX512VNNI)

CK_INLINE __m512i add_singles(__m512i sum, __m512i x, __m512i w) { return _mm512_dpwssd_epi32(sum, x, w); }
CK_INLINE __m512i add_quads_of_16(__m512i sum, __m512i x, __m512i w) { return _mm512_dpbusd_epi32(sum, x, w); }
CK_INLINE __m256i add_quads_of_8(__m256i sum, __m256i x, __m256i w) { return _mm256_dpbusd_epi32(sum, x, w); }
CK_INLINE __m128i add_quads_of_4(__m128i sum, __m128i x, __m128i w) { return _mm_dpbusd_epi32(sum, x, w); }

#include "../avx512/sparse_vector_s8.h"

void ck_sparse_vector_s8__avx512vnni(const ck_sparse_s8 *w, const uint8_t *codes, float scale, int32_t zero_point, const ck_sparse_output *y,
                                     void *workspace) {
  vector_product(w, codes, scale, zero_point, y, workspace);
}

CK_TARGET_END
#endif
