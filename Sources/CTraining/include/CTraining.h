// Loops over elements that training needs and BLAS does not have. Plain C that every compiler vectorizes; nothing allocates, nothing
// starts a thread. Arrays are row-major without gaps and do not overlap unless said.
#ifndef CTRAINING_H
#define CTRAINING_H

#include "convolution_gradients.h"
#include "distillation.h"
#include "exponents.h"
#include "layers.h"
#include "loss.h"
#include "normalization.h"
#include "optimizers.h"
#include "pruning.h"
#include "quantization.h"

#include "instruction_sets.h"

// The instruction set that these loops are compiled for where they run now: the last one up to the set in use (dispatch.h) that they have
// clones for. For tests and reports.
ck_isa ck_training_isa(void);

// The names of these loops (loops.inc), for tests.
size_t ck_training_loops(const char *_Nonnull const *_Nonnull *_Nonnull names);

#endif
