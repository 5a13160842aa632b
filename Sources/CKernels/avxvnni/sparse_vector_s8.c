// int8 sparse weights times one row of codes: avx2/sparse_vector_s8.h with vpdpwssd and vpdpbusd.
#if defined(__x86_64__)
#include "../avx2/simd.h"
#include "../gemm/layout.h"
#include "kernels.h"

CK_TARGET_BEGIN(CK_TARGET_AVXVNNI)

CK_INLINE __m256i add_singles(__m256i sum, __m256i x, __m256i w) { return _mm256_dpwssd_avx_epi32(sum, x, w); }
CK_INLINE __m256i add_quads(__m256i sum, __m256i x, __m256i w) {
  return _mm256_dpbusd_avx_epi32(sum, x, w);
}
CK_INLINE __m128i add_quads_of_4(__m128i sum, __m128i x, __m128i w) {
  return _mm_dpbusd_avx_epi32(sum, x, w);
}

#include "../avx2/sparse_vector_s8.h"

void ck_sparse_vector_s8__avxvnni(const ck_sparse_s8 *w, const uint8_t *codes, float scale, int32_t zero_point, const ck_sparse_output *y,
                                  void *workspace) {
  vector_product(w, codes, scale, zero_point, y, workspace);
}

CK_TARGET_END
#endif
