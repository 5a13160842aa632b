// int8 sparse weights times several rows of X, 32 at a time, in 256 bits. The rows are quantized into a panel of bytes; four inputs of it are
// interleaved, in registers for gathered inputs, so that each 32-bit lane holds four inputs of one row, which meets a broadcast of four weights.
// The file that includes this opens a target and brings:
//
//   add_products   sum + the four products of each lane, exact
//   is_slow        whether a sum waits some cycles for the one before it, so that at least eight have to be under way
#ifndef CK_AVX2_SPARSE_S8_H
#define CK_AVX2_SPARSE_S8_H

// The first of the four bytes rows of a quad. The empty assembly keeps the address in scalar registers: as a vector, which the
// optimizer prefers, it would take nine operations of the ports that the product needs.
CK_INLINE const uint8_t *input_row(const uint8_t *panel, size_t column, size_t bytes) {
  size_t offset = column * bytes;
  __asm__("" : "+r"(offset));
  return panel + offset;
}

// Vectors F ..< F + V of the four inputs of a quad.
CK_INLINE void load_quad(const uint8_t *panel, const uint16_t *columns, int is_gathered, int F, int V, __m256i q[vectors]) {
  if (is_gathered) {
    __m256i a[4];
    CK_UNROLL for (int i = 0; i < 4; i++) a[i] = ck_load(input_row(panel, columns[i], tile));
    interleave(a, F, V, q);
  } else {
    const uint8_t *row = input_row(panel, *columns, 4 * tile) + 32 * F;
    CK_UNROLL for (int v = 0; v < V; v++) q[v] = ck_load(row + 32 * v);
  }
}

CK_INLINE void add_quad(int H, int V, const int8_t *values, const __m256i q[vectors], __m256i c[4][vectors]) {
  CK_UNROLL for (int h = 0; h < H; h++) {
    __m256i w = ck_broadcast4(values + 4 * h);
    CK_UNROLL for (int v = 0; v < V; v++) {
      c[h][v] = add_products(c[h][v], q[v], w);
      CK_KEEP(c[h][v]);
    }
  }
}

// Sums of H outputs of a strip over all its quads, vectors F ..< F + V. Up to four slow sums are doubled, two quads at a time.
CK_INLINE void strip_sums(int R, int H, int F, int V, int is_gathered, const uint16_t *columns, const int8_t *values, size_t quads,
                          const uint8_t *panel, __m256i c[4][vectors]) {
  const int step = is_gathered ? 4 : 1;
  __m256i q[vectors], other[4][vectors];
  CK_UNROLL for (int h = 0; h < H; h++) CK_UNROLL for (int v = 0; v < V; v++) c[h][v] = _mm256_setzero_si256();
  size_t i = 0;
  if (is_slow && H * V <= 4) {
    CK_UNROLL for (int h = 0; h < H; h++) CK_UNROLL for (int v = 0; v < V; v++) other[h][v] = _mm256_setzero_si256();
    for (; i + 2 <= quads; i += 2, columns += 2 * step, values += 8 * R) {
      load_quad(panel, columns, is_gathered, F, V, q);
      add_quad(H, V, values, q, c);
      load_quad(panel, columns + step, is_gathered, F, V, q);
      add_quad(H, V, values + 4 * R, q, other);
    }
    CK_UNROLL for (int h = 0; h < H; h++) CK_UNROLL for (int v = 0; v < V; v++) c[h][v] = _mm256_add_epi32(c[h][v], other[h][v]);
  }
  for (; i < quads; i++, columns += step, values += 4 * R) {
    load_quad(panel, columns, is_gathered, F, V, q);
    add_quad(H, V, values, q, c);
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
CK_INLINE void scale_sums(const ck_sparse_s8 *w, size_t n, int F, int V, const __m256i c[vectors], const destination *to) {
  __m256i weights = _mm256_set1_epi32(w->sums[n]);
  __m256 scale = _mm256_set1_ps(w->scales[n]), bias = _mm256_set1_ps(to->bias != NULL ? to->bias[n] : 0.0f);
  CK_UNROLL for (int v = 0; v < V; v++) {
    int at = 8 * (F + v);
    __m256i sum = _mm256_sub_epi32(c[v], _mm256_mullo_epi32(weights, _mm256_loadu_si256((const __m256i *)(to->zeros + at))));
    __m256 value = _mm256_mul_ps(_mm256_cvtepi32_ps(sum), _mm256_mul_ps(_mm256_loadu_ps(to->scales + at), scale));
    _mm256_storeu_ps(to->sums + n * to->stride + (size_t)at, _mm256_add_ps(value, bias));
  }
}

CK_INLINE void strip_outputs(int R, int H, int F, int V, int is_gathered, const ck_sparse_s8 *w, size_t first, const uint16_t *columns,
                             const int8_t *values, size_t quads, const uint8_t *panel, const destination *to) {
  for (int h = 0; h < R && first + (size_t)h < w->structure.outputs; h += H) {
    __m256i c[4][vectors];
    strip_sums(R, H, F, V, is_gathered, columns, values + 4 * h, quads, panel, c);
    size_t n = first + (size_t)h;
    CK_UNROLL for (int j = 0; j < H; j++)
      if (n + (size_t)j < w->structure.outputs) scale_sums(w, n + (size_t)j, F, V, c[j], to);
  }
}

// At most 8 sums, where inputs are interleaved, and 12 else: two outputs and all rows at a time; a slow sum wants more outputs, and three vectors of rows,
// then one, or two and two.
CK_INLINE void all_strips(int R, int V, int is_gathered, const ck_sparse_s8 *w, const uint8_t *panel, const destination *to) {
  const ck_sparse_structure *t = &w->structure;
  const uint32_t *strip = t->strips;
  const uint16_t *columns = t->columns;
  const int8_t *values = w->values;
  for (uint32_t run = 0; run < t->run_starts[1]; run++) {
    size_t quads = t->runs[run].blocks;
    for (uint32_t i = 0; i < t->runs[run].strips; i++) {
      size_t first = *strip++ * (size_t)R;
      if (R > 1 && V > 2 && is_slow) {
        const int first_part = is_gathered ? 2 : 3;
        strip_outputs(R, 4, 0, first_part, is_gathered, w, first, columns, values, quads, panel, to);
        if (V > first_part) strip_outputs(R, 4, first_part, V - first_part, is_gathered, w, first, columns, values, quads, panel, to);
      } else {
        strip_outputs(R, R == 1 ? 1 : V > 2 ? 2 : 4, 0, V, is_gathered, w, first, columns, values, quads, panel, to);
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

static inline size_t workspace_bytes(const ck_sparse_structure *w) {
  return w->outputs * tile * sizeof(float) + panel_bytes(w->inputs) + scratch_bytes(w->inputs);
}

// All outputs of one part for rows first ..< first + count.
static void multiply_tile(const ck_sparse_s8 *w, const ck_sparse_output *y, size_t first, size_t count, const tile_codes *x, float *own_sums) {
  const ck_sparse_structure *t = &w->structure;
  size_t width = (count + 7) / 8;
  int in_place = y->layout == ck_feature_major && count == 8 * width;
  destination to = {y->bias, x->scales, x->zero_points, in_place ? y->data + first : own_sums, in_place ? y->stride : tile};
  if (!lists_every_strip(t)) ck_start_tile(y, t->outputs, t->outputs, to.sums, to.stride, 8 * width);
  strips_kernel(t, width)(w, x->panel, &to);
  ck_finish_tile(y, t->outputs, first, count, to.sums, to.stride, 8 * width);
}

static inline void product(const ck_sparse_s8 *w, size_t parts, const ck_sparse_input *x, const ck_sparse_output *y, size_t row_begin, size_t row_end,
                           void *workspace) {
  const ck_sparse_structure *t = &w->structure;
  tile_codes quantized;
  quantized.panel = workspace;
  quantized.is_gathered = t->block_columns == 1;
  uint8_t *scratch = quantized.panel + panel_bytes(t->inputs);
  float *own_sums = (float *)(void *)(scratch + scratch_bytes(t->inputs));
  for (size_t first = row_begin; first < row_end; first += tile) {
    size_t count = row_end - first < tile ? row_end - first : tile;
    quantize_tile(x, t->inputs, first, count, scratch, &quantized);
    ck_sparse_output to = *y;
    for (size_t part = 0; part < parts; part++) {
      multiply_tile(w + part, &to, first, count, &quantized, own_sums);
      to = ck_sparse_output_from(&to, w[part].structure.outputs);
    }
  }
}

#endif
