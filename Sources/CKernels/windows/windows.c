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

// Rows of a window are short (5 floats for LeNet-5), where a call of memcpy costs more than the copy. Fours, the last of them overlapping.
static inline void copy(float *to, const float *from, size_t count) {
  const size_t four = 4 * sizeof(float);
  if (count > 64) {
    memcpy(to, from, count * sizeof(float));
  } else if (count >= 4) {
    for (size_t i = 0; i + 4 < count; i += 4) memcpy(to + i, from + i, four);
    memcpy(to + count - 4, from + count - 4, four);
  } else {
    for (size_t i = 0; i < count; i++) to[i] = from[i];
  }
}

static inline void copy_rows(float *to, size_t to_step, const float *from, size_t from_step, size_t rows, size_t count) {
  if (count < 4 || count > 8) {
    for (size_t y = 0; y < rows; y++) copy(to + y * to_step, from + y * from_step, count);
    return;
  }
  // Two fours without a loop between them.
  const size_t four = 4 * sizeof(float), second = count - 4;
  for (size_t y = 0; y < rows; y++, to += to_step, from += from_step) {
    float x[8];
    memcpy(x, from, four);
    memcpy(x + 4, from + second, four);
    memcpy(to, x, four);
    memcpy(to + second, x + 4, four);
  }
}

// One row of all windows that begin in one row of the image: from[width, channels] -> to[ox · patch + i], i < line.
static void gather_row(const float *from, const ck_windows *w, size_t patch, size_t line, float *to) {
  // Windows first…end − 1 lie inside.
  size_t first = (w->padding + w->stride - 1) / w->stride, room = w->width + w->padding;
  size_t end = room < w->window_width ? 0 : (room - w->window_width) / w->stride + 1;
  if (end > w->output_width) end = w->output_width;
  if (first > end) first = end;
  for (size_t ox = 0; ox < w->output_width; ox++) {
    if (ox == first && first < end) ox = end;
    if (ox == w->output_width) break;
    span columns = inside(ox, w->stride, w->padding, w->window_width, w->width);
    memset(to + ox * patch, 0, line * sizeof(float));
    copy(to + ox * patch + columns.before * w->channels, from + columns.first * w->channels, columns.count * w->channels);
  }
  if (first < end)
    copy_rows(to + first * patch, patch, from + (first * w->stride - w->padding) * w->channels, w->stride * w->channels, end - first, line);
}

void ck_im2col_f32(const float *images, size_t batch, const ck_windows *windows, float *patches) {
  const ck_windows w = *windows;
  const size_t line = w.window_width * w.channels, patch = w.window_height * line, sample = w.height * w.width * w.channels;
  for (size_t b = 0; b < batch; b++, images += sample)
    for (size_t oy = 0; oy < w.output_height; oy++, patches += w.output_width * patch) {
      span rows = inside(oy, w.stride, w.padding, w.window_height, w.height);
      for (size_t y = 0; y < w.window_height; y++) {
        float *to = patches + y * line;
        if (y >= rows.before && y - rows.before < rows.count) {
          gather_row(images + (rows.first + y - rows.before) * w.width * w.channels, &w, patch, line, to);
        } else {
          for (size_t ox = 0; ox < w.output_width; ox++) memset(to + ox * patch, 0, line * sizeof(float));
        }
      }
    }
}

typedef float floats __attribute__((vector_size(16)));
typedef int32_t ints __attribute__((vector_size(16)));

// Four channels of one window. A NaN wins over what is not one.
static inline void max_of_four(const float *image, const ck_windows *w, span rows, span columns, size_t channel, float *y, int32_t *winners) {
  floats best = {0, 0, 0, 0};
  ints winner = {0, 0, 0, 0};
  const ints lanes = {0, 1, 2, 3};
  for (size_t r = 0; r < rows.count; r++)
    for (size_t q = 0; q < columns.count; q++) {
      size_t offset = ((rows.first + r) * w->width + columns.first + q) * w->channels + channel;
      floats x;
      memcpy(&x, image + offset, sizeof x);
      ints position = lanes + (int32_t)offset;
      if (r == 0 && q == 0) {
        best = x;
        winner = position;
      } else {
        ints better = ((x > best) & (best == best)) | ((x != x) & (best == best));
        best = (floats)(((ints)x & better) | ((ints)best & ~better));
        winner = (position & better) | (winner & ~better);
      }
    }
  memcpy(y + channel, &best, sizeof best);
  if (winners) memcpy(winners + channel, &winner, sizeof winner);
}

static void max_of_one(const float *image, const ck_windows *w, span rows, span columns, size_t channel, float *y, int32_t *winners) {
  size_t winner = (rows.first * w->width + columns.first) * w->channels + channel;
  for (size_t r = 0; r < rows.count; r++)
    for (size_t q = 0; q < columns.count; q++) {
      size_t offset = ((rows.first + r) * w->width + columns.first + q) * w->channels + channel;
      float x = image[offset], best = image[winner];
      if (best == best && (x > best || x != x)) winner = offset;
    }
  y[channel] = image[winner];
  if (winners) winners[channel] = (int32_t)winner;
}

static inline void max_of_window(const float *image, const ck_windows *w, span rows, span columns, float *y, int32_t *winners) {
  if (w->channels < 4) {
    for (size_t c = 0; c < w->channels; c++) max_of_one(image, w, rows, columns, c, y, winners);
    return;
  }
  // The last four may overlap the ones before, and give the same again.
  for (size_t c = 0; c + 4 < w->channels; c += 4) max_of_four(image, w, rows, columns, c, y, winners);
  max_of_four(image, w, rows, columns, w->channels - 4, y, winners);
}

enum { most_in_row = 4096 };  // numbers of an image's row that fit on the stack

// A NaN wins over what is not one.
static inline float larger(float best, float x) { return best == best && (x > best || x != x) ? x : best; }

// Without winners and padding: the largest of each column of numbers first, side by side, then of the columns of each window.
static void max_of_rows(const float *rows, const ck_windows *w, float *y) {
  float largest[most_in_row];
  size_t count = w->width * w->channels;
  memcpy(largest, rows, count * sizeof(float));
  for (size_t r = 1; r < w->window_height; r++)
    for (size_t i = 0; i < count; i++) largest[i] = larger(largest[i], rows[r * count + i]);
  for (size_t ox = 0; ox < w->output_width; ox++) {
    const float *window = largest + ox * w->stride * w->channels;
    for (size_t c = 0; c < w->channels; c++, y++) {
      float best = window[c];
      for (size_t q = 1; q < w->window_width; q++) best = larger(best, window[q * w->channels + c]);
      *y = best;
    }
  }
}

void ck_max_pool_f32(const float *images, size_t batch, const ck_windows *windows, float *y, int32_t *winners) {
  const ck_windows w = *windows;
  if (winners == NULL && w.padding == 0 && w.width * w.channels <= most_in_row) {
    for (size_t b = 0; b < batch; b++, images += w.height * w.width * w.channels)
      for (size_t oy = 0; oy < w.output_height; oy++, y += w.output_width * w.channels)
        max_of_rows(images + oy * w.stride * w.width * w.channels, &w, y);
    return;
  }
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
