// Activations of sparse int8 products in 256 bits: a tile of 32 rows of X, quantized and laid out for one of two ways to load four inputs of 8 rows.
//
//   neighbours   [K / 4][32 rows][4 inputs], as they are multiplied
//   gathered     [K][32]: inputs by themselves, the bytes of four of them are interleaved in registers. Groups of 4 rows lie in the order
//                0 2 4 6 1 3 5 7, which interleaving undoes
//
// Row-major X is quantized row by row and its codes are transposed in dwords: 0.75 + 0.4 shuffles for 4 codes, where transposing floats takes 1.5.
// Behind K lie zeros; vectors without rows are neither filled nor multiplied.
#ifndef CK_AVX2_SPARSE_S8_PANEL_H
#define CK_AVX2_SPARSE_S8_PANEL_H

#include "../gemm/activations.h"
#include "dispatch.h"
#include "kernels.h"
#include "scalar.h"
#include "sparse_panel.h"

CK_TARGET_BEGIN(CK_TARGET_AVX2)

enum { tile = ck_sparse_s8_tile_avx2, vectors = tile / 8 };

// Scales and zero points of the rows of a tile, and where its codes go.
typedef struct tile_codes {
  float scales[tile];
  int32_t zero_points[tile];
  uint8_t *panel;
  int is_gathered;
} tile_codes;

static inline size_t panel_bytes(size_t inputs) { return ck_round_up(inputs, 32) * tile; }
// Row-major codes on their way: rows a multiple of 4 KB apart would all lie in one set of L1.
static inline size_t code_stride(size_t inputs) { return ck_round_up(inputs, 64) + 64; }
// Those, or the floats of feature-major X.
static inline size_t scratch_bytes(size_t inputs) { return tile * sizeof(float) * ck_round_up(inputs + 16, 16); }

// Four inputs of 32 rows to vectors whose 32-bit lanes hold the four inputs of one row; vectors F ..< F + V, with rows 8·F …, to q[0 ..< V].
CK_INLINE void interleave(const __m256i a[4], int F, int V, __m256i q[vectors]) {
  if (F < 2) {
    __m256i low = _mm256_unpacklo_epi8(a[0], a[1]), high = _mm256_unpacklo_epi8(a[2], a[3]);
    if (F == 0) q[0] = _mm256_unpacklo_epi16(low, high);
    if (F + V > 1) q[1 - F] = _mm256_unpackhi_epi16(low, high);
  }
  if (F + V > 2) {
    __m256i low = _mm256_unpackhi_epi8(a[0], a[1]), high = _mm256_unpackhi_epi8(a[2], a[3]);
    if (F < 3) q[2 - F] = _mm256_unpacklo_epi16(low, high);
    if (F + V > 3) q[3 - F] = _mm256_unpackhi_epi16(low, high);
  }
}

// ---- Row-major X

// Four vectors whose dwords hold four inputs of a row to four inputs of 32 rows.
CK_INLINE void gather_order(__m256i q[vectors]) {
  // Within 128 bits a row's dword becomes a byte of each of four dwords: dword i is input i of four rows.
  const __m256i by_input = _mm256_broadcastsi128_si256(_mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15));
  CK_UNROLL for (int v = 0; v < vectors; v++) q[v] = _mm256_shuffle_epi8(q[v], by_input);
  __m256i low[2] = {_mm256_unpacklo_epi32(q[0], q[1]), _mm256_unpackhi_epi32(q[0], q[1])};
  __m256i high[2] = {_mm256_unpacklo_epi32(q[2], q[3]), _mm256_unpackhi_epi32(q[2], q[3])};
  CK_UNROLL for (int i = 0; i < 2; i++) {
    q[2 * i] = _mm256_unpacklo_epi64(low[i], high[i]);
    q[2 * i + 1] = _mm256_unpackhi_epi64(low[i], high[i]);
  }
}

// Codes [8 · used][code_stride], 32 inputs at a time, to the first `used` vectors.
static void interleave_codes(const uint8_t *codes, size_t inputs, size_t used, const tile_codes *to) {
  size_t stride = code_stride(inputs);
  for (size_t k = 0; k < inputs; k += 32) {
    uint8_t *part = to->panel + k * tile;
    for (size_t v = 0; v < used; v++) {
      __m256 rows[8];
      CK_UNROLL for (size_t i = 0; i < 8; i++) rows[i] = _mm256_loadu_ps((const float *)(const void *)(codes + (8 * v + i) * stride + k));
      ck_transpose8_ps(rows);
      CK_UNROLL for (size_t i = 0; i < 8; i++) ck_store(part + 4 * tile * i + 32 * v, _mm256_castps_si256(rows[i]));
    }
    for (size_t i = 0; i < 8 && to->is_gathered; i++) {
      __m256i q[vectors];
      CK_UNROLL for (size_t v = 0; v < vectors; v++) q[v] = v < used ? ck_load(part + 4 * tile * i + 32 * v) : _mm256_setzero_si256();
      gather_order(q);
      CK_UNROLL for (size_t v = 0; v < vectors; v++) ck_store(part + 4 * tile * i + 32 * v, q[v]);
    }
  }
}

static void quantize_row_major(const ck_sparse_input *x, size_t inputs, size_t first, size_t count, uint8_t *codes, tile_codes *to) {
  size_t stride = code_stride(inputs);
  ck_gemm_source source = {x->data + first * x->stride, count, inputs, x->stride, 255, x->fixed_scale, x->fixed_zero_point};
  ck_gemm_codes_out out = {codes, to->scales, to->zero_points};
  ck_codes_of_rows(&source, 0, count, codes, stride, &out, ck_quantize_rows_u8_f32__avx2, ck_quantize_u8_f32__avx2);
  size_t used = (count + 7) / 8;
  memset(codes + count * stride, 0, (8 * used - count) * stride);
  interleave_codes(codes, inputs, used, to);
}

// ---- Feature-major X: rows lie side by side already.

// Copies X to floats[k][32] and finds the range of each row on the way, in one pass. NaNs are skipped. Fixed scales need no ranges.
static void feature_affines(const ck_sparse_input *x, size_t inputs, size_t first, size_t count, float *floats, ck_affine affines[tile]) {
  __m256 lowest[vectors], highest[vectors];
  CK_UNROLL for (int v = 0; v < vectors; v++) lowest[v] = highest[v] = _mm256_setzero_ps();
  const float *row = x->data + first;
  size_t stride = x->stride;
  if (count < tile) {
    ck_pack_panel(x, inputs, first, count, tile, floats);
    row = floats;
    stride = tile;
  }
  for (size_t k = 0; k < inputs; k++, row += stride) {
    CK_UNROLL for (int v = 0; v < vectors; v++) {
      __m256 value = _mm256_loadu_ps(row + 8 * v);  // a NaN as the first operand is passed over
      lowest[v] = _mm256_min_ps(value, lowest[v]);
      highest[v] = _mm256_max_ps(value, highest[v]);
      _mm256_storeu_ps(floats + k * tile + 8 * (size_t)v, value);
    }
  }
  for (int v = 0; v < vectors; v++) {
    float low[8], high[8];
    _mm256_storeu_ps(low, lowest[v]);
    _mm256_storeu_ps(high, highest[v]);
    for (int i = 0; i < 8; i++) affines[8 * v + i] = ck_affine_of_range(low[i], high[i], 255);
    for (int i = 0; i < 8 && x->fixed_scale > 0; i++) affines[8 * v + i] = (ck_affine){x->fixed_scale, 1.0f / x->fixed_scale, x->fixed_zero_point};
  }
}

// One input of 32 rows to bytes: clamp(rint(x · inverse) + zero, 0, 255), NaN gives 0, the rule of quantize.h. A NaN and what is far
// below convert to INT32_MIN, which the packs clamp to 0; what is far above must be cut to a convertible number first (min passes
// a NaN on as its second operand).
CK_INLINE __m256i quantize_input(const float *floats, const __m256 inverse[vectors], const __m256i zero[vectors]) {
  const __m256 limit = _mm256_set1_ps(1024.0f);  // beyond every code, whatever the zero point
  __m256i q[vectors];
  CK_UNROLL for (int v = 0; v < vectors; v++) {
    __m256 x = _mm256_min_ps(limit, _mm256_mul_ps(_mm256_loadu_ps(floats + 8 * v), inverse[v]));
    x = _mm256_round_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    q[v] = _mm256_add_epi32(_mm256_cvttps_epi32(x), zero[v]);
  }
  return _mm256_packus_epi16(_mm256_packs_epi32(q[0], q[1]), _mm256_packs_epi32(q[2], q[3]));
}

static void quantize_feature_major(const ck_sparse_input *x, size_t inputs, size_t first, size_t count, float *floats, tile_codes *to) {
  ck_affine affines[tile];
  feature_affines(x, inputs, first, count, floats, affines);
  float inverses[tile];
  for (size_t i = 0; i < tile; i++) {
    inverses[i] = affines[i].inverse_scale;
    to->scales[i] = affines[i].scale;
    to->zero_points[i] = affines[i].zero_point;
  }
  __m256 inverse[vectors];
  __m256i zero[vectors];
  CK_UNROLL for (int v = 0; v < vectors; v++) {
    inverse[v] = _mm256_loadu_ps(inverses + 8 * v);
    zero[v] = _mm256_loadu_si256((const __m256i *)(to->zero_points + 8 * v));
  }
  for (size_t k = 0; k < inputs; k += 4) {
    __m256i a[4], q[vectors];
    CK_UNROLL for (size_t i = 0; i < 4; i++) a[i] = k + i < inputs ? quantize_input(floats + (k + i) * tile, inverse, zero) : _mm256_setzero_si256();
    if (to->is_gathered) {
      CK_UNROLL for (size_t i = 0; i < 4; i++) ck_store(to->panel + (k + i) * tile, a[i]);
      continue;
    }
    interleave(a, 0, vectors, q);
    CK_UNROLL for (size_t i = 0; i < 4; i++) ck_store(to->panel + (k + i) * tile, q[i]);
  }
  size_t written = ck_round_up(inputs, 4);
  memset(to->panel + written * tile, 0, panel_bytes(inputs) - written * tile);
}

// Rows first ..< first + count ≤ 32 of X into the panel; `scratch` has scratch_bytes.
static void quantize_tile(const ck_sparse_input *x, size_t inputs, size_t first, size_t count, void *scratch, tile_codes *to) {
  memset(to->scales, 0, sizeof to->scales);
  memset(to->zero_points, 0, sizeof to->zero_points);
  if (x->layout == ck_row_major) quantize_row_major(x, inputs, first, count, scratch, to);
  else quantize_feature_major(x, inputs, first, count, scratch, to);
}

CK_TARGET_END

#endif
