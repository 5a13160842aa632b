// Images with a plane for each channel, where neighbours of one channel lie side by side, with their padding around, so that borders need no branch.
#ifndef CK_WINDOWS_PLANES_H
#define CK_WINDOWS_PLANES_H

#include <string.h>

#include "convolution.h"

static inline size_t ck_planes_count(const ck_windows *w) { return w->channels * (w->height + 2 * w->padding) * (w->width + 2 * w->padding); }

// planes[c][height + 2 · padding][width + 2 · padding], zeros around the image; behind them `more` zeros that vectors may read.
static inline void ck_make_planes(const float *image, const ck_windows *w, float *planes, size_t more) {
  size_t rows = w->height + 2 * w->padding, columns = w->width + 2 * w->padding, channels = w->channels;
  memset(planes, 0, (ck_planes_count(w) + more) * sizeof(float));
  for (size_t c = 0; c < channels; c++)
    for (size_t y = 0; y < w->height; y++) {
      float *to = planes + (c * rows + y + w->padding) * columns + w->padding;
      const float *from = image + y * w->width * channels + c;
      if (channels == 1) {
        memcpy(to, from, w->width * sizeof(float));
      } else {
        for (size_t x = 0; x < w->width; x++) to[x] = from[x * channels];
      }
    }
}

#endif
