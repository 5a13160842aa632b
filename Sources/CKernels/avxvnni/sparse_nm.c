// int8 N:M weights with 256 bits: sparse_nm_tiles.h. Limit: vpshufb and vpdpbusd share three ports (Alder Lake, Sapphire Rapids: 1 and 5, 0 and 1): 32 stored weights in
// 2 / 3 of a cycle, 1.5 × the rate of dense int8 weights. 12 rows × 8 outputs fill 16 registers.
#if defined(__x86_64__)

#include "../avx2/simd.h"
#include "../sparse/nm_layout.h"
#include "kernels.h"

CK_TARGET_BEGIN(CK_TARGET_AVXVNNI)

#define LANES 8
#define ROWS 12
#define VECTOR(operation) _mm256_##operation
#define KEEP CK_KEEP
typedef __m256i ints;
typedef __m256 floats;
CK_INLINE ints load_ints(const void *p) { return _mm256_loadu_si256((const __m256i *)p); }
CK_INLINE ints zero_ints(void) { return _mm256_setzero_si256(); }
CK_INLINE ints as_ints(floats v) { return _mm256_castps_si256(v); }
CK_INLINE floats as_floats(ints v) { return _mm256_castsi256_ps(v); }
CK_INLINE ints multiply_bytes(ints sum, ints x, ints w) { return _mm256_dpbusd_avx_epi32(sum, x, w); }
CK_INLINE ints broadcast_eight(const uint8_t *p) { return ck_broadcast8(p); }
CK_INLINE ints first_lanes(size_t count) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)(count < 8 ? count : 8)), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
// The first `count` of 8, zeros behind them.
CK_INLINE floats load_some(const void *p, size_t count) { return _mm256_maskload_ps(p, first_lanes(count)); }
CK_INLINE void store_some(float *p, size_t count, floats v) { _mm256_maskstore_ps(p, first_lanes(count), v); }

#include "../avxvnni/sparse_nm_tiles.h"

void ck_nm_s8__avxvnni(const ck_nm_s8 *w, const ck_nm_activations *x, const ck_sparse_output *y, size_t row_begin, size_t row_end, size_t panel_begin,
                      size_t panel_end) {
  nm_s8(w, x, y, row_begin, row_end, panel_begin, panel_end);
}

CK_TARGET_END

#endif
