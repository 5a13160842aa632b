#!/usr/bin/env bash
# Scripts/arm64_cycles.py, after installing what it needs, or naming it.
set -euo pipefail
cd "$(dirname "$0")/.."
missing=
command -v llvm-mca-19 >/dev/null || missing="$missing llvm-19"
command -v python3 >/dev/null || missing="$missing python3"
[ -e /usr/aarch64-linux-gnu/include/stdlib.h ] || missing="$missing libc6-dev-arm64-cross"
if [ -n "$missing" ]; then
    as_root=
    if [ "$(id -u)" -ne 0 ]; then as_root=sudo; fi
    echo "arm64-cycles: installing$missing"
    # shellcheck disable=SC2086 # a list of names
    if ! $as_root apt-get update -qq || ! $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing; then
        echo "arm64-cycles: could not install$missing. Run as root: apt-get update && apt-get install --no-install-recommends$missing" >&2
        exit 1
    fi
fi
Scripts/arm64_cycles.py --self-test
exec Scripts/arm64_cycles.py "$@"
