// SIMD kernels of model compression. The C layer allocates nothing, starts no threads and keeps no state but the table of
// kernels and how it was chosen (dispatch.h). It checks nothing in release builds: every header states what it requires.
#ifndef CKERNELS_H
#define CKERNELS_H

#include "convolution.h"
#include "dispatch.h"
#include "elementwise.h"
#include "gemm.h"
#include "instruction_sets.h"
#include "quantize.h"
#include "round.h"
#include "scalar.h"
#include "sparse.h"
#include "sparse_nm.h"

#endif
