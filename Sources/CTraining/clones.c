#include "clones.h"

#include "CTraining.h"

ck_isa ck_training_isa(void) { return ck_clones_are_wide() ? ck_isa_avx2 : ck_isa_portable; }
