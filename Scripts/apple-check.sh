#!/usr/bin/env bash
# All C files compiled and assembled for macOS and iOS on arm64 and for macOS on x86-64, with all warnings as errors, and the checks linked for macOS: what a
# machine that runs none of them can know. The headers and the list of symbols of Apple's C library are those that the PyPI package ziglang brings; nothing is
# run, and no Swift is compiled, for which Apple's SDK is needed. Needs clang, python3 with pip.
set -euo pipefail
cd "$(dirname "$0")/.."
fail() { echo "apple-check: $1" >&2; exit 1; }
for tool in clang python3; do command -v "$tool" >/dev/null || fail "expected $tool (apt-get install $tool), found none"; done

version=0.17.1
packages=.cache/ziglang-$version
if [ ! -e "$packages/ziglang" ]; then
    python3 -m pip --version >/dev/null 2>&1 || fail "expected pip (apt-get install python3-pip), found none"
    rm -rf "$packages.part"
    python3 -m pip install --quiet --no-deps --target "$packages.part" "ziglang==$version"
    mv "$packages.part" "$packages"
fi
headers=$packages/ziglang/lib/libc/include/any-darwin-any
[ -e "$headers/sys/sysctl.h" ] || fail "expected Apple's headers in $headers, found none"

includes=()
for folder in Sources/CKernels/include Sources/CTraining/include Tests/CKernelsTestSupport/include Tests/CKernelsTestSupport Benchmarks/Peaks/include; do
    includes+=("-I$folder")
done
flags=(-std=c11 -O1 -nostdlibinc -isystem "$headers" -Wall -Wextra -Wshadow -Werror "${includes[@]}")
build=.build/apple-check
for target in arm64-apple-macos15 arm64-apple-ios18 x86_64-apple-macos15; do
    rm -rf "${build:?}/$target"
    mkdir -p "$build/$target"
    find Sources/CKernels Sources/CTraining Tests/CKernelsTestSupport Tests/CKernelsCheck Benchmarks/Peaks -name '*.c' -print0 |
        xargs -0 -P "${JOBS:-$(getconf _NPROCESSORS_ONLN)}" -I FILE sh -c \
            'file=$1 target=$2 build=$3; shift 3; exec clang --target="$target" "$@" -c "$file" -o "$build/$target/$(echo "$file" | tr / _).o"' \
            sh FILE "$target" "$build" "${flags[@]}"
    count=$(find "$build/$target" -name '*.o' | wc -l)
    echo "$target: $count files compile"
done

link() { # target of clang, that of zig
    rm -f "$build/$1"/Benchmarks_*
    "$packages/ziglang/zig" cc -target "$2" "$build/$1"/*.o -o "$build/check-$1"
    echo "$1: the checks link: $(file -b "$build/check-$1" 2>/dev/null || echo "not run")"
}
link arm64-apple-macos15 aarch64-macos.15.0
link x86_64-apple-macos15 x86_64-macos.15.0
