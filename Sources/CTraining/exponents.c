#include "exponents.h"

#include <string.h>

void ck_count_exponents_f32(const float *x, size_t count, ck_exponents *counts) {
  for (size_t i = 0; i < count; i++) {
    uint32_t bits;
    memcpy(&bits, x + i, sizeof bits);
    bits &= 0x7FFFFFFF;
    if (bits == 0) {
      counts->zeros++;
    } else if (bits >= 0x7F800000) {
      counts->not_finite++;
    } else {
      // Subnormal numbers get the place of their first bit as exponent, and the bits behind it as fraction.
      int shift = bits < 0x00800000 ? __builtin_clz(bits) - 8 : 0;
      int place = bits < 0x00800000 ? 23 - shift : (int)(bits >> 23) + 22;
      uint32_t fraction = bits << shift & 0x007FFFFF;
      counts->numbers[place]++;
      counts->powers[place] += fraction == 0;
      counts->tops[place] += fraction >= 0x007FF000;
    }
  }
}
