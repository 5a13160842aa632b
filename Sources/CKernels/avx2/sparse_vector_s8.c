// int8 sparse weights times one row of codes: sparse_vector_s8.h with multiply pairs, widen, add. Quads never saturate (sparse.h).
#if defined(__x86_64__)
#include "../gemm/layout.h"
#include "kernels.h"
#include "simd.h"

CK_TARGET_BEGIN(CK_TARGET_AVX2)

CK_INLINE __m256i add_singles(__m256i sum, __m256i x, __m256i w) { return _mm256_add_epi32(sum, _mm256_madd_epi16(x, w)); }
CK_INLINE __m256i add_quads(__m256i sum, __m256i x, __m256i w) {
  return _mm256_add_epi32(sum, _mm256_madd_epi16(_mm256_maddubs_epi16(x, w), _mm256_set1_epi16(1)));
}
CK_INLINE __m128i add_quads_of_4(__m128i sum, __m128i x, __m128i w) {
  return _mm_add_epi32(sum, _mm_madd_epi16(_mm_maddubs_epi16(x, w), _mm_set1_epi16(1)));
}

#include "sparse_vector_s8.h"

void ck_sparse_vector_s8__avx2(const ck_sparse_s8 *w, const uint8_t *codes, float scale, int32_t zero_point, const ck_sparse_output *y,
                               void *workspace) {
  vector_product(w, codes, scale, zero_point, y, workspace);
}

CK_TARGET_END
#endif
