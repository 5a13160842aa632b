// The list of the sets, and what is asked of it. What the processor has is in the file of its architecture.
#include "instruction_sets.h"

#include <string.h>

static const struct {
  const char *name, *architecture;
  uint32_t features;
} sets[] = {
#define CK_SET(name, architecture, features, target) {#name, #architecture, features},
    CK_EACH_SET(CK_SET)
#undef CK_SET
};

const char *ck_isa_name(ck_isa isa) { return sets[isa].name; }
const char *ck_isa_architecture(ck_isa isa) { return sets[isa].architecture; }
uint32_t ck_isa_features(ck_isa isa) { return sets[isa].features; }

bool ck_isa_named(const char *name, ck_isa *isa) {
  for (int i = 0; i < ck_isa_count; i++) {
    if (strcmp(name, sets[i].name) == 0) {
      *isa = (ck_isa)i;
      return true;
    }
  }
  return false;
}

bool ck_isa_is_available(ck_isa isa) { return (ck_isa_features(isa) & ~ck_machine_features()) == 0; }

// What the processor has, and what kernels may ask for: the same, but where every instruction is emulated.
#if defined(CK_SIMDE)
uint32_t ck_machine_features(void) {
  uint32_t all = 0;
  for (int i = 0; i < ck_isa_count; i++)
    if (strcmp(sets[i].architecture, CK_ARCHITECTURE) == 0) all |= sets[i].features;
  return all;
}
#else
uint32_t ck_machine_features(void) { return ck_detected_features(); }
#endif

// Processors of x86_64.c and arm64.c apart.
#if !defined(__x86_64__) && !defined(__aarch64__)
uint32_t ck_detected_features(void) { return 0; }

bool ck_cpu_is_intel(void) { return false; }

void ck_cpu_name(char *name, size_t capacity) {
  if (capacity > 0) name[0] = 0;
}
#endif
