// Loops that are compiled twice, for the baseline and for AVX2, whose vectors are twice as wide. Without FMA both give the same bits.
#ifndef CTRAINING_CLONES_H
#define CTRAINING_CLONES_H

#include "cpu.h"

#define CK_BODY static inline __attribute__((always_inline)) void

#if defined(__x86_64__)
// The answer is kept: CPUID takes a microsecond in virtual machines.
static inline bool has_avx2(void) {
  static int known = -1;
  int answer = __atomic_load_n(&known, __ATOMIC_RELAXED);
  if (answer < 0) {
    answer = ck_isa_is_available(ck_isa_avx2);
    __atomic_store_n(&known, answer, __ATOMIC_RELAXED);
  }
  return answer;
}
// Defines `name` as name_body.
#define CK_CLONES(name, parameters, arguments)                                                                   \
  __attribute__((target("avx2"))) static void name##_avx2 parameters { name##_body arguments; }                  \
  void name parameters {                                                                                         \
    if (has_avx2()) name##_avx2 arguments; else name##_body arguments;                                           \
  }
#else
#define CK_CLONES(name, parameters, arguments) \
  void name parameters { name##_body arguments; }
#endif

#endif
