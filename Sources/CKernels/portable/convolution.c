// The reference of the convolution: every window of every output.
#include "dispatch.h"

CK_NO_CONTRACTION

static float sum_of_window(const float *image, const ck_windows *w, const float *weights, size_t oy, size_t ox, float sum) {
  for (size_t c = 0; c < w->channels; c++)
    for (size_t ky = 0; ky < w->window_height; ky++)
      for (size_t kx = 0; kx < w->window_width; kx++) {
        size_t y = oy + ky - w->padding, x = ox + kx - w->padding;  // wraps to more than any size in front of the image
        float value = y < w->height && x < w->width ? image[(y * w->width + x) * w->channels + c] : 0.0f;  // padding is zeros like any other
        sum += value * weights[(ky * w->window_width + kx) * w->channels + c];
      }
  return sum;
}

static void conv2d(const float *images, size_t batch, const ck_windows *w, const float *weights, size_t outputs, const float *bias, int relu,
                   float *y, void *workspace) {
  (void)workspace;
  size_t patch = w->window_height * w->window_width * w->channels;
  for (size_t b = 0; b < batch; b++, images += w->height * w->width * w->channels)
    for (size_t oy = 0; oy < w->output_height; oy++)
      for (size_t ox = 0; ox < w->output_width; ox++)
        for (size_t n = 0; n < outputs; n++) {
          float sum = sum_of_window(images, w, weights + n * patch, oy, ox, bias != NULL ? bias[n] : 0.0f);
          *y++ = relu && sum < 0.0f ? 0.0f : sum;
        }
}

static size_t no_workspace(const ck_windows *w, size_t outputs) {
  (void)w, (void)outputs;
  return 0;
}

const ck_conv2d_config ck_conv2d_f32__portable = CK_CONV2D_CONFIG(conv2d, no_workspace);
