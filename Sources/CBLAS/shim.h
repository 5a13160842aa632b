// The system's BLAS and LAPACK: Accelerate on Apple platforms, libblas and liblapacke elsewhere.
#ifdef __APPLE__
// Accelerate's headers of LAPACK 3.9 and CBLAS with integers of 32 bits (macOS 13.3, iOS 16.4); without it the deprecated ones of LAPACK 3.2. A clang module does
// not see what is defined here, so Package.swift defines it too; calls compile with either.
#ifndef ACCELERATE_NEW_LAPACK
#define ACCELERATE_NEW_LAPACK 1
#endif
#include <Accelerate/Accelerate.h>
#else
#include <cblas.h>
#include <lapacke.h>
#endif
