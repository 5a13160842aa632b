// int8 sparse weights times few rows of X: avx2/sparse_s8.h, 32 rows at a time in 256 bits, with vpdpbusd; config.c says for how many.
#if defined(__x86_64__)
#include "../avx2/sparse_s8_panel.h"
#include "kernels.h"

CK_TARGET_BEGIN(CK_TARGET_AVX512VNNI)

enum { is_slow = 1 };

CK_INLINE __m256i add_products(__m256i sum, __m256i codes, __m256i weights) { return _mm256_dpbusd_epi32(sum, codes, weights); }

#include "../avx2/sparse_s8.h"

void ck_sparse_s8_narrow__avx512vnni(const ck_sparse_s8 *w, size_t parts, const ck_sparse_input *x, const ck_sparse_output *y, size_t row_begin,
                                     size_t row_end, void *workspace) {
  product(w, parts, x, y, row_begin, row_end, workspace);
}

CK_TARGET_END
#endif
