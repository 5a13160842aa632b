// The check of CTraining's loops; it is here, since CKernelsTestSupport knows CKernels alone.
#ifndef CK_CHECK_TRAINING_H
#define CK_CHECK_TRAINING_H

#include "instruction_sets.h"

// Null, or what fails: a loop whose bits on rows of `columns` numbers are not those of the plain one, or one of the list that no case calls.
const char *_Nullable check_training(ck_isa isa, size_t columns, uint64_t seed);

#endif
