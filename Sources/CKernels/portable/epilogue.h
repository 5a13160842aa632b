// From the value of an output to what is asked for.
#ifndef CK_PORTABLE_EPILOGUE_H
#define CK_PORTABLE_EPILOGUE_H

#include "gemm.h"
#include "scalar.h"

CK_NO_CONTRACTION

static inline float finish(const ck_gemm_output *y, size_t n, float value) {
  if (y->bias != NULL) value += y->bias[n];
  if (y->relu) value = value < 0.0f ? 0.0f : value;
  return value;
}

static inline int32_t requantize(const ck_gemm_output *y, float value, int32_t lowest, int32_t highest) {
  value *= y->inverse_scale;
  int32_t code = 0;
  if (value == value) {
    value = value > 16777216.0f ? 16777216.0f : value < -16777216.0f ? -16777216.0f : value;
    code = ck_rint_even(value) + y->zero_point;
  }
  return code < lowest ? lowest : code > highest ? highest : code;
}

static inline void put(const ck_gemm_output *y, size_t m, size_t n, float value) {
  size_t at = m * y->stride + n;
  value = finish(y, n, value);
  if (y->type == ck_output_f32) ((float *)y->data)[at] = value;
  if (y->type == ck_output_u8) ((uint8_t *)y->data)[at] = (uint8_t)requantize(y, value, 0, 255);
  if (y->type == ck_output_s8) ((int8_t *)y->data)[at] = (int8_t)requantize(y, value, -127, 127);
}

#endif
