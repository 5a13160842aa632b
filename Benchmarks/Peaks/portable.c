// What the compiler's own vectorizer makes of the loops, for the portable kernels and for other processors.
#include <stdint.h>

#include "loops.h"

// Four numbers: a register of every processor with vectors.
typedef float floats4 __attribute__((vector_size(16)));
#if defined(__aarch64__)
#define KEEP_FLOATS(x) __asm__ volatile("" : "+w"(x))
#elif defined(__x86_64__)
#define KEEP_FLOATS(x) __asm__ volatile("" : "+x"(x))
#else
#define KEEP_FLOATS(x) __asm__ volatile("" : "+m"(x))
#endif

double peak_float32_portable(size_t repetitions) {
  enum { chains = 12 };
  floats4 sums[chains], x = {0.5f, 0.5f, 0.5f, 0.5f};
  CK_UNROLL
  for (int i = 0; i < chains; i++) sums[i] = x * (float)i;
  for (size_t r = 0; r < repetitions; r++) {
    CK_UNROLL
    for (int i = 0; i < chains; i++) {
      sums[i] = sums[i] * x + x;
      KEEP_FLOATS(sums[i]);
    }
  }
  return (double)(repetitions * chains * 4 * 2);
}

double peak_int8_portable(size_t repetitions) {
  int32_t sums[64] = {0};
  int8_t codes[64];
  for (int i = 0; i < 64; i++) codes[i] = (int8_t)i;
  for (size_t r = 0; r < repetitions; r++) {
    for (int i = 0; i < 64; i++) sums[i] += codes[i] * codes[63 - i];
    __asm__ volatile("" ::"r"(sums), "r"(codes) : "memory");
  }
  return (double)repetitions * 64 * 2;
}

void peak_read_portable(const void *memory, size_t bytes) {
  const uint64_t *p = memory;
  uint64_t sum = 0;
  for (size_t i = 0; i < bytes / 8; i++) sum |= p[i];
  __asm__ volatile("" ::"r"(sum));
}
