// Steps of convolutional layers around their matrix product. Images are NHWC: one sample is a row [height · width · channels], channels
// innermost, so that a window's row of pixels is contiguous. Arrays are row-major without gaps and do not overlap.
#ifndef CK_CONVOLUTION_H
#define CK_CONVOLUTION_H

#include <stddef.h>
#include <stdint.h>

#include "compiler.h"

// Windows over an image: window (oy, ox) begins at pixel (oy · stride − padding, ox · stride − padding); what lies outside counts as 0.
// output_height = (height + 2 · padding − window_height) / stride + 1, likewise the width; all sizes ≥ 1, padding < window.
typedef struct ck_windows {
  size_t height, width, channels, window_height, window_width, stride, padding, output_height, output_width;
} ck_windows;

// patches[batch · output_height · output_width, window_height · window_width · channels]: the pixels of each window (im2col).
void ck_im2col_f32(const float *_Nonnull images, size_t batch, const ck_windows *_Nonnull windows, float *_Nonnull patches);
// y[batch, oy, ox, n] = Σ patch[i] · weights[n, i] + bias[n], then the larger of it and 0 with `relu`: a convolution of stride 1 without im2col, for
// few outputs, where that and a narrow product cost more than the multiply-adds. weights[N, window_height · window_width · channels];
// `workspace` is what the configuration says, aligned to 64 bytes. Each output is one sum, in an order of the kernel's own.
typedef void ck_fn_conv2d(const float *_Nonnull images, size_t batch, const ck_windows *_Nonnull windows, const float *_Nonnull weights,
                          size_t outputs, const float *_Nullable bias, int relu, float *_Nonnull y, void *_Nullable workspace);
// Scratch memory of a call for these windows, whatever the batch.
typedef size_t ck_fn_conv2d_workspace(const ck_windows *_Nonnull windows, size_t outputs);

// All that callers need to know of a kernel; a missing field does not compile.
typedef struct ck_conv2d_config {
  ck_fn_conv2d *_Nonnull kernel;
  ck_fn_conv2d_workspace *_Nonnull workspace_bytes;
} ck_conv2d_config;
#define CK_CONV2D_CONFIG(kernel, workspace_bytes) {kernel, workspace_bytes}
typedef ck_conv2d_config ck_config_conv2d_f32;

// y[batch, oy, ox, c] = the largest of each window, NaN if it has one; padding counts as no element. `winners`, where given, gets its index
// within the sample's row: the first of equal ones.
void ck_max_pool_f32(const float *_Nonnull images, size_t batch, const ck_windows *_Nonnull windows, float *_Nonnull y,
                     int32_t *_Nullable winners);
// y[batch, oy, ox, c] = the sum of each window / (window_height · window_width).
void ck_average_pool_f32(const float *_Nonnull images, size_t batch, const ck_windows *_Nonnull windows, float *_Nonnull y);
// y[m, c] = x[m, c] · scale[c] + shift[c]; y may be x.
void ck_scale_shift_f32(const float *_Nonnull x, size_t rows, size_t channels, const float *_Nonnull scale, const float *_Nonnull shift,
                        float *_Nonnull y);

#endif
