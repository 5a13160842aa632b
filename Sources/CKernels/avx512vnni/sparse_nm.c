// int8 N:M weights with 512 bits: avxvnni/sparse_nm_tiles.h. Limit: on Intel vpshufb takes port 5, so that vpdpbusd is left with port 0: 64 stored weights a cycle, the rate of
// dense int8 weights. 12 rows × 16 outputs. Measured on a Sapphire Rapids whose dense peak is 763 GOP/s: 590 to 625 at 256×1024×1024, quantizing included.
#if defined(__x86_64__)

#include "../avx512/simd.h"
#include "../sparse/nm_layout.h"
#include "kernels.h"

CK_TARGET_BEGIN(CK_TARGET_AVX512VNNI)

#define LANES 16
#define ROWS 12
#define VECTOR(operation) _mm512_##operation
#define KEEP CK_KEEP32
typedef __m512i ints;
typedef __m512 floats;
CK_INLINE ints load_ints(const void *p) { return ck_load64(p); }
CK_INLINE ints zero_ints(void) { return _mm512_setzero_si512(); }
CK_INLINE ints as_ints(floats v) { return _mm512_castps_si512(v); }
CK_INLINE floats as_floats(ints v) { return _mm512_castsi512_ps(v); }
CK_INLINE ints multiply_bytes(ints sum, ints x, ints w) { return _mm512_dpbusd_epi32(sum, x, w); }
CK_INLINE ints broadcast_eight(const uint8_t *p) {
  int64_t v;
  memcpy(&v, p, 8);
  return _mm512_set1_epi64(v);
}
// The first `count` of 16, zeros behind them.
CK_INLINE floats load_some(const void *p, size_t count) { return _mm512_maskz_loadu_ps(ck_first_lanes(count), p); }
CK_INLINE void store_some(float *p, size_t count, floats v) { _mm512_mask_storeu_ps(p, ck_first_lanes(count), v); }

#include "../avxvnni/sparse_nm_tiles.h"

void ck_nm_s8__avx512vnni(const ck_nm_s8 *w, const ck_nm_activations *x, const ck_sparse_output *y, size_t row_begin, size_t row_end, size_t panel_begin,
                      size_t panel_end) {
  nm_s8(w, x, y, row_begin, row_end, panel_begin, panel_end);
}

CK_TARGET_END

#endif
