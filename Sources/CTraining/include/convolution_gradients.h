// Gradients of the windowed layers of CKernels' convolution.h, whose shapes and windows these are.
#ifndef CTRAINING_CONVOLUTION_GRADIENTS_H
#define CTRAINING_CONVOLUTION_GRADIENTS_H

#include "convolution.h"

#include "compiler.h"

// images = the sum of all patches at the pixels that im2col took them from; every element of images is written.
void ck_col2im_f32(const float *_Nonnull patches, size_t batch, const ck_windows *_Nonnull windows, float *_Nonnull images);
// dx = 0, but each dy added at the element of its sample that won.
void ck_max_pool_backward_f32(const float *_Nonnull dy, const int32_t *_Nonnull winners, size_t batch, const ck_windows *_Nonnull windows,
                              float *_Nonnull dx);
// dx = Σ over the windows of an element of dy / (window_height · window_width).
void ck_average_pool_backward_f32(const float *_Nonnull dy, size_t batch, const ck_windows *_Nonnull windows, float *_Nonnull dx);

#endif
