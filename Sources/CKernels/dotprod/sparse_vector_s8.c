// int8 sparse weights times one row of codes: neon/sparse_vector_s8.h with SDOT.
#if defined(__aarch64__)
#include "../neon/kernels.h"
#include "../neon/simd.h"
#include "kernels.h"

CK_TARGET_BEGIN(CK_TARGET_DOTPROD)

CK_INLINE int32x4_t add_products(int32x4_t sum, int8x16_t x, int8x16_t w) { return vdotq_s32(sum, x, w); }
CK_INLINE int32x4_t add_quads(int32x4_t sum, int8x16_t x, int8x16_t w) { return vdotq_s32(sum, x, w); }

#include "../neon/sparse_vector_s8.h"

void ck_sparse_vector_s8__dotprod(const ck_sparse_s8 *w, const uint8_t *codes, float scale, int32_t zero_point, const ck_sparse_output *y,
                                  void *workspace) {
  vector_product(w, codes, scale, zero_point, y, workspace);
}

CK_TARGET_END
#endif
