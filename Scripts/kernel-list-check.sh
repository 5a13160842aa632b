#!/usr/bin/env bash
# A row of kernels.inc for a set of another architecture does not compile, and says why; nor does one of a set that there is not. Compiled by each
# compiler that is here (CC="clang gcc" unless told), for this machine and, where aarch64-linux-gnu-gcc is here, for arm64.
set -euo pipefail
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() { echo "kernel-list-check: $1" >&2; exit 1; }

compile() { # a command of a compiler, then a row that is added
    local row=$1
    shift
    rm -rf "$work/CKernels"
    mkdir "$work/CKernels"
    cp -r Sources/CKernels/include Sources/CKernels/dispatch "$work/CKernels/"
    awk -v row="$row" '/^#undef CK_KERNEL_OPERATION/ { print row } { print }' Sources/CKernels/dispatch/kernels.inc >"$work/CKernels/dispatch/kernels.inc"
    "$@" -std=c11 -fsyntax-only -I"$work/CKernels/include" "$work/CKernels/dispatch/table.c" 2>"$work/errors"
}

check() { # a set of another architecture, then a command of a compiler
    local foreign=$1
    shift
    compile "" "$@" || fail "expected the list to compile with $*, found: $(cat "$work/errors")"
    for row in "CK_KERNEL(row_range_f32, $foreign)" "CK_CONFIG(gemm_u8_s8, $foreign)"; do
        ! compile "$row" "$@" || fail "expected $row to be refused by $*, found that it compiles"
        grep -q "kernels.inc: .* for $foreign stands outside of the #if of its architecture" "$work/errors" ||
            fail "expected why $row is refused by $*, found: $(cat "$work/errors")"
    done
    ! compile "CK_KERNEL(row_range_f32, bogus)" "$@" || fail "expected a row of no set to be refused by $*, found that it compiles"
    grep -q "bogus" "$work/errors" || fail "expected the name of the set, found: $(cat "$work/errors")"
    echo "$*: rows of $foreign are refused"
}

case $(uname -m) in
x86_64) foreign=neon ;;
*) foreign=avx2 ;;
esac
for compiler in ${CC:-clang gcc}; do
    if command -v "$compiler" >/dev/null; then check "$foreign" "$compiler"; fi
done
if command -v aarch64-linux-gnu-gcc >/dev/null; then check avx2 aarch64-linux-gnu-gcc; fi
