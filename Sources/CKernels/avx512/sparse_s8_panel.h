// Activations of sparse int8 products: a tile of up to 64 rows of X, quantized and laid out for one of two ways to load four inputs of 64 rows.
//
//   neighbours   [K / 4][4 vectors][16 rows][4 inputs]: four vectors as they are multiplied; or in two halves, [2][K / 4][2][16][4]: half of the panel at a
//                time then comes from L1, which holds 1,024 inputs of 32 rows
//   gathered     [K][64]: inputs by themselves, the bytes of four of them are interleaved in registers. Lane j (128 bits) of an input holds rows 4j … 4j + 3
//                of vector 0, those of vector 1, then those of vectors 2 and 3, by turns: sparse_s8.h says why
//
// Row-major X is quantized row by row and its codes are transposed in dwords: 4 + 3 shuffles for 64 codes, where transposing floats would take 16. Behind K
// lie zeros; vectors without rows are neither filled nor multiplied.
#ifndef CK_SPARSE_S8_PANEL_H
#define CK_SPARSE_S8_PANEL_H

#include "../gemm/activations.h"
#include "dispatch.h"
#include "scalar.h"
#include "sparse_panel.h"

CK_TARGET_BEGIN(CK_TARGET_AVX512)

enum { tile = 64, vectors = tile / 16 };

// Scales and zero points of the rows of a tile, and where its codes go.
typedef struct tile_codes {
  float scales[tile];
  int32_t zero_points[tile];
  uint8_t *panel;
  int is_gathered;
  size_t width;  // vectors of neighbours side by side: 4, or 2
} tile_codes;

static inline size_t panel_bytes(size_t inputs) { return ck_round_up(inputs, 64) * tile; }
// Row-major codes on their way: rows a multiple of 4 KB apart would all lie in one set of L1.
static inline size_t code_stride(size_t inputs) { return ck_round_up(inputs, 64) + 64; }
static inline size_t code_bytes(size_t inputs) { return tile * code_stride(inputs); }

// Where vector v of inputs k … k + 3 lies.
CK_INLINE uint8_t *neighbours_at(const tile_codes *to, size_t inputs, size_t k, size_t v) {
  size_t half = v / to->width * (panel_bytes(inputs) / 2);
  return to->panel + half + (k / 4 * to->width + v % to->width) * 64;
}

// Four vectors whose 32-bit lanes hold four inputs of a row to four inputs of 64 rows.
CK_INLINE void gather_order(__m512i q[4]) {
  // Within 128 bits a row's dword becomes a byte of each of four dwords: dword i is input i of rows 4j … 4j + 3.
  const __m512i by_input = _mm512_broadcast_i32x4(_mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15));
  CK_UNROLL for (int v = 0; v < vectors; v++) q[v] = _mm512_shuffle_epi8(q[v], by_input);
  __m512i low[2] = {_mm512_unpacklo_epi32(q[0], q[1]), _mm512_unpackhi_epi32(q[0], q[1])};
  __m512i high[2] = {_mm512_unpacklo_epi8(q[2], q[3]), _mm512_unpackhi_epi8(q[2], q[3])};
  CK_UNROLL for (int i = 0; i < 2; i++) {
    q[2 * i] = _mm512_unpacklo_epi64(low[i], high[i]);
    q[2 * i + 1] = _mm512_unpackhi_epi64(low[i], high[i]);
  }
}

// Codes [16 · used][code_stride], 64 inputs at a time, to the first `used` vectors.
static void interleave_codes(const uint8_t *codes, size_t inputs, size_t used, const tile_codes *to) {
  size_t stride = code_stride(inputs);
  for (size_t k = 0; k < inputs; k += 64) {
    for (size_t v = 0; v < used; v++) {
      __m512 rows[16];
      CK_UNROLL for (size_t i = 0; i < 16; i++) rows[i] = _mm512_loadu_ps((const float *)(const void *)(codes + (16 * v + i) * stride + k));
      ck_transpose16(rows);
      CK_UNROLL for (size_t i = 0; i < 16; i++) _mm512_storeu_ps((float *)(void *)neighbours_at(to, inputs, k + 4 * i, v), rows[i]);
    }
    uint8_t *part = to->panel + k * tile;
    for (size_t i = 0; i < 16 && to->is_gathered; i++) {
      __m512i q[4];
      CK_UNROLL for (size_t v = 0; v < 4; v++) q[v] = v < used ? ck_load64(part + 256 * i + 64 * v) : _mm512_setzero_si512();
      gather_order(q);
      CK_UNROLL for (size_t v = 0; v < 4; v++) ck_store64(part + 256 * i + 64 * v, q[v]);
    }
  }
}

static void quantize_row_major(const ck_sparse_input *x, size_t inputs, size_t first, size_t count, uint8_t *codes, tile_codes *to) {
  size_t stride = code_stride(inputs);
  ck_gemm_source source = {x->data + first * x->stride, count, inputs, x->stride, 255, x->fixed_scale, x->fixed_zero_point};
  ck_gemm_codes_out out = {codes, to->scales, to->zero_points};
  ck_codes_of_rows(&source, 0, count, codes, stride, &out, ck_quantize_rows_u8_f32__avx512, ck_quantize_u8_f32__avx512);
  size_t used = (count + 15) / 16;
  memset(codes + count * stride, 0, (16 * used - count) * stride);
  interleave_codes(codes, inputs, used, to);
}

// ---- Feature-major X: rows lie side by side already.

// The four lanes' masks of a tile of `count` rows.
CK_INLINE __mmask16 rows_of(size_t count, size_t v) { return ck_first_lanes(count > 16 * v ? count - 16 * v : 0); }

static void feature_affines(const ck_sparse_input *x, size_t inputs, size_t first, size_t count, ck_affine affines[tile]) {
  __m512 lowest[vectors], highest[vectors];
  CK_UNROLL for (int v = 0; v < vectors; v++) lowest[v] = highest[v] = _mm512_setzero_ps();
  const float *row = x->data + first;
  for (size_t k = 0; k < inputs && x->fixed_scale == 0; k++, row += x->stride) {
    CK_UNROLL for (size_t v = 0; v < vectors; v++) {  // a NaN as the first operand is passed over
      __m512 value = _mm512_maskz_loadu_ps(rows_of(count, v), row + 16 * v);
      lowest[v] = _mm512_min_ps(value, lowest[v]);
      highest[v] = _mm512_max_ps(value, highest[v]);
    }
  }
  for (size_t v = 0; v < vectors; v++) {
    float low[16], high[16];
    _mm512_storeu_ps(low, lowest[v]);
    _mm512_storeu_ps(high, highest[v]);
    for (size_t i = 0; i < 16; i++) {
      ck_affine fixed = {x->fixed_scale, 1.0f / x->fixed_scale, x->fixed_zero_point};
      affines[16 * v + i] = x->fixed_scale == 0 ? ck_affine_of_range(low[i], high[i], 255) : fixed;
    }
  }
}

// One input of 64 rows to dwords: clamp(rint(x · inverse) + zero, 0, 255) after the packs, NaN gives 0, the rule of quantize.h. A NaN and what is far below
// convert to INT32_MIN, which the packs clamp to 0; what is far above must be cut to a convertible number first (min passes a NaN on as its second
// operand).
CK_INLINE __m512i packed_input(const float *row, size_t count, const __m512 inverse[vectors], const __m512i zero[vectors]) {
  const __m512 limit = _mm512_set1_ps(1024.0f);  // beyond every code, whatever the zero point
  __m512i q[vectors];
  CK_UNROLL for (size_t v = 0; v < vectors; v++) {
    __mmask16 lanes = rows_of(count, v);
    __m512 value = _mm512_min_ps(limit, _mm512_mul_ps(_mm512_maskz_loadu_ps(lanes, row + 16 * v), inverse[v]));
    __m512i code = _mm512_cvt_roundps_epi32(value, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    q[v] = _mm512_maskz_add_epi32(lanes, code, zero[v]);
  }
  return _mm512_packus_epi16(_mm512_packs_epi32(q[0], q[1]), _mm512_packs_epi32(q[2], q[3]));  // lane j: rows 4j … 4j + 3 of vectors 0, 1, 2, 3
}

// From that order to the one of gathered inputs.
CK_INLINE __m512i by_turns(__m512i packed) {
  return _mm512_shuffle_epi8(packed, _mm512_broadcast_i32x4(_mm_setr_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 12, 9, 13, 10, 14, 11, 15)));
}

// Four inputs of 64 rows to neighbours.
CK_INLINE void neighbour_order(__m512i a[4]) {
  __m512i low[2] = {_mm512_unpacklo_epi8(a[0], a[1]), _mm512_unpacklo_epi8(a[2], a[3])};
  __m512i high[2] = {_mm512_unpackhi_epi8(a[0], a[1]), _mm512_unpackhi_epi8(a[2], a[3])};
  a[0] = _mm512_unpacklo_epi16(low[0], low[1]);
  a[1] = _mm512_unpackhi_epi16(low[0], low[1]);
  a[2] = _mm512_unpacklo_epi16(high[0], high[1]);
  a[3] = _mm512_unpackhi_epi16(high[0], high[1]);
}

static void quantize_feature_major(const ck_sparse_input *x, size_t inputs, size_t first, size_t count, tile_codes *to) {
  ck_affine affines[tile];
  feature_affines(x, inputs, first, count, affines);
  float inverses[tile];
  for (size_t i = 0; i < tile; i++) {
    inverses[i] = affines[i].inverse_scale;
    to->scales[i] = affines[i].scale;
    to->zero_points[i] = affines[i].zero_point;
  }
  __m512 inverse[vectors];
  __m512i zero[vectors];
  CK_UNROLL for (size_t v = 0; v < vectors; v++) inverse[v] = _mm512_loadu_ps(inverses + 16 * v), zero[v] = ck_load64(to->zero_points + 16 * v);
  const float *row = x->data + first;
  for (size_t k = 0; k < inputs; k += 4) {
    __m512i a[4];
    CK_UNROLL for (size_t i = 0; i < 4; i++) {
      a[i] = k + i < inputs ? packed_input(row + (k + i) * x->stride, count, inverse, zero) : _mm512_setzero_si512();
      if (to->is_gathered) a[i] = by_turns(a[i]);
    }
    if (!to->is_gathered) neighbour_order(a);
    CK_UNROLL for (size_t i = 0; i < 4; i++) ck_store64(to->is_gathered ? to->panel + (k + i) * tile : neighbours_at(to, inputs, k, i), a[i]);
  }
  for (size_t k = ck_round_up(inputs, 4); k < ck_round_up(inputs, 64); k += 4)
    CK_UNROLL for (size_t v = 0; v < vectors; v++) ck_store64(neighbours_at(to, inputs, k, v), _mm512_setzero_si512());  // gathered: the same bytes
}

// Rows first ..< first + count ≤ 64 of X into the panel; `codes`: code_bytes of scratch.
static void quantize_tile(const ck_sparse_input *x, size_t inputs, size_t first, size_t count, uint8_t *codes, tile_codes *to) {
  memset(to->scales, 0, sizeof to->scales);
  memset(to->zero_points, 0, sizeof to->zero_points);
  if (x->layout == ck_row_major) quantize_row_major(x, inputs, first, count, codes, to);
  else quantize_feature_major(x, inputs, first, count, to);
}

CK_TARGET_END

#endif
