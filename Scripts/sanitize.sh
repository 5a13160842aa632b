#!/usr/bin/env bash
# All tests under a sanitizer: Scripts/sanitize.sh address|undefined|address,undefined|thread [arguments of swift test]. A finding ends the process.
# Each has a build of its own in .build-asan, .build-ubsan, .build-asan-ubsan, .build-tsan.
set -euo pipefail
cd "$(dirname "$0")/.."
kind=${1:-}
shift || true
# Allocations that have to fail do so instead of ending the process; code of the system's libraries, which nobody instruments, may leak.
export ASAN_OPTIONS=allocator_may_return_null=1:detect_leaks=0
export UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1
export TSAN_OPTIONS="halt_on_error=1 suppressions=$PWD/Scripts/thread-sanitizer.supp"
# Not the tests of memory taken: these sanitizers keep what was freed, and pad or shadow what is allocated.
memory=(--skip FileMemoryTests --skip hostileFilesTakeLittleMemory)
# SwiftPM knows no --sanitize=undefined: clang compiles with it, and the driver that links brings the run-time library.
# Kernels at -O1: instrumented, they take minutes to compile otherwise.
undefined=(-Xcc -O1 -Xcc -fsanitize=undefined -Xcc -fno-sanitize-recover=all -Xswiftc -Xclang-linker -Xswiftc -fsanitize=undefined)
case $kind in
address) swift test --scratch-path .build-asan --sanitize=address "${memory[@]}" "$@" ;;
undefined) swift test --scratch-path .build-ubsan "${undefined[@]}" "$@" ;;
address,undefined) swift test --scratch-path .build-asan-ubsan --sanitize=address "${undefined[@]}" "${memory[@]}" "$@" ;;
thread) swift test --scratch-path .build-tsan --sanitize=thread "${memory[@]}" "$@" ;;
*)
    echo "Scripts/sanitize.sh: expected address, undefined, address,undefined or thread, found ${kind:-nothing}" >&2
    exit 64
    ;;
esac
