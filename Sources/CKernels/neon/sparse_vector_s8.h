// int8 sparse weights times one row of codes. Scattered codes are the limit, as in float32; four codes of a quad, gathered one by one or neighbours, make a
// number of 32 bits, and four quads of one output a vector, or one quad is broadcast and meets the weights of R outputs. The file that includes this
// opens a target and brings, both exact:
//
//   add_products   sum + 16 products of signed bytes, each in any lane
//   add_quads      sum + the four products of each lane
//
// Modelled (llvm-mca 19), weights a cycle, SDOT on Neoverse N1 and V1: 1×1 1.26, 1.8; 1×4 3.2, 5.1; 4×1 5.0, 7.1; 4×4 10.6, 15.8. NEON on a Cortex-A72: 0.55;
// 1.8; 1.7; 3.5.
#ifndef CK_NEON_SPARSE_VECTOR_S8_H
#define CK_NEON_SPARSE_VECTOR_S8_H

// The codes of quad q as one number.
CK_INLINE uint32_t quad_of(int is_gathered, const uint8_t *codes, const uint16_t *columns, size_t q) {
  if (is_gathered) {
    uint64_t four;
    memcpy(&four, columns + 4 * q, sizeof four);
    return codes[four & 0xffff] | (uint32_t)codes[four >> 16 & 0xffff] << 8 | (uint32_t)codes[four >> 32 & 0xffff] << 16 | (uint32_t)codes[four >> 48] << 24;
  }
  uint32_t quad;
  memcpy(&quad, codes + 4 * (size_t)columns[q], sizeof quad);
  return quad;
}

// Quads of one output.
CK_INLINE int32_t dot(int is_gathered, const int8_t *values, const uint16_t *columns, size_t quads, const uint8_t *codes) {
  int32x4_t sum = vdupq_n_s32(0);
  size_t q = 0;
  for (; q + 4 <= quads; q += 4) {
    uint32x4_t x = vdupq_n_u32(quad_of(is_gathered, codes, columns, q));
    x = vsetq_lane_u32(quad_of(is_gathered, codes, columns, q + 1), x, 1);
    x = vsetq_lane_u32(quad_of(is_gathered, codes, columns, q + 2), x, 2);
    x = vsetq_lane_u32(quad_of(is_gathered, codes, columns, q + 3), x, 3);
    sum = add_products(sum, vreinterpretq_s8_u32(x), vld1q_s8(values + 4 * q));
  }
  for (; q < quads; q++) {
    uint32_t w;
    memcpy(&w, values + 4 * q, sizeof w);
    uint32x4_t x = vsetq_lane_u32(quad_of(is_gathered, codes, columns, q), vdupq_n_u32(0), 0);
    sum = add_products(sum, vreinterpretq_s8_u32(x), vreinterpretq_s8_u32(vsetq_lane_u32(w, vdupq_n_u32(0), 0)));
  }
  return vaddvq_s32(sum);
}

// R = 4, 8 or 16: R / 4 vectors of outputs, each with enough sums that four are under way.
CK_INLINE void tall_strip(int R, int is_gathered, const int8_t *values, const uint16_t *columns, size_t quads, const uint8_t *codes, int32_t *out) {
  const int vectors = R / 4, sets = 4 / vectors;
  int32x4_t c[4][4];
  CK_UNROLL for (int v = 0; v < vectors; v++) CK_UNROLL for (int i = 0; i < sets; i++) c[v][i] = vdupq_n_s32(0);
  size_t q = 0;
  for (; q + (size_t)sets <= quads; q += (size_t)sets)
    CK_UNROLL for (int i = 0; i < sets; i++, values += 4 * R) {
      int8x16_t x = vreinterpretq_s8_u32(vdupq_n_u32(quad_of(is_gathered, codes, columns, q + (size_t)i)));
      CK_UNROLL for (int v = 0; v < vectors; v++) c[v][i] = add_quads(c[v][i], x, vld1q_s8(values + 16 * v));
    }
  for (; q < quads; q++, values += 4 * R) {
    int8x16_t x = vreinterpretq_s8_u32(vdupq_n_u32(quad_of(is_gathered, codes, columns, q)));
    CK_UNROLL for (int v = 0; v < vectors; v++) c[v][0] = add_quads(c[v][0], x, vld1q_s8(values + 16 * v));
  }
  CK_UNROLL for (int v = 0; v < vectors; v++) {
    CK_UNROLL for (int i = 1; i < sets; i++) c[v][0] = vaddq_s32(c[v][0], c[v][i]);
    vst1q_s32(out + 4 * v, c[v][0]);
  }
}

// Codes as signed bytes, x − 128; `count` is a multiple of 16.
static void make_signed(const uint8_t *codes, size_t count, uint8_t *to) {
  for (size_t i = 0; i < count; i += 16) vst1q_u8(to + i, veorq_u8(vld1q_u8(codes + i), vdupq_n_u8(0x80)));
}

CK_INLINE void product(int R, int C, const ck_sparse_s8 *w, const uint8_t *codes, float x_scale, int32_t zero, const ck_sparse_output *y) {
  const ck_sparse_structure *t = &w->structure;
  const uint16_t *columns = t->columns;
  const uint32_t *strip = t->strips;
  const int8_t *values = w->values;
  for (size_t n = 0; n < t->outputs; n++) y->data[n] = y->bias != NULL ? 0.0f + y->bias[n] : 0.0f;
  for (uint32_t run = t->run_starts[0]; run < t->run_starts[1]; run++) {
    size_t quads = t->runs[run].blocks;
    for (uint32_t i = 0; i < t->runs[run].strips; i++) {
      int32_t sums[16];
      size_t first = *strip++ * (size_t)R, rows = t->outputs - first < (size_t)R ? t->outputs - first : (size_t)R;
      if (R == 1) sums[0] = dot(C == 1, values, columns, quads, codes);
      else tall_strip(R, C == 1, values, columns, quads, codes, sums);
      for (size_t r = 0; r < rows; r++) {
        size_t n = first + r;
        y->data[n] = (float)(sums[r] - zero * w->sums[n]) * (x_scale * w->scales[n]) + y->data[n];
      }
      columns += quads * (C == 1 ? 4 : 1);
      values += quads * (size_t)(4 * R);
    }
  }
  if (y->relu)
    for (size_t n = 0; n < t->outputs; n++) y->data[n] = y->data[n] < 0 ? 0.0f : y->data[n];
}

static inline void vector_product(const ck_sparse_s8 *w, const uint8_t *codes, float scale, int32_t zero_point, const ck_sparse_output *y,
                                  uint8_t *shifted) {
  make_signed(codes, ck_round_up(w->structure.inputs, 16), shifted);
  int32_t zero = zero_point - 128;
  switch (w->structure.block_rows * 100 + w->structure.block_columns) {
    case 101: product(1, 1, w, shifted, scale, zero, y); break;
    case 104: product(1, 4, w, shifted, scale, zero, y); break;
    case 401: product(4, 1, w, shifted, scale, zero, y); break;
    case 404: product(4, 4, w, shifted, scale, zero, y); break;
    case 801: product(8, 1, w, shifted, scale, zero, y); break;
    case 1616: product(16, 16, w, shifted, scale, zero, y); break;
  }
}

#endif
