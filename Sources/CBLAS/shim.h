// The system's BLAS and LAPACK: Accelerate on Apple platforms, libblas and liblapacke elsewhere.
#ifdef __APPLE__
#include <Accelerate/Accelerate.h>
#else
#include <cblas.h>
#include <lapacke.h>
#endif
