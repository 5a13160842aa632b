// int8 sparse weights times several rows of X: sparse_s8.h with multiply pairs, widen, add. Quads never saturate (sparse.h). Two outputs share the
// eight shuffles: 32 vector operations for 256 products, 16 of them multiplications, so 8 cycles on two multipliers and four ports: twice the float32
// peak.
#if defined(__x86_64__)
#include "sparse_s8_panel.h"

CK_TARGET_BEGIN(CK_TARGET_AVX2)

enum { is_slow = 0 };

CK_INLINE __m256i add_products(__m256i sum, __m256i codes, __m256i weights) {
  return _mm256_add_epi32(sum, _mm256_madd_epi16(_mm256_maddubs_epi16(codes, weights), _mm256_set1_epi16(1)));
}

#include "sparse_s8.h"

size_t ck_sparse_s8_workspace_bytes__avx2(const ck_sparse_structure *w) { return workspace_bytes(w); }

void ck_sparse_s8__avx2(const ck_sparse_s8 *w, size_t parts, const ck_sparse_input *x, const ck_sparse_output *y, size_t row_begin, size_t row_end,
                        void *workspace) {
  product(w, parts, x, y, row_begin, row_end, workspace);
}

CK_TARGET_END
#endif
