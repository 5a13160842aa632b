#!/usr/bin/env bash
# Scripts/arm64_cycles.py, after installing what it needs, or naming it.
set -euo pipefail
cd "$(dirname "$0")/.."
missing=
command -v llvm-mca-19 >/dev/null || missing="$missing llvm-19"
command -v python3 >/dev/null || missing="$missing python3"
[ -e /usr/aarch64-linux-gnu/include/stdlib.h ] || missing="$missing libc6-dev-arm64-cross"
# shellcheck disable=SC2086 # a list of names
Scripts/install-packages.sh arm64-cycles $missing
Scripts/arm64_cycles.py --self-test
exec Scripts/arm64_cycles.py "$@"
