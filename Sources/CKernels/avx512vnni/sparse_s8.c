// int8 sparse weights times several rows of X: avx512/sparse_s8.h with vpdpbusd, exact whatever the weights are, so quads are never split. Limits, on two
// ports for 512 bits (Sapphire Rapids, 2.9 GHz):
//
//   1×4          2 multiplications for 128 products, 4 loads: 1.6 cycles; with all 64 rows at a time, from L2, 5.5 cycles for 256 products
//   gathered     6 unpacks, 2 shifts, 2 blends, 4 multiplications on two ports, 7 cycles. At 90 % zeros 256×1024×1024 takes 250 µs of these, 2,100 GOP/s
#if defined(__x86_64__)
#include "../avx512/kernels.h"
#include "../avx512/sparse_s8_panel.h"
#include "kernels.h"

CK_TARGET_BEGIN(CK_TARGET_AVX512VNNI)

CK_INLINE __m512i add_products(__m512i sum, __m512i codes, __m512i weights) { return _mm512_dpbusd_epi32(sum, codes, weights); }

#include "../avx512/sparse_s8.h"

void ck_sparse_s8__avx512vnni(const ck_sparse_s8 *w, size_t parts, const ck_sparse_input *x, const ck_sparse_output *y, size_t row_begin,
                              size_t row_end, void *workspace) {
  product(w, parts, x, y, row_begin, row_end, workspace);
}

CK_TARGET_END
#endif
