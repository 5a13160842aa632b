#!/usr/bin/env bash
# The kernels of arm64 on a machine of another kind: compiled by clang and by gcc against Debian's arm64 libc, run under qemu as processors that have
# just what a set may use, so that an instruction beyond it ends the check (i8mm as `max`, since qemu 7.2 has none with I8MM and no more). Installs what it
# needs, or names it. Takes minutes.
#
#     Scripts/arm64-check.sh            every size of each dimension, others drawn from edges; rounding of a stride of the inputs; gcc's build a small sample
#     Scripts/arm64-check.sh product    all M, N, K up to 40, and rounding of all 2^32 inputs (hours)
#     Scripts/arm64-check.sh brief      a small sample
#
# With clang's build buffers end exactly at pages that may not be touched, with gcc's they begin behind such pages.
set -euo pipefail
cd "$(dirname "$0")/.."
sample=${1:-edges}
case $sample in
    edges | product | quick | brief) ;;
    *) echo "arm64-check: expected edges, product, quick or brief, found $sample" >&2; exit 2 ;;
esac
gcc_sample=$sample
[ "$sample" != edges ] || gcc_sample=brief
processors="neon:cortex-a72 dotprod:neoverse-n1 i8mm:max armbf16:max" # a set, and a processor that has it

missing=
command -v aarch64-linux-gnu-gcc >/dev/null || missing="$missing gcc-aarch64-linux-gnu"
[ -e /usr/aarch64-linux-gnu/include/stdlib.h ] || missing="$missing libc6-dev-arm64-cross"
command -v qemu-aarch64-static >/dev/null || missing="$missing qemu-user-static"
# shellcheck disable=SC2086 # a list of names
Scripts/install-packages.sh arm64-check $missing

RUN=no TARGET=arm64 Scripts/ckernels-check.sh
check() { echo ".build/ckernels-check/$1-arm64/check"; }

# A set that the processor lacks is refused with one line that says so.
refuses() { # PROCESSOR SET
    local status=0 line
    line=$(qemu-aarch64-static -cpu "$1" "$(check clang)" brief "$2" 2>&1) || status=$?
    [ "$status" -eq 2 ] && grep -qx "ckernels-check: CK_ISA=$2: .*available here: portable neon.*" <<<"$line" ||
        { echo "arm64-check: expected $1 to refuse $2, found status $status: $line" >&2; exit 1; }
    echo "$1: $line"
}
for set in dotprod i8mm armbf16; do refuses cortex-a72 "$set"; done
for set in i8mm armbf16; do refuses neoverse-n1 "$set"; done

# One job for each compiler, set and family, as many at once as there are processors. Sets that share their rounding go together, since it is swept once.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
families=$(qemu-aarch64-static "$(check clang)" families)
run() { # COMPILER PROCESSOR PLACEMENT SAMPLE FAMILY SET ...
    local began=$SECONDS log="$work/$1-$5-$6" status=0 counts
    qemu-aarch64-static -cpu "$2" "$(check "$1")" "${@:3}" >"$log" 2>&1 || status=$?
    counts=$(sed -n 's/ checks$//p' "$log" | tr -s ' \n' ' ')
    if [ "$status" -eq 0 ] && grep -q "^[a-z0-9]* *[1-9][0-9]* checks$" "$log"; then
        grep "rounding," "$log" || true # how many inputs were compared
        printf '%-6s %-11s %-10s %-11s %4d s  checks: %s\n' "$1" "$2" "$3" "$5" $((SECONDS - began)) "$counts"
    else
        { echo "FAILED with status $status: qemu-aarch64-static -cpu $2 $(check "$1") ${*:3}"; cat "$log"; } >&2
        return 1
    fi
}
export -f run check
export work
{
    for family in $families; do
        for pair in $processors; do
            [ "$family" != rounding ] || pair="neon dotprod i8mm armbf16:max"
            echo "clang ${pair#*:} exact $sample $family ${pair%:*}"
            echo "gcc ${pair#*:} beginnings $gcc_sample $family ${pair%:*}"
            [ "$family" != rounding ] || break
        done
    done
    echo "clang max exact brief gemm portable"
} | xargs -P "$(getconf _NPROCESSORS_ONLN)" -L 1 bash -c 'run "$@"' run || { echo "arm64-check: kernels of arm64 failed" >&2; exit 1; }
echo "arm64-check: all passed ($SECONDS s)"
