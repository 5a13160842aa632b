#include <string.h>

#include "CKernelsTestSupport.h"

#if defined(__x86_64__)
#include <xmmintrin.h>

uint64_t ck_test_float_control(void) { return _mm_getcsr(); }
void ck_test_set_float_control(uint64_t control) { _mm_setcsr((unsigned)control); }
uint64_t ck_test_hostile_control(uint64_t control, unsigned direction) {
  return (control & ~(uint64_t)(3u << 13)) | direction << 13 | 1u << 15 /* FTZ */ | 1u << 6 /* DAZ */;
}

#elif defined(__aarch64__)

uint64_t ck_test_float_control(void) {
  uint64_t control;
  __asm__ volatile("mrs %0, fpcr" : "=r"(control));
  return control;
}
void ck_test_set_float_control(uint64_t control) { __asm__ volatile("msr fpcr, %0" ::"r"(control)); }
uint64_t ck_test_hostile_control(uint64_t control, unsigned direction) {
  return (control & ~(uint64_t)(3u << 22)) | direction << 22 | 1u << 24 /* FZ */ | 1u << 19 /* FZ16 */ | 1u << 25 /* DN */ | 1u << 26 /* AHP */;
}

#else
#error "ck_test_float_control is not written for this processor"
#endif

typedef struct table_row {
  ck_isa isa;
  size_t member;      // offset in ck_kernels
  const void *kernel;  // function or configuration
} table_row;

bool ck_test_table_is_filled(ck_isa isa) {
  static const table_row rows[] = {
#define CK_KERNEL(operation, isa) {ck_isa_##isa, offsetof(ck_kernels, operation), (const void *)(uintptr_t)ck_##operation##__##isa},
#define CK_CONFIG(operation, isa) {ck_isa_##isa, offsetof(ck_kernels, operation), &ck_##operation##__##isa},
#include "../../Sources/CKernels/dispatch/kernels.inc"
  };
  const ck_kernels *table = ck_kernels_of(isa);
  if (table == NULL || table->isa != isa) return false;
  size_t count = sizeof rows / sizeof rows[0];
  for (size_t i = 0; i < count; i++) {
    const table_row *last = NULL;  // of the rows of this operation whose features are there
    for (size_t j = 0; j < count; j++) {
      bool is_allowed = (ck_isa_features(rows[j].isa) & ~ck_isa_features(isa)) == 0;
      if (rows[j].member == rows[i].member && is_allowed && (last == NULL || rows[j].isa >= last->isa)) last = &rows[j];
    }
    const void *held;
    memcpy(&held, (const char *)table + rows[i].member, sizeof held);
    if (last == NULL || held != last->kernel) return false;
  }
  return true;
}
