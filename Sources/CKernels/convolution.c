#include "convolution.h"

#include <string.h>

// The part of a window's extent that lies inside 0…size − 1: first index and count, and how many of the window come before it.
typedef struct span {
  size_t before, first, count;
} span;

static span inside(size_t output, size_t stride, size_t padding, size_t window, size_t size) {
  size_t start = output * stride;  // in padded coordinates
  size_t before = start < padding ? padding - start : 0;
  size_t end = start + window < size + padding ? start + window : size + padding;
  size_t first = start + before - padding;
  return (span){before, first, end - padding > first ? end - padding - first : 0};
}

// Rows of a window are short (5 floats for LeNet-5), where a call of memcpy costs more than the copy.
static inline void copy(float *to, const float *from, size_t count) {
  if (count > 32) {
    memcpy(to, from, count * sizeof(float));
    return;
  }
  for (; count >= 4; count -= 4, to += 4, from += 4) memcpy(to, from, 4 * sizeof(float));
  for (; count; count--) *to++ = *from++;
}

void ck_im2col_f32(const float *images, size_t batch, const ck_windows *windows, float *patches) {
  const ck_windows w = *windows;
  const size_t line = w.window_width * w.channels, sample = w.height * w.width * w.channels;
  for (size_t b = 0; b < batch; b++, images += sample)
    for (size_t oy = 0; oy < w.output_height; oy++) {
      span rows = inside(oy, w.stride, w.padding, w.window_height, w.height);
      for (size_t ox = 0; ox < w.output_width; ox++, patches += w.window_height * line) {
        span columns = inside(ox, w.stride, w.padding, w.window_width, w.width);
        const size_t left = columns.before * w.channels, middle = columns.count * w.channels;
        if (rows.count < w.window_height || middle < line) memset(patches, 0, w.window_height * line * sizeof(float));
        const float *from = images + (rows.first * w.width + columns.first) * w.channels;
        float *to = patches + rows.before * line + left;
        for (size_t y = 0; y < rows.count; y++) copy(to + y * line, from + y * w.width * w.channels, middle);
      }
    }
}

static inline void max_of_window(const float *image, const ck_windows *w, span rows, span columns, float *y, int32_t *winners) {
  for (size_t r = 0; r < rows.count; r++)
    for (size_t q = 0; q < columns.count; q++) {
      size_t offset = ((rows.first + r) * w->width + columns.first + q) * w->channels;
      const float *x = image + offset;
      if (r == 0 && q == 0) {
        for (size_t c = 0; c < w->channels; c++) y[c] = x[c];
        if (winners)
          for (size_t c = 0; c < w->channels; c++) winners[c] = (int32_t)(offset + c);
      } else if (winners) {
        for (size_t c = 0; c < w->channels; c++) {
          int better = (x[c] > y[c]) | (x[c] != x[c]);
          y[c] = better ? x[c] : y[c];
          winners[c] = better ? (int32_t)(offset + c) : winners[c];
        }
      } else {
        for (size_t c = 0; c < w->channels; c++) y[c] = (x[c] > y[c]) | (x[c] != x[c]) ? x[c] : y[c];
      }
    }
}

void ck_max_pool_f32(const float *images, size_t batch, const ck_windows *windows, float *y, int32_t *winners) {
  const ck_windows w = *windows;
  for (size_t b = 0; b < batch; b++, images += w.height * w.width * w.channels)
    for (size_t oy = 0; oy < w.output_height; oy++) {
      span rows = inside(oy, w.stride, w.padding, w.window_height, w.height);
      for (size_t ox = 0; ox < w.output_width; ox++, y += w.channels) {
        max_of_window(images, &w, rows, inside(ox, w.stride, w.padding, w.window_width, w.width), y, winners);
        if (winners) winners += w.channels;
      }
    }
}

void ck_average_pool_f32(const float *images, size_t batch, const ck_windows *windows, float *y) {
  const ck_windows w = *windows;
  const float factor = 1.0f / (float)(w.window_height * w.window_width);
  for (size_t b = 0; b < batch; b++, images += w.height * w.width * w.channels)
    for (size_t oy = 0; oy < w.output_height; oy++) {
      span rows = inside(oy, w.stride, w.padding, w.window_height, w.height);
      for (size_t ox = 0; ox < w.output_width; ox++, y += w.channels) {
        span columns = inside(ox, w.stride, w.padding, w.window_width, w.width);
        memset(y, 0, w.channels * sizeof(float));
        for (size_t r = 0; r < rows.count; r++)
          for (size_t q = 0; q < columns.count; q++) {
            const float *x = images + ((rows.first + r) * w.width + columns.first + q) * w.channels;
            for (size_t c = 0; c < w.channels; c++) y[c] += x[c];
          }
        for (size_t c = 0; c < w.channels; c++) y[c] *= factor;
      }
    }
}

void ck_scale_shift_f32(const float *x, size_t rows, size_t channels, const float *scale, const float *shift, float *y) {
  for (size_t m = 0; m < rows; m++, x += channels, y += channels)
    for (size_t c = 0; c < channels; c++) y[c] = x[c] * scale[c] + shift[c];
}
