// int8 sparse weights times several rows of X, 32 at a time. The rows are quantized into a panel of bytes [K][32]; four inputs of it
// are interleaved in registers so that each 32-bit lane holds four inputs of one row, which meets a broadcast of four weights:
// multiply pairs, widen, add. Quads never saturate (sparse.h). Two outputs share the eight shuffles: 32 vector operations for 256
// products, 16 of them multiplications, so 8 cycles on two multipliers and four ports: twice the float32 peak.
#if defined(__x86_64__)
#pragma clang attribute push(__attribute__((target("avx2,fma,f16c"))), apply_to = function)

#include "scalar.h"
#include "sparse_panel.h"

enum { tile = ck_sparse_s8_tile, vectors = tile / 8 };

// ---- Quantizing the panel

// Scales and zero points of the 32 rows from the ranges of their columns in the float panel. NaNs are skipped.
static void column_affines(const float *panel, size_t inputs, ck_affine affines[tile]) {
  for (size_t v = 0; v < tile; v += 8) {
    __m256 lowest = _mm256_setzero_ps(), highest = _mm256_setzero_ps();
    for (size_t k = 0; k < inputs; k++) {
      __m256 x = _mm256_loadu_ps(panel + k * tile + v);  // a NaN as the first operand is passed over
      lowest = _mm256_min_ps(x, lowest);
      highest = _mm256_max_ps(x, highest);
    }
    float low[8], high[8];
    _mm256_storeu_ps(low, lowest);
    _mm256_storeu_ps(high, highest);
    for (size_t i = 0; i < 8; i++) affines[v + i] = ck_affine_of_range(low[i], high[i], 255);
  }
}

// codes[k][row] = clamp(rint(x · inverse) + zero, 0, 255), NaN gives 0: the rule of quantize.h.
static void quantize_panel(const float *panel, size_t inputs, const ck_affine affines[tile], uint8_t *codes) {
  __m256 inverse[vectors];
  __m256i zero[vectors];
  for (int v = 0; v < vectors; v++) {
    float inverses[8];
    int32_t zeros[8];
    for (int i = 0; i < 8; i++) {
      inverses[i] = affines[8 * v + i].inverse_scale;
      zeros[i] = affines[8 * v + i].zero_point;
    }
    inverse[v] = _mm256_loadu_ps(inverses);
    zero[v] = _mm256_loadu_si256((const __m256i *)zeros);
  }
  const __m256 limit = _mm256_set1_ps(1024.0f), minus_limit = _mm256_set1_ps(-1024.0f);  // beyond every code, whatever the zero point
  for (size_t k = 0; k < inputs; k++) {
    __m256i q[vectors];
    CK_UNROLL for (int v = 0; v < vectors; v++) {
      __m256 x = _mm256_mul_ps(_mm256_loadu_ps(panel + k * tile + 8 * (size_t)v), inverse[v]);
      __m256i number = _mm256_castps_si256(_mm256_cmp_ps(x, x, _CMP_ORD_Q));
      x = _mm256_max_ps(_mm256_min_ps(x, limit), minus_limit);
      x = _mm256_round_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
      q[v] = _mm256_and_si256(_mm256_add_epi32(_mm256_cvttps_epi32(x), zero[v]), number);
    }
    __m256i a = _mm256_packs_epi32(q[0], q[1]), b = _mm256_packs_epi32(q[2], q[3]);
    __m256i bytes = _mm256_packus_epi16(a, b);  // both packs clamp; groups of 4 rows come out as 0 2 4 6 1 3 5 7
    bytes = _mm256_permutevar8x32_epi32(bytes, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
    ck_store(codes + k * tile, bytes);
  }
}

// ---- Products

// Four inputs of 32 rows to vectors whose 32-bit lanes hold the four inputs of one row: rows 0–3 16–19, 4–7 20–23, 8–11 24–27,
// 12–15 28–31.
CK_INLINE void interleave(const uint8_t *panel, const uint16_t *columns, int is_gathered, __m256i q[vectors]) {
  __m256i a[4], b[4];
  CK_UNROLL for (int i = 0; i < 4; i++) {
    size_t k = is_gathered ? columns[i] : (size_t)columns[0] * 4 + (size_t)i;
    a[i] = ck_load(panel + k * tile);
  }
  b[0] = _mm256_unpacklo_epi8(a[0], a[1]);
  b[1] = _mm256_unpackhi_epi8(a[0], a[1]);
  b[2] = _mm256_unpacklo_epi8(a[2], a[3]);
  b[3] = _mm256_unpackhi_epi8(a[2], a[3]);
  q[0] = _mm256_unpacklo_epi16(b[0], b[2]);
  q[1] = _mm256_unpackhi_epi16(b[0], b[2]);
  q[2] = _mm256_unpacklo_epi16(b[1], b[3]);
  q[3] = _mm256_unpackhi_epi16(b[1], b[3]);
}

// Sums of H outputs of a strip over all its quads, rows in the order of `interleave`.
CK_INLINE void strip_sums(int R, int H, int is_gathered, const uint16_t *columns, const int8_t *values, size_t quads, const uint8_t *panel,
                          __m256i c[2][vectors]) {
  const __m256i ones = _mm256_set1_epi16(1);
  CK_UNROLL for (int h = 0; h < H; h++) CK_UNROLL for (int v = 0; v < vectors; v++) c[h][v] = _mm256_setzero_si256();
  for (size_t i = 0; i < quads; i++) {
    __m256i q[vectors];
    interleave(panel, columns, is_gathered, q);
    CK_UNROLL for (int h = 0; h < H; h++) {
      __m256i w = ck_broadcast4(values + 4 * h);
      CK_UNROLL for (int v = 0; v < vectors; v++) {
        c[h][v] = _mm256_add_epi32(c[h][v], _mm256_madd_epi16(_mm256_maddubs_epi16(q[v], w), ones));
        CK_KEEP(c[h][v]);
      }
    }
    columns += is_gathered ? 4 : 1;
    values += 4 * R;
  }
}

// One output: corrects by the zero points, scales, and writes 32 rows in their order over the bias that is there.
CK_INLINE void scale_sums(const ck_sparse_s8 *w, size_t n, const __m256i c[vectors], const float *scales, const int32_t *zeros, float *sums) {
  __m256i ordered[vectors] = {
      _mm256_permute2x128_si256(c[0], c[1], 0x20), _mm256_permute2x128_si256(c[2], c[3], 0x20),
      _mm256_permute2x128_si256(c[0], c[1], 0x31), _mm256_permute2x128_si256(c[2], c[3], 0x31)};
  __m256i weights = _mm256_set1_epi32(w->sums[n]);
  __m256 scale = _mm256_set1_ps(w->scales[n]);
  CK_UNROLL for (int v = 0; v < vectors; v++) {
    __m256i sum = _mm256_sub_epi32(ordered[v], _mm256_mullo_epi32(weights, _mm256_loadu_si256((const __m256i *)(zeros + 8 * v))));
    __m256 value = _mm256_mul_ps(_mm256_cvtepi32_ps(sum), _mm256_mul_ps(_mm256_loadu_ps(scales + 8 * v), scale));
    _mm256_storeu_ps(sums + 8 * v, _mm256_add_ps(value, _mm256_loadu_ps(sums + 8 * v)));
  }
}

CK_INLINE void all_strips(int R, int is_gathered, const ck_sparse_s8 *w, const uint8_t *panel, const float *scales, const int32_t *zeros,
                          float *sums, size_t stride) {
  const ck_sparse_structure *t = &w->structure;
  const uint32_t *strip = t->strips;
  const uint16_t *columns = t->columns;
  const int8_t *values = w->values;
  const int H = R == 1 ? 1 : 2;
  for (uint32_t run = 0; run < t->run_starts[1]; run++) {
    size_t quads = t->runs[run].blocks;
    for (uint32_t i = 0; i < t->runs[run].strips; i++) {
      size_t first = *strip++ * (size_t)R;
      for (int h = 0; h < R && first + (size_t)h < t->outputs; h += H) {
        __m256i c[2][vectors];
        strip_sums(R, H, is_gathered, columns, values + 4 * h, quads, panel, c);
        size_t n = first + (size_t)h;
        CK_UNROLL for (int j = 0; j < H; j++)
          if (n + (size_t)j < t->outputs) scale_sums(w, n + (size_t)j, c[j], scales, zeros, sums + (n + (size_t)j) * stride);
      }
      columns += quads * (is_gathered ? 4 : 1);
      values += quads * (size_t)(4 * R);
    }
  }
}

typedef void strips_function(const ck_sparse_s8 *w, const uint8_t *panel, const float *scales, const int32_t *zeros, float *sums, size_t stride);
#define STRIPS(R, C)                                                                                                                    \
  static void strips_##R##x##C(const ck_sparse_s8 *w, const uint8_t *panel, const float *scales, const int32_t *zeros, float *sums,    \
                               size_t stride) {                                                                                         \
    all_strips(R, C == 1, w, panel, scales, zeros, sums, stride);                                                                       \
  }
STRIPS(1, 1) STRIPS(4, 1) STRIPS(8, 1) STRIPS(1, 4) STRIPS(4, 4) STRIPS(16, 16)

static strips_function *strips_kernel(const ck_sparse_structure *w) {
  switch (w->block_rows * 100 + w->block_columns) {
    case 401: return strips_4x1;
    case 801: return strips_8x1;
    case 104: return strips_1x4;
    case 404: return strips_4x4;
    case 1616: return strips_16x16;
    default: return strips_1x1;
  }
}

size_t ck_sparse_s8_workspace_bytes__avx2(const ck_sparse_structure *w) {
  size_t padded = ck_round_up(w->inputs, w->block_columns);
  return (padded + w->outputs) * tile * sizeof(float) + padded * tile;
}

void ck_spmm_f32_u8_s8block__avx2(const ck_sparse_s8 *w, const ck_sparse_input *x, const ck_sparse_output *y, size_t row_begin, size_t row_end,
                                  void *workspace) {
  const ck_sparse_structure *t = &w->structure;
  size_t padded = ck_round_up(t->inputs, t->block_columns);
  float *floats = workspace, *own_sums = floats + padded * tile;
  uint8_t *panel = (uint8_t *)(own_sums + t->outputs * tile);
  strips_function *kernel = strips_kernel(t);
  for (size_t first = row_begin; first < row_end; first += tile) {
    size_t count = row_end - first < tile ? row_end - first : tile;
    ck_affine affines[tile];
    float scales[tile];
    int32_t zeros[tile];
    ck_pack_panel(x, t->inputs, first, count, tile, floats);
    column_affines(floats, t->inputs, affines);
    quantize_panel(floats, t->inputs, affines, panel);
    memset(panel + t->inputs * tile, 0, (padded - t->inputs) * tile);
    for (int i = 0; i < tile; i++) {
      scales[i] = affines[i].scale;
      zeros[i] = affines[i].zero_point;
    }
    int in_place = y->layout == ck_feature_major && count == tile;
    float *sums = in_place ? y->data + first : own_sums;
    size_t stride = in_place ? y->stride : tile;
    ck_start_tile(y, t->outputs, t->outputs, sums, stride, tile);
    kernel(w, panel, scales, zeros, sums, stride);
    ck_finish_tile(y, t->outputs, first, count, sums, stride, tile);
  }
}

#pragma clang attribute pop
#endif
