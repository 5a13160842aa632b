#!/usr/bin/env bash
# Whether the working tree is slower than an older commit: builds both in release, runs the same benchmarks of both in turn (A B A B …), gives
# the reports to `Benchmarks compare`, and ends with its status: 1 where something is slower.
#
#   Scripts/compare-commits.sh COMMIT [BENCHMARK …]     gemm unless told otherwise; quote options: "gemm --shapes 256x1024x1024 --formats w8a8"
#
# In the environment: CK_ISA (for both builds), ROUNDS (3), AT_LEAST (0.97), BUILD_FLAGS (-j 1), RUN (a command that runs another: "taskset -c 1").
set -euo pipefail
cd "$(dirname "$0")/.."

[ $# -ge 1 ] || { echo "Scripts/compare-commits.sh: expected a commit, found none" >&2; exit 2; }
commit=$(git rev-parse --verify --quiet "$1^{commit}") || { echo "Scripts/compare-commits.sh: expected a commit, found $1" >&2; exit 2; }
shift
[ $# -gt 0 ] || set -- gemm
rounds=${ROUNDS:-3}
read -ra build_flags <<<"${BUILD_FLAGS:-}"
read -ra run <<<"${RUN:-}"

folder=$PWD/.build/compare/$commit
if [ ! -e "$folder/Package.swift" ]; then
    git worktree prune
    git worktree add --detach --quiet "$folder" "$commit"
fi
reports=$(mktemp -d)
trap 'rm -rf "$reports"' EXIT

build() { # path
    echo "building $1" >&2
    swift build --package-path "$1" -c release --product Benchmarks ${build_flags[@]+"${build_flags[@]}"} >&2
}
build "$folder"
build .
before=$(swift build --package-path "$folder" -c release --show-bin-path)/Benchmarks
after=$(swift build -c release --show-bin-path)/Benchmarks

status=0
for benchmark in "$@"; do
    read -ra arguments <<<"$benchmark"
    echo "==== $benchmark${CK_ISA:+, CK_ISA=$CK_ISA}"
    rm -f "$reports"/*
    for round in $(seq "$rounds"); do
        for side in before after; do
            echo "round $round of $rounds, $side" >&2
            ${run[@]+"${run[@]}"} "${!side}" "${arguments[@]}" --json "$reports/$side-$round.json" >/dev/null
        done
    done
    result=0
    "$after" compare --before "$reports"/before-*.json --after "$reports"/after-*.json --at-least "${AT_LEAST:-0.97}" || result=$?
    [ "$result" -le "$status" ] || status=$result
done
exit "$status"
