// Quantization: fake quantization with straight-through gradients and learned scales, histograms of activations, weight rounding.
// Codes are small integers held as float32, so that BLAS multiplies them exactly; rounding is that of the kernels (quantize.h).
#ifndef CTRAINING_QUANTIZATION_H
#define CTRAINING_QUANTIZATION_H

#include <stddef.h>
#include <stdint.h>

#include "compiler.h"

// codes[i] = rint(clamp(x[i] · inverse_scale, lowest, highest)), ties to even; lowest for a NaN. Bounds are integers within ±2²⁴. For uint8
// activations lowest = −zero point and highest = 255 − zero point: the codes are those of ck_fn_quantize_u8_f32 less the zero point.
void ck_fake_codes_f32(const float *_Nonnull x, size_t count, float inverse_scale, float lowest, float highest, float *_Nonnull codes);
// codes[i] = x[i] ≥ 0 ? 1 : −1.
void ck_fake_signs_f32(const float *_Nonnull x, size_t count, float *_Nonnull codes);
// codes[i] = u8[i] − zero_point; integers of one byte to and from floats.
void ck_widen_codes_f32_u8(const uint8_t *_Nonnull u8, size_t count, int32_t zero_point, float *_Nonnull codes);
void ck_narrow_codes_s8_f32(const float *_Nonnull codes, size_t count, int8_t *_Nonnull s8);
// Largest Σ |codes| of a row.
float ck_largest_row_sum_f32(const float *_Nonnull codes, size_t rows, size_t columns);
// totals[i] += sums[i], integers below 2²⁴ held as floats.
void ck_add_sums_s32(const float *_Nonnull sums, size_t count, int32_t *_Nonnull totals);
// y[m, n] = float(sum[m, n]) · (x_scales[m] · w_scales[n]) + bias[n], each operation rounded: the epilogue of the integer kernels. Sums are
// in `totals`, or where that is null in y itself.
void ck_scale_sums_f32(const int32_t *_Nullable totals, size_t rows, size_t columns, const float *_Nonnull x_scales,
                       const float *_Nonnull w_scales, const float *_Nullable bias, float *_Nonnull y);
// y[m, n] = x[m, n] · scales[m].
void ck_scale_each_row_f32(const float *_Nonnull x, size_t rows, size_t columns, const float *_Nonnull scales, float *_Nonnull y);

// Straight-through estimator with a learned scale (LSQ, Esser et al. 2020, arXiv:1902.08153), v = x · inverse_scale: `gradient` holds that of
// scale · code and becomes that of x, which is 0 unless lowest < v < highest. Returns the gradient of the scale, Σ gradient · (code − v) inside
// and Σ gradient · code outside. `x_gradient` may be `gradient`.
double ck_lsq_gradient_f32(const float *_Nonnull x, const float *_Nonnull codes, size_t count, float inverse_scale, float lowest,
                           float highest, const float *_Nonnull gradient, float *_Nonnull x_gradient);
// Counts numbers other than 0 into bins of `width`, a power of two; bin bins/2 begins at 0. Numbers beyond the ends count in the outermost
// bins. Returns how many were 0 or NaN.
size_t ck_histogram_f32(const float *_Nonnull x, size_t count, float width, size_t bins, uint64_t *_Nonnull counts);
// Doubles the width of the bins: pairs of bins, counted from the middle, become one.
void ck_histogram_widen(uint64_t *_Nonnull counts, size_t bins);
// Σ count · (x − scale · (code − zero))² over the centres of bins.
double ck_histogram_error(const uint64_t *_Nonnull counts, size_t bins, float width, float scale, int32_t zero_point, int32_t highest);
// Σ p · log(p / q): what the distribution loses (Kullback–Leibler) when bins outside of first ..< end are clipped into the outermost ones inside and
// q spreads those inside evenly over `levels` levels (Migacz, TensorRT, GTC 2017). `expanded` has room for end − first numbers.
double ck_histogram_divergence(const uint64_t *_Nonnull counts, size_t bins, size_t first, size_t end, size_t levels, double *_Nonnull expanded);

// Σ (w − scale · (code − zero))², code = clamp(rint(w / scale) + zero, lowest, highest).
double ck_rounding_error_f32(const float *_Nonnull w, size_t count, float scale, int32_t zero_point, int32_t lowest, int32_t highest);
// The scale of least squared error among 100 that map from all to 1/5 of the largest magnitude onto highest or, with `either_sign`, onto lowest,
// where scales may be negative unless the range of codes is symmetric. 0 for zeros; else at least FLT_MIN in magnitude.
float ck_search_scale_f32(const float *_Nonnull w, size_t count, int32_t lowest, int32_t highest, int either_sign);
// sums[c] += Σ over rows of x[r, c], in float64.
void ck_add_column_sums_f64(const float *_Nonnull x, size_t rows, size_t columns, double *_Nonnull sums);

// sums[i] += factor · x[i], in float64.
void ck_add_scaled_f64_f32(const float *_Nonnull x, size_t count, double factor, double *_Nonnull sums);
// rounded[i] = x[i]; differences[i] = a[i] − b[i]; corrections[r] = Σ_c (w[r, c] − q[r, c]) · means[c].
void ck_round_f32_f64(const double *_Nonnull x, size_t count, float *_Nonnull rounded);
void ck_difference_f64_f32(const float *_Nonnull a, const float *_Nonnull b, size_t count, double *_Nonnull differences);
void ck_mean_differences_f32(const float *_Nonnull w, const float *_Nonnull q, size_t rows, size_t columns, const double *_Nonnull means,
                             float *_Nonnull corrections);

// The codes of a row: lowest…highest, or where `signs` is not 0 −1 and 1.
typedef struct ck_code_range {
  int32_t lowest, highest;
  int signs;
} ck_code_range;

// codes[k] = clamp(rint(w[k] · (1 / scales[k])) + zero_points[k]), or the sign of w[k].
void ck_round_row_f32(const float *_Nonnull w, size_t count, const float *_Nonnull scales, const int8_t *_Nonnull zero_points,
                      ck_code_range range, int8_t *_Nonnull codes);
// GPTQ (Frantar et al. 2023, arXiv:2210.17323) on one output: rounds w[0], adds what that loses to the weights that follow, and so on.
// upper[count, count] is the upper Cholesky factor of the inverse Hessian, scales and zero_points[count] those of the weights; w is
// destroyed. Where `keeps` is given and 0 the weight is pruned: it gets the code of zero and passes on what it received (as in SparseGPT;
// Frantar and Alistarh 2023, arXiv:2301.00774).
void ck_gptq_row_f32(float *_Nonnull w, size_t count, const float *_Nonnull upper, const float *_Nonnull scales,
                     const int8_t *_Nonnull zero_points, const uint8_t *_Nullable keeps, ck_code_range range, int8_t *_Nonnull codes);

#endif
