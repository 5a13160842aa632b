// int8 sparse weights times several rows of X, 32 at a time. The rows are quantized into a panel of bytes [K][32]; four inputs of it
// are interleaved, in registers for gathered inputs, so that each 32-bit lane holds four inputs of one row, which meets a broadcast
// of four weights: multiply pairs, widen, add. Quads never saturate (sparse.h). Two outputs share the eight shuffles: 32 vector operations for 256
// products, 16 of them multiplications, so 8 cycles on two multipliers and four ports: twice the float32 peak.
#if defined(__x86_64__)
#include "scalar.h"
#include "dispatch.h"
#include "kernels.h"
#include "sparse_panel.h"

CK_TARGET_BEGIN(CK_TARGET_AVX2)

enum { tile = ck_sparse_s8_tile_avx2, vectors = tile / 8 };

// ---- Quantizing the panel

// Copies the panel to floats[k][32] and finds the range of each row of X on the way, in one pass. NaNs are skipped. Fixed scales need no ranges.
static void row_affines(const ck_sparse_input *x, size_t inputs, size_t first, size_t count, float *floats, ck_affine affines[tile]) {
  __m256 lowest[vectors], highest[vectors];
  CK_UNROLL for (int v = 0; v < vectors; v++) lowest[v] = highest[v] = _mm256_setzero_ps();
  const float *row = x->data + first;
  size_t stride = x->stride;
  if (x->layout == ck_row_major || count < tile) {
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
// a NaN on as its second operand). Groups of 4 rows come out in the order 0 2 4 6 1 3 5 7, which interleaving undoes.
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

// Four inputs of 32 rows to vectors whose 32-bit lanes hold the four inputs of one row, rows 8·v … in vector v.
CK_INLINE void interleave(const __m256i a[4], int V, __m256i q[vectors]) {
  __m256i low[2] = {_mm256_unpacklo_epi8(a[0], a[1]), _mm256_unpacklo_epi8(a[2], a[3])};
  q[0] = _mm256_unpacklo_epi16(low[0], low[1]);
  if (V > 1) q[1] = _mm256_unpackhi_epi16(low[0], low[1]);
  if (V > 2) {
    __m256i high[2] = {_mm256_unpackhi_epi8(a[0], a[1]), _mm256_unpackhi_epi8(a[2], a[3])};
    q[2] = _mm256_unpacklo_epi16(high[0], high[1]);
    q[3] = _mm256_unpackhi_epi16(high[0], high[1]);
  }
}

// The panel of bytes: [k][32] for gathered inputs, [k / 4][32][4] where weights come in fours. Inputs up to a multiple of 4 are zero.
static void quantize_panel(const float *floats, size_t inputs, const ck_affine affines[tile], int is_gathered, uint8_t *panel) {
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
  size_t k = 0;
  for (; k + 4 <= inputs; k += 4) {
    __m256i a[4], q[vectors];
    CK_UNROLL for (size_t i = 0; i < 4; i++) a[i] = quantize_input(floats + (k + i) * tile, inverse, zero);
    if (!is_gathered) interleave(a, vectors, q);
    CK_UNROLL for (size_t i = 0; i < 4; i++) ck_store(panel + (k + i) * tile, is_gathered ? a[i] : q[i]);
  }
  if (k < inputs) {
    __m256i a[4], q[vectors];
    for (size_t i = 0; i < 4; i++) a[i] = k + i < inputs ? quantize_input(floats + (k + i) * tile, inverse, zero) : _mm256_setzero_si256();
    interleave(a, vectors, q);
    for (size_t i = 0; i < 4; i++) ck_store(panel + (k + i) * tile, is_gathered ? a[i] : q[i]);
  }
}

// ---- Products

// The first of the four bytes rows of a quad. The empty assembly keeps the address in scalar registers: as a vector, which the
// optimizer prefers, it would take nine operations of the ports that the product needs.
CK_INLINE const uint8_t *input_row(const uint8_t *panel, const uint16_t *column, size_t bytes) {
  size_t offset = *column * bytes;
  __asm__("" : "+r"(offset));
  return panel + offset;
}

CK_INLINE void load_quad(const uint8_t *panel, const uint16_t *columns, int is_gathered, int V, __m256i q[vectors]) {
  if (is_gathered) {
    __m256i a[4];
    CK_UNROLL for (int i = 0; i < 4; i++) a[i] = ck_load(input_row(panel, columns + i, tile));
    interleave(a, V, q);
  } else {
    const uint8_t *row = input_row(panel, columns, 4 * tile);
    CK_UNROLL for (int v = 0; v < V; v++) q[v] = ck_load(row + 32 * v);
  }
}

// Sums of H outputs of a strip over all its quads, V vectors of 8 rows.
CK_INLINE void strip_sums(int R, int H, int V, int is_gathered, const uint16_t *columns, const int8_t *values, size_t quads, const uint8_t *panel,
                          __m256i c[4][vectors]) {
  const __m256i ones = _mm256_set1_epi16(1);
  CK_UNROLL for (int h = 0; h < H; h++) CK_UNROLL for (int v = 0; v < V; v++) c[h][v] = _mm256_setzero_si256();
  for (size_t i = 0; i < quads; i++) {
    __m256i q[vectors];
    load_quad(panel, columns, is_gathered, V, q);
    CK_UNROLL for (int h = 0; h < H; h++) {
      __m256i w = ck_broadcast4(values + 4 * h);
      CK_UNROLL for (int v = 0; v < V; v++) {
        c[h][v] = _mm256_add_epi32(c[h][v], _mm256_madd_epi16(_mm256_maddubs_epi16(q[v], w), ones));
        CK_KEEP(c[h][v]);
      }
    }
    columns += is_gathered ? 4 : 1;
    values += 4 * R;
  }
}

// What turns sums into outputs, and where they go: [N][tile] with `stride`.
typedef struct destination {
  const float *bias, *scales;  // [N] or null; [tile]
  const int32_t *zeros;        // [tile]
  float *sums;
  size_t stride;
} destination;

// One output: corrects by the zero points, scales, adds the bias.
CK_INLINE void scale_sums(const ck_sparse_s8 *w, size_t n, int V, const __m256i c[vectors], const destination *to) {
  __m256i weights = _mm256_set1_epi32(w->sums[n]);
  __m256 scale = _mm256_set1_ps(w->scales[n]), bias = _mm256_set1_ps(to->bias != NULL ? to->bias[n] : 0.0f);
  CK_UNROLL for (int v = 0; v < V; v++) {
    __m256i sum = _mm256_sub_epi32(c[v], _mm256_mullo_epi32(weights, _mm256_loadu_si256((const __m256i *)(to->zeros + 8 * v))));
    __m256 value = _mm256_mul_ps(_mm256_cvtepi32_ps(sum), _mm256_mul_ps(_mm256_loadu_ps(to->scales + 8 * v), scale));
    _mm256_storeu_ps(to->sums + n * to->stride + 8 * (size_t)v, _mm256_add_ps(value, bias));
  }
}

CK_INLINE void all_strips(int R, int V, int is_gathered, const ck_sparse_s8 *w, const uint8_t *panel, const destination *to) {
  const ck_sparse_structure *t = &w->structure;
  const uint32_t *strip = t->strips;
  const uint16_t *columns = t->columns;
  const int8_t *values = w->values;
  const int H = R == 1 ? 1 : V > 2 ? 2 : 4;  // at most 8 sums, 4 inputs, a weight, a product and the ones: 15 registers
  for (uint32_t run = 0; run < t->run_starts[1]; run++) {
    size_t quads = t->runs[run].blocks;
    for (uint32_t i = 0; i < t->runs[run].strips; i++) {
      size_t first = *strip++ * (size_t)R;
      for (int h = 0; h < R && first + (size_t)h < t->outputs; h += H) {
        __m256i c[4][vectors];
        strip_sums(R, H, V, is_gathered, columns, values + 4 * h, quads, panel, c);
        size_t n = first + (size_t)h;
        CK_UNROLL for (int j = 0; j < H; j++)
          if (n + (size_t)j < t->outputs) scale_sums(w, n + (size_t)j, V, c[j], to);
      }
      columns += quads * (is_gathered ? 4 : 1);
      values += quads * (size_t)(4 * R);
    }
  }
}

typedef void strips_function(const ck_sparse_s8 *w, const uint8_t *panel, const destination *to);
#define STRIPS(R, C, V)                                                                                             \
  static void strips_##R##x##C##_##V(const ck_sparse_s8 *w, const uint8_t *panel, const destination *to) {          \
    all_strips(R, V, C == 1, w, panel, to);                                                                         \
  }
#define EACH_WIDTH(R, C) STRIPS(R, C, 1) STRIPS(R, C, 2) STRIPS(R, C, 3) STRIPS(R, C, 4)
EACH_WIDTH(1, 1) EACH_WIDTH(4, 1) EACH_WIDTH(8, 1) EACH_WIDTH(1, 4) EACH_WIDTH(4, 4) EACH_WIDTH(16, 16)

// The function for a block shape and a number of vectors.
static strips_function *strips_kernel(const ck_sparse_structure *w, size_t width) {
#define WIDTHS(R, C) {strips_##R##x##C##_1, strips_##R##x##C##_2, strips_##R##x##C##_3, strips_##R##x##C##_4}
  static strips_function *const kernels[6][vectors] = {WIDTHS(1, 1), WIDTHS(4, 1), WIDTHS(8, 1), WIDTHS(1, 4), WIDTHS(4, 4), WIDTHS(16, 16)};
#undef WIDTHS
  size_t shape = w->block_rows == 16 ? 5 : w->block_columns == 4 ? (w->block_rows == 4 ? 4 : 3) : w->block_rows == 8 ? 2 : w->block_rows == 4;
  return kernels[shape][width - 1];
}

static int lists_every_strip(const ck_sparse_structure *t) {
  size_t listed = 0;
  for (uint32_t run = 0; run < t->run_starts[1]; run++) listed += t->runs[run].strips;
  return listed * t->block_rows >= t->outputs;
}

size_t ck_sparse_s8_workspace_bytes__avx2(const ck_sparse_structure *w) {
  size_t padded = ck_round_up(w->inputs, ck_round_up(w->block_columns, 4));
  return (padded + w->outputs) * tile * sizeof(float) + padded * tile;
}

// All outputs of one part for rows first ..< first + count, whose quantized inputs are in `panel`.
static void multiply_tile(const ck_sparse_s8 *w, const ck_sparse_output *y, size_t first, size_t count, const float scales[tile],
                          const int32_t zeros[tile], const uint8_t *panel, float *own_sums) {
  const ck_sparse_structure *t = &w->structure;
  size_t width = (count + 7) / 8;
  int in_place = y->layout == ck_feature_major && count == 8 * width;
  destination to = {y->bias, scales, zeros, in_place ? y->data + first : own_sums, in_place ? y->stride : tile};
  if (!lists_every_strip(t)) ck_start_tile(y, t->outputs, t->outputs, to.sums, to.stride, 8 * width);
  strips_kernel(t, width)(w, panel, &to);
  ck_finish_tile(y, t->outputs, first, count, to.sums, to.stride, 8 * width);
}

void ck_sparse_s8__avx2(const ck_sparse_s8 *w, size_t parts, const ck_sparse_input *x, const ck_sparse_output *y, size_t row_begin,
                                  size_t row_end, void *workspace) {
  const ck_sparse_structure *t = &w->structure;
  size_t padded = ck_round_up(t->inputs, ck_round_up(t->block_columns, 4)), written = ck_round_up(t->inputs, 4);
  float *floats = workspace, *own_sums = floats + padded * tile;
  uint8_t *panel = (uint8_t *)(own_sums + t->outputs * tile);
  for (size_t first = row_begin; first < row_end; first += tile) {
    size_t count = row_end - first < tile ? row_end - first : tile;
    ck_affine affines[tile];
    float scales[tile];
    int32_t zeros[tile];
    row_affines(x, t->inputs, first, count, floats, affines);
    quantize_panel(floats, t->inputs, affines, t->block_columns == 1, panel);
    memset(panel + written * tile, 0, (padded - written) * tile);
    for (int i = 0; i < tile; i++) {
      scales[i] = affines[i].scale;
      zeros[i] = affines[i].zero_point;
    }
    ck_sparse_output to = *y;
    for (size_t part = 0; part < parts; part++) {
      multiply_tile(w + part, &to, first, count, scales, zeros, panel, own_sums);
      to = ck_sparse_output_from(&to, w[part].structure.outputs);
    }
  }
}

CK_TARGET_END
#endif
