#!/usr/bin/env bash
# What takes too long for .ci/run: the exhaustive sweeps on each instruction set of this machine and, emulated, of arm64, all mutations, ThreadSanitizer.
set -euo pipefail
cd "$(dirname "$0")/.."
# Tests refuse a set that does not exist, once they are built, with a line of those that do.
output=$(CK_ISA=none swift test -c release --filter none 2>&1 || true)
sets=$(sed -n 's/.*available here: //p' <<<"$output" | head -1)
[ -n "$sets" ] || { echo "Scripts/prove.sh: expected a line of the available instruction sets, found: $output" >&2; exit 1; }
for isa in $sets; do
    echo "==== exhaustive sweeps, CK_ISA=$isa ($SECONDS s)"
    CK_ISA=$isa swift test -c release --skip-build
done
echo "==== arm64 under qemu: all M, N, K up to 40, rounding of all 2^32 inputs ($SECONDS s)"
Scripts/arm64-check.sh product
echo "==== ThreadSanitizer ($SECONDS s)"
Scripts/sanitize.sh thread --skip CKernelsTests # kernels start no threads
echo "==== mutations ($SECONDS s)"
Scripts/mutate.py
echo "==== done ($SECONDS s)"
