// The yardstick of arm64_cycles.py: what float32 gemm reaches at best, tiles by FMLA with a lane, as BLAS libraries have them. 16 sums, operands packed.
#include <arm_neon.h>
#include <stddef.h>

#define ROW(c, first, Q, w, a, lane) \
  for (int q = 0; q < Q; q++) c[first + lane][q] = vfmaq_laneq_f32(c[first + lane][q], w[q], a, lane);
#define ROWS(c, first, Q, w, a) ROW(c, first, Q, w, a, 0) ROW(c, first, Q, w, a, 1) ROW(c, first, Q, w, a, 2) ROW(c, first, Q, w, a, 3)

// x[k][4], w[k][16].
void fmla_4x16(const float *x, const float *w, size_t inputs, float *y) {
  float32x4_t c[4][4];
  for (int r = 0; r < 4; r++) for (int q = 0; q < 4; q++) c[r][q] = vdupq_n_f32(0);
  for (; inputs > 0; inputs--, x += 4, w += 16) {
    float32x4_t a = vld1q_f32(x), b[4] = {vld1q_f32(w), vld1q_f32(w + 4), vld1q_f32(w + 8), vld1q_f32(w + 12)};
    ROWS(c, 0, 4, b, a)
  }
  for (int r = 0; r < 4; r++) for (int q = 0; q < 4; q++) vst1q_f32(y + 16 * r + 4 * q, c[r][q]);
}

// x[k][8], w[k][8].
void fmla_8x8(const float *x, const float *w, size_t inputs, float *y) {
  float32x4_t c[8][2];
  for (int r = 0; r < 8; r++) for (int q = 0; q < 2; q++) c[r][q] = vdupq_n_f32(0);
  for (; inputs > 0; inputs--, x += 8, w += 8) {
    float32x4_t low = vld1q_f32(x), high = vld1q_f32(x + 4), b[2] = {vld1q_f32(w), vld1q_f32(w + 4)};
    ROWS(c, 0, 2, b, low)
    ROWS(c, 4, 2, b, high)
  }
  for (int r = 0; r < 8; r++) for (int q = 0; q < 2; q++) vst1q_f32(y + 8 * r + 4 * q, c[r][q]);
}
