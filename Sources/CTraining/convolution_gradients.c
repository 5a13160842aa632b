#include "convolution_gradients.h"

#include <string.h>

// First window element inside the image, and one past the last.
static inline size_t first_inside(size_t output, size_t stride, size_t padding) {
  return output * stride < padding ? padding - output * stride : 0;
}

static inline size_t end_inside(size_t output, size_t stride, size_t padding, size_t window, size_t size) {
  size_t room = size + padding - output * stride;
  return room < window ? room : window;
}

void ck_col2im_f32(const float *patches, size_t batch, const ck_windows *windows, float *images) {
  const ck_windows w = *windows;
  const size_t line = w.window_width * w.channels, sample = w.height * w.width * w.channels;
  memset(images, 0, batch * sample * sizeof(float));
  for (size_t b = 0; b < batch; b++, images += sample)
    for (size_t oy = 0; oy < w.output_height; oy++) {
      size_t top = first_inside(oy, w.stride, w.padding), bottom = end_inside(oy, w.stride, w.padding, w.window_height, w.height);
      for (size_t ox = 0; ox < w.output_width; ox++, patches += w.window_height * line) {
        size_t left = first_inside(ox, w.stride, w.padding), right = end_inside(ox, w.stride, w.padding, w.window_width, w.width);
        const size_t count = right > left ? (right - left) * w.channels : 0;
        for (size_t y = top; y < bottom; y++) {
          const float *from = patches + y * line + left * w.channels;
          float *to = images + ((oy * w.stride + y - w.padding) * w.width + ox * w.stride + left - w.padding) * w.channels;
          for (size_t i = 0; i < count; i++) to[i] += from[i];
        }
      }
    }
}

void ck_max_pool_backward_f32(const float *dy, const int32_t *winners, size_t batch, const ck_windows *windows, float *dx) {
  const size_t outputs = windows->output_height * windows->output_width * windows->channels;
  const size_t sample = windows->height * windows->width * windows->channels;
  memset(dx, 0, batch * sample * sizeof(float));
  for (size_t b = 0; b < batch; b++, dx += sample, dy += outputs, winners += outputs)
    for (size_t i = 0; i < outputs; i++) dx[winners[i]] += dy[i];
}

void ck_average_pool_backward_f32(const float *dy, size_t batch, const ck_windows *windows, float *dx) {
  const ck_windows w = *windows;
  const float factor = 1.0f / (float)(w.window_height * w.window_width);
  memset(dx, 0, batch * w.height * w.width * w.channels * sizeof(float));
  for (size_t b = 0; b < batch; b++, dx += w.height * w.width * w.channels)
    for (size_t oy = 0; oy < w.output_height; oy++) {
      size_t top = first_inside(oy, w.stride, w.padding), bottom = end_inside(oy, w.stride, w.padding, w.window_height, w.height);
      for (size_t ox = 0; ox < w.output_width; ox++, dy += w.channels) {
        size_t left = first_inside(ox, w.stride, w.padding), right = end_inside(ox, w.stride, w.padding, w.window_width, w.width);
        for (size_t y = top; y < bottom; y++)
          for (size_t x = left; x < right; x++) {
            float *to = dx + ((oy * w.stride + y - w.padding) * w.width + ox * w.stride + x - w.padding) * w.channels;
            for (size_t c = 0; c < w.channels; c++) to[c] += dy[c] * factor;
          }
      }
    }
}
