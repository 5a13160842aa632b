// int8 sparse weights times one row of codes: sparse_vector_s8.h with products of 16 bits, exact as sparse_s8.c says.
#if defined(__aarch64__)
#include "kernels.h"
#include "simd.h"

CK_TARGET_BEGIN(CK_TARGET_NEON)

CK_INLINE int32x4_t add_products(int32x4_t sum, int8x16_t x, int8x16_t w) {
  return vpadalq_s16(sum, vmlal_high_s8(vmull_s8(vget_low_s8(x), vget_low_s8(w)), x, w));
}
CK_INLINE int32x4_t add_quads(int32x4_t sum, int8x16_t x, int8x16_t w) {
  return vpadalq_s16(sum, vpaddq_s16(vmull_s8(vget_low_s8(x), vget_low_s8(w)), vmull_high_s8(x, w)));
}

#include "sparse_vector_s8.h"

void ck_sparse_vector_s8__neon(const ck_sparse_s8 *w, const uint8_t *codes, float scale, int32_t zero_point, const ck_sparse_output *y, void *workspace) {
  vector_product(w, codes, scale, zero_point, y, workspace);
}

CK_TARGET_END
#endif
