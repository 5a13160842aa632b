#include "loops.h"

#include "CTraining.h"

// A topic that no row has: the sets alone.
#define CK_LOOP(...)
#include "loops.inc"

static const ck_isa sets[] = {
    ck_isa_portable,
#define ISA(set, target_, none) ck_isa_##set,
    CK_EACH_LOOP_SET(ISA, )
#undef ISA
};

size_t ck_loop_set(void) {
  const uint32_t features = ck_active_kernels()->features;
  size_t last = 0;
  for (size_t i = 1; i < sizeof sets / sizeof sets[0]; i++)
    if ((ck_isa_features(sets[i]) & ~features) == 0) last = i;
  return last;
}

ck_isa ck_training_isa(void) { return sets[ck_loop_set()]; }

size_t ck_training_loops(const char *const **names) {
  static const char *const all[] = {
#define CK_LOOPS_OF_ALL
#define CK_LOOP(result, name, parameters, arguments) #name,
#include "loops.inc"
  };
  *names = all;
  return sizeof all / sizeof all[0];
}
