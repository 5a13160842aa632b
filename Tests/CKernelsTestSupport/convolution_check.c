// Checks convolutions without windows against a loop over positions, outputs and places of the window in float64.
#include <math.h>

#include "CKernelsTestSupport.h"
#include "guarded.h"

CK_NO_CONTRACTION

enum { slot_images, slot_weights, slot_bias, slot_y, slot_workspace };

static float *numbers(int slot, size_t count, uint64_t *state) {
  float *x = ck_test_guarded(slot, 4 * count, 4);
  for (size_t i = 0; i < count; i++) x[i] = ck_test_number(state);
  return x;
}

// Whether the output n of position (oy, ox) is within its bound: each of the products and sums is rounded once.
static int is_near(const ck_windows *w, const float *image, const float *weights, float bias, int relu, size_t oy, size_t ox, float found) {
  double sum = (double)bias, size = fabs(sum);
  for (size_t ky = 0; ky < w->window_height; ky++)
    for (size_t kx = 0; kx < w->window_width; kx++) {
      size_t y = oy + ky - w->padding, x = ox + kx - w->padding;  // in front of the image they wrap
      const float *pixel = y < w->height && x < w->width ? image + (y * w->width + x) * w->channels : NULL;
      const float *weight = weights + (ky * w->window_width + kx) * w->channels;
      for (size_t c = 0; c < w->channels; c++) {
        double product = (pixel != NULL ? (double)pixel[c] : 0) * (double)weight[c];
        sum += product;
        size += fabs(product);
      }
    }
  if (isnan(sum)) return isnan(found);
  if (relu && sum < 0) sum = 0;
  if (isinf(sum)) return (double)found == sum;
  return fabs((double)found - sum) <= (double)(w->window_height * w->window_width * w->channels + 2) * 0x1p-24 * size;
}

int ck_test_conv2d(ck_isa isa, const ck_test_conv2d_case *c) {
  const ck_conv2d_config *config = ck_kernels_of(isa)->conv2d_f32;
  uint64_t state = c->seed | 1;
  ck_windows w = {c->height, c->width, c->channels, c->window_height, c->window_width, 1, c->padding, 0, 0};
  w.output_height = w.height + 2 * w.padding - w.window_height + 1;
  w.output_width = w.width + 2 * w.padding - w.window_width + 1;
  size_t image = w.height * w.width * w.channels, patch = w.window_height * w.window_width * w.channels;
  size_t positions = w.output_height * w.output_width;
  float *images = numbers(slot_images, c->batch * image, &state), *weights = numbers(slot_weights, c->outputs * patch, &state);
  float *bias = c->has_bias ? numbers(slot_bias, c->outputs, &state) : NULL;
  // Zeros of the padding are numbers: times infinity they are none.
  if (c->is_infinite) weights[ck_test_next(&state) % (c->outputs * patch)] = INFINITY;
  float *y = ck_test_guarded(slot_y, 4 * c->batch * positions * c->outputs, 4);
  config->kernel(images, c->batch, &w, weights, c->outputs, bias, c->relu, y,
                 ck_test_guarded(slot_workspace, config->workspace_bytes(&w, c->outputs), 64));
  int agrees = ck_test_guards_are_intact(slot_y) && ck_test_guards_are_intact(slot_workspace);
  for (size_t b = 0; b < c->batch; b++)
    for (size_t position = 0; position < positions; position++)
      for (size_t n = 0; n < c->outputs; n++)
        agrees &= is_near(&w, images + b * image, weights + n * patch, bias != NULL ? bias[n] : 0, c->relu, position / w.output_width,
                          position % w.output_width, y[(b * positions + position) * c->outputs + n]);
  return agrees;
}
