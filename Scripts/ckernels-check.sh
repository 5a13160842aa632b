#!/usr/bin/env bash
# CKernels, CTraining and their checks alone, without Swift: compiled by clang and by gcc as C11 with all warnings as errors, and run on every instruction
# set of this machine. Arguments go to the check: "quick" takes a sample of the sizes, "brief" a small one. CC="clang" checks with one compiler, SANITIZE="address,undefined"
# under sanitizers, a finding ends the check. EMULATE=1 compiles the kernels against SIMDe (Debian's libsimde-dev) and runs the sets that this machine
# lacks, or the last if it has all; EMULATE=all runs all of them emulated, EMULATE=avx512vnni one. TARGET=arm64 compiles for arm64 Linux and runs
# under QEMU=cortex-a72 or another of its processors ("max" unless told). RUN=no compiles alone: .build/ckernels-check/clang-arm64/check is to be run.
set -euo pipefail
cd "$(dirname "$0")/.."
[ "${BASH_VERSINFO[0]}" -ge 4 ] || { echo "ckernels-check: expected bash 4 or newer (brew install bash), found $BASH_VERSION" >&2; exit 1; }
sanitizers=() optimization=-O3
if [ -n "${SANITIZE:-}" ]; then  # -O3 takes minutes to compile then
  sanitizers=("-fsanitize=$SANITIZE" -fno-sanitize-recover=all -g) optimization=-O1
fi
emulation=()
if [ -n "${EMULATE:-}" ]; then
  intrinsics=Tests/CKernelsCheck/emulated_intrinsics.h
  echo "emulated by SIMDe, and by this repository what it lacks or does otherwise: $(sed -n 's/^#define \(_mm[0-9a-z_]*\|CK_DPBF16\)(.*/\1/p' "$intrinsics" | sort | tr '\n' ' ')"
  emulation=(-DCK_SIMDE -ITests/CKernelsCheck -Wno-psabi) optimization=-O2
  [ -n "${SANITIZE:-}" ] && optimization=-O1
fi
flags=("${sanitizers[@]}" -std=c11 $optimization -ffp-contract=off -Wall -Wextra -Wconversion -Wshadow -Werror "${emulation[@]}")
includes=(-ISources/CKernels/include -ISources/CTraining/include -ITests/CKernelsTestSupport/include -ITests/CKernelsTestSupport)
mapfile -t library < <(find Sources/CKernels Sources/CTraining -name '*.c' | sort)
mapfile -t checks < <(find Tests/CKernelsTestSupport Tests/CKernelsCheck -name '*.c' | sort)
run=()
if [ "${TARGET:-}" = arm64 ]; then run=(qemu-aarch64-static -cpu "${QEMU:-max}"); fi
for compiler in ${CC:-clang gcc}; do
  command=("$compiler")
  if [ "${TARGET:-}" = arm64 ]; then
    [ "$compiler" = gcc ] && command=(aarch64-linux-gnu-gcc) || command=("$compiler" --target=aarch64-linux-gnu --sysroot=/usr/aarch64-linux-gnu -isystem /usr/aarch64-linux-gnu/include)
  fi
  command -v "$compiler" >/dev/null || { echo "ckernels-check: expected $compiler (apt-get install $compiler), found none" >&2; exit 1; }
  if [ -n "${EMULATE:-}" ] && ! echo '#include <simde/x86/avx512.h>' | "$compiler" -fsyntax-only -x c - 2>/dev/null; then
    echo "ckernels-check: expected SIMDe for $compiler (apt-get install libsimde-dev), found none" >&2
    exit 1
  fi
  build=.build/ckernels-check/$compiler${TARGET:+-$TARGET}${SANITIZE:+-sanitized}${EMULATE:+-emulated}
  rm -rf "$build"
  mkdir -p "$build"
  echo "$compiler: ${#library[@]} files"
  printf '%s\n' "${library[@]}" | while read -r file; do
    echo "${command[*]} ${flags[*]} ${includes[*]} -c $file -o $build/$(tr / _ <<<"$file").o"
  done | xargs -P "$(getconf _NPROCESSORS_ONLN)" -I {} sh -c '{}'
  # The checks are compiled as the tests of SwiftPM compile them. What clang has cross-compiled gcc links, which brings the libraries.
  link=("${command[@]}" "${sanitizers[@]}")
  [ "${TARGET:-}" = arm64 ] && link=(aarch64-linux-gnu-gcc -static)
  for file in "${checks[@]}"; do
    "${command[@]}" "${sanitizers[@]}" -std=c11 -O2 -ffp-contract=off -Wall -Wextra -Werror "${emulation[@]}" "${includes[@]}" -c "$file" -o "$build/$(tr / _ <<<"$file").o"
  done
  "${link[@]}" "$build"/*.o -o "$build/check" -lm -lpthread
  [ "${RUN:-}" = no ] || "${run[@]}" "$build/check" "$@"
done
