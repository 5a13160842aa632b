// int8 sparse weights times several rows of X: avx2/sparse_s8.h with vpdpbusd, exact whatever the weights are, so quads are never split. Limits, for 32 rows, on
// three ports for 256 bits, of which two multiply:
//
//   neighbours   4 products, 2 cycles; a sum waits 5 cycles and 8 fit beside the inputs: 2.5, as measured on a Sapphire Rapids. Of taller blocks 12 fit, 3 vectors
//                of rows of 4 outputs: 9 cycles for 16 products
//   gathered     8 unpacks and 4 products, 4 cycles, measured 5.2; taller blocks take 4 outputs of half of the rows, 24 operations for 16 products, 8 cycles
#if defined(__x86_64__)
#include "../avx2/sparse_s8_panel.h"
#include "kernels.h"

CK_TARGET_BEGIN(CK_TARGET_AVXVNNI)

enum { is_slow = 1 };

CK_INLINE __m256i add_products(__m256i sum, __m256i codes, __m256i weights) { return _mm256_dpbusd_avx_epi32(sum, codes, weights); }

#include "../avx2/sparse_s8.h"

void ck_sparse_s8__avxvnni(const ck_sparse_s8 *w, size_t parts, const ck_sparse_input *x, const ck_sparse_output *y, size_t row_begin, size_t row_end,
                           void *workspace) {
  product(w, parts, x, y, row_begin, row_end, workspace);
}

CK_TARGET_END
#endif
