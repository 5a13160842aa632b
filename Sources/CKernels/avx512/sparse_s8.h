// int8 sparse weights times several rows of X, 64 at a time, in 512 bits: four inputs of 64 rows meet a broadcast of four weights. The file that
// includes this opens a target and brings add_products: sum + the four products of each lane, exact.
//
//   1×4          loads of 2 vectors, weights and a column for the products of 128 rows × inputs. Two sets of sums cover a latency of 5. All 64 rows at
//                a time are half of the columns, but then the panel comes from L2
//   gathered     eight unpacks would all be on one port. The last two come from shifts and blends instead, which the other port takes: 6 unpacks, 2
//                shifts, 2 blends. Blends pick even and odd words where unpacks pick low and high ones: hence the order of rows of sparse_s8_panel.h
//   taller       4 outputs (8, half of the rows at a time, where inputs are gathered) share what loading costs
//
// One slice: a panel of 1,024 inputs is 64 KB, so half of the gathered inputs come from L2, which gives a line in less time than a quad's part takes.
#ifndef CK_AVX512_SPARSE_S8_H
#define CK_AVX512_SPARSE_S8_H

// The empty assembly keeps the address in scalar registers: as a vector, which optimizers prefer, it would take operations of the ports that the product
// needs.
CK_INLINE const uint8_t *input_row(const uint8_t *panel, size_t column, size_t bytes) {
  size_t offset = column * bytes;
  __asm__("" : "+r"(offset));
  return panel + offset;
}

// Vectors F ..< F + V of the four inputs of a quad, to q[0 ..< V].
CK_INLINE void gather_quad(const uint8_t *panel, const uint16_t *columns, int F, int V, __m512i q[vectors]) {
  const __mmask32 odd = 0xAAAAAAAA;
  uint64_t four;
  memcpy(&four, columns, sizeof four);
  __m512i a[4];
  CK_UNROLL for (int i = 0; i < 4; i++) a[i] = ck_load64(input_row(panel, four >> (16 * i) & 0xffff, tile));
  if (F < 2) {
    __m512i low = _mm512_unpacklo_epi8(a[0], a[1]), high = _mm512_unpacklo_epi8(a[2], a[3]);
    if (F == 0) q[0] = _mm512_unpacklo_epi16(low, high);
    if (F + V > 1) q[1 - F] = _mm512_unpackhi_epi16(low, high);
  }
  if (F + V > 2) {
    __m512i low = _mm512_unpackhi_epi8(a[0], a[1]), high = _mm512_unpackhi_epi8(a[2], a[3]);
    if (F < 3) q[2 - F] = _mm512_mask_blend_epi16(odd, low, _mm512_slli_epi32(high, 16));
    if (F + V > 3) q[3 - F] = _mm512_mask_blend_epi16(odd, _mm512_srli_epi32(low, 16), high);
  }
}

// W: vectors of neighbours side by side, of which the first V are loaded; 0 where inputs are gathered.
CK_INLINE void load_quad(const uint8_t *panel, const uint16_t *columns, int W, int F, int V, __m512i q[vectors]) {
  if (W == 0) {
    gather_quad(panel, columns, F, V, q);
    return;
  }
  const uint8_t *row = input_row(panel, *columns, (size_t)W * 64);
  CK_UNROLL for (int v = 0; v < V; v++) q[v] = ck_load64(row + 64 * v);
}

CK_INLINE void add_quad(int H, int V, const int8_t *values, const __m512i q[vectors], __m512i c[8][vectors]) {
  CK_UNROLL for (int h = 0; h < H; h++) {
    __m512i w = ck_broadcast4x16(values + 4 * h);
    CK_UNROLL for (int v = 0; v < V; v++) {
      c[h][v] = add_products(c[h][v], q[v], w);
      CK_KEEP32(c[h][v]);
    }
  }
}

// Sums of H outputs of a strip over all its quads, vectors F ..< F + V. A single output takes two quads at a time into sums of their own.
CK_INLINE void strip_sums(int R, int H, int W, int F, int V, const uint16_t *columns, const int8_t *values, size_t quads,
                          const uint8_t *panel, __m512i c[8][vectors]) {
  const int step = W == 0 ? 4 : 1;
  __m512i q[vectors], other[8][vectors];
  CK_UNROLL for (int h = 0; h < H; h++) CK_UNROLL for (int v = 0; v < V; v++) c[h][v] = _mm512_setzero_si512();
  size_t i = 0;
  if (H == 1) {
    CK_UNROLL for (int v = 0; v < V; v++) other[0][v] = _mm512_setzero_si512();
    for (; i + 2 <= quads; i += 2, columns += 2 * step, values += 8 * R) {
      load_quad(panel, columns, W, F, V, q);
      add_quad(H, V, values, q, c);
      load_quad(panel, columns + step, W, F, V, q);
      add_quad(H, V, values + 4 * R, q, other);
    }
    CK_UNROLL for (int v = 0; v < V; v++) c[0][v] = _mm512_add_epi32(c[0][v], other[0][v]);
  }
  for (; i < quads; i++, columns += step, values += 4 * R) {
    load_quad(panel, columns, W, F, V, q);
    add_quad(H, V, values, q, c);
  }
}

// What turns sums into outputs, and where they go: [N][16 V] with `stride`.
typedef struct destination {
  const float *bias, *scales;  // [N] or null; [64]
  const int32_t *zeros;        // [64]
  float *sums;
  size_t stride;
  int relu;
} destination;

// One output: corrects by the zero points, scales, adds the bias.
CK_INLINE void scale_sums(const ck_sparse_s8 *w, size_t n, int F, int V, const __m512i c[vectors], const destination *to) {
  __m512i weights = _mm512_set1_epi32(w->sums[n]);
  __m512 scale = _mm512_set1_ps(w->scales[n]), bias = _mm512_set1_ps(to->bias != NULL ? to->bias[n] : 0.0f);
  CK_UNROLL for (int v = 0; v < V; v++) {
    int at = 16 * (F + v);
    __m512i sum = _mm512_sub_epi32(c[v], _mm512_mullo_epi32(weights, ck_load64(to->zeros + at)));
    __m512 value = _mm512_mul_ps(_mm512_cvtepi32_ps(sum), _mm512_mul_ps(_mm512_loadu_ps(to->scales + at), scale));
    value = _mm512_add_ps(value, bias);
    if (to->relu) value = ck_relu16(value);
    _mm512_storeu_ps(to->sums + n * to->stride + (size_t)at, value);
  }
}

CK_INLINE void strip_outputs(int R, int H, int W, int F, int V, const ck_sparse_s8 *w, size_t first, const uint16_t *columns,
                             const int8_t *values, size_t quads, const uint8_t *panel, const destination *to) {
  for (int h = 0; h < R && first + (size_t)h < w->structure.outputs; h += H) {
    __m512i c[8][vectors];
    strip_sums(R, H, W, F, V, columns, values + 4 * h, quads, panel, c);
    size_t n = first + (size_t)h;
    CK_UNROLL for (int j = 0; j < H; j++)
      if (n + (size_t)j < w->structure.outputs) scale_sums(w, n + (size_t)j, F, V, c[j], to);
  }
}

// Vectors F ..< F + V of all outputs. Eight outputs at a time have room for two vectors.
CK_INLINE void all_strips(int R, int W, int F, int V, const ck_sparse_s8 *w, const uint8_t *panel, const destination *to) {
  const ck_sparse_structure *t = &w->structure;
  const uint32_t *strip = t->strips;
  const uint16_t *columns = t->columns;
  const int8_t *values = w->values;
  for (uint32_t run = 0; run < t->run_starts[1]; run++) {
    size_t quads = t->runs[run].blocks;
    for (uint32_t i = 0; i < t->runs[run].strips; i++) {
      size_t first = *strip++ * (size_t)R;
      if (R >= 8 && W == 0 && V > 2) {
        strip_outputs(R, 8, W, 0, 2, w, first, columns, values, quads, panel, to);
        strip_outputs(R, 8, W, 2, V - 2, w, first, columns, values, quads, panel, to);
      } else {
        strip_outputs(R, R == 1 ? 1 : R >= 8 && V <= 2 ? 8 : 4, W, F, V, w, first, columns, values, quads, panel, to);
      }
      columns += quads * (W == 0 ? 4 : 1);
      values += quads * (size_t)(4 * R);
    }
  }
}

typedef void strips_function(const ck_sparse_s8 *w, const uint8_t *panel, const destination *to);
#define STRIPS(R, C, V)                                                                                    \
  static void strips_##R##x##C##_##V(const ck_sparse_s8 *w, const uint8_t *panel, const destination *to) { \
    if (R == 1 && C == 4) {                                                                                \
      all_strips(R, 2, 0, V < 2 ? V : 2, w, panel, to);                                                    \
      if (V > 2) all_strips(R, 2, 2, V - 2, w, panel + panel_bytes(w->structure.inputs) / 2, to);          \
    } else {                                                                                               \
      all_strips(R, C == 1 ? 0 : 4, 0, V, w, panel, to);                                                   \
    }                                                                                                      \
  }
#define EACH_WIDTH(R, C) STRIPS(R, C, 1) STRIPS(R, C, 2) STRIPS(R, C, 3) STRIPS(R, C, 4)
EACH_WIDTH(1, 1) EACH_WIDTH(4, 1) EACH_WIDTH(8, 1) EACH_WIDTH(1, 4) EACH_WIDTH(4, 4) EACH_WIDTH(16, 16)

// The function for a block shape and a number of vectors.
static strips_function *strips_kernel(const ck_sparse_structure *w, size_t width) {
#define WIDTHS(R, C) {strips_##R##x##C##_1, strips_##R##x##C##_2, strips_##R##x##C##_3, strips_##R##x##C##_4}
  static strips_function *const kernels[6][vectors] = {WIDTHS(1, 1), WIDTHS(4, 1), WIDTHS(8, 1), WIDTHS(1, 4), WIDTHS(4, 4), WIDTHS(16, 16)};
#undef WIDTHS
  size_t shape = w->block_columns == 1 ? w->block_rows / 4 : w->block_rows == 1 ? 3 : w->block_rows == 4 ? 4 : 5;
  return kernels[shape][width - 1];
}

static int lists_every_strip(const ck_sparse_structure *t) {
  size_t listed = 0;
  for (uint32_t run = 0; run < t->run_starts[1]; run++) listed += t->runs[run].strips;
  return listed * t->block_rows >= t->outputs;
}

static inline size_t workspace_bytes(const ck_sparse_structure *w) {
  return w->outputs * tile * sizeof(float) + panel_bytes(w->inputs) + code_bytes(w->inputs);
}

// All outputs of one part for rows first ..< first + count.
static void multiply_tile(const ck_sparse_s8 *w, const ck_sparse_output *y, size_t first, size_t count, const tile_codes *x, float *own_sums) {
  const ck_sparse_structure *t = &w->structure;
  size_t width = (count + 15) / 16;
  int in_place = y->layout == ck_feature_major && count == 16 * width;
  size_t stride = in_place ? y->stride : 16 * width;
  destination to = {y->bias, x->scales, x->zero_points, in_place ? y->data + first : own_sums, stride, in_place && y->relu};
  if (!lists_every_strip(t)) ck_start_tile16(y, t->outputs, t->outputs, to.relu, to.sums, stride, 16 * width);
  strips_kernel(t, width)(w, x->panel, &to);
  if (!in_place) ck_finish_tile16(y, t->outputs, first, count, own_sums, stride);
}

static inline void product(const ck_sparse_s8 *w, size_t parts, const ck_sparse_input *x, const ck_sparse_output *y, size_t row_begin, size_t row_end,
                           void *workspace) {
  const ck_sparse_structure *t = &w->structure;
  uint8_t *codes = workspace;
  tile_codes quantized;
  quantized.panel = codes + code_bytes(t->inputs);
  quantized.is_gathered = t->block_columns == 1;
  quantized.width = t->block_rows == 1 && t->block_columns == 4 ? 2 : 4;
  float *own_sums = (float *)(void *)(quantized.panel + panel_bytes(t->inputs));
  for (size_t first = row_begin; first < row_end; first += tile) {
    size_t count = row_end - first < tile ? row_end - first : tile;
    quantize_tile(x, t->inputs, first, count, codes, &quantized);
    ck_sparse_output to = *y;
    for (size_t part = 0; part < parts; part++) {
      multiply_tile(w + part, &to, first, count, &quantized, own_sums);
      to = ck_sparse_output_from(&to, w[part].structure.outputs);
    }
  }
}

#endif
