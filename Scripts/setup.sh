#!/bin/sh
# Installs what building and running need and this machine lacks, and says so. Needs no root when nothing is missing.
set -eu

if [ "$(uname)" = Darwin ]; then
    exit 0 # Accelerate is part of the system
fi
if ! command -v dpkg-query >/dev/null 2>&1 || ! command -v apt-get >/dev/null 2>&1; then
    echo "setup: no Debian packages here; expected BLAS and LAPACKE with headers (cblas.h, lapacke.h), OpenBLAS best" >&2
    exit 0
fi

lacks() { [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null || true)" != installed ]; }
missing=
for package in libblas-dev liblapacke-dev libopenblas0-pthread dataset-fashion-mnist; do
    if lacks "$package"; then missing="$missing $package"; fi
done
if [ -z "$missing" ]; then
    exit 0
fi

by_hand="as root: apt-get update && apt-get install --no-install-recommends$missing"
as_root=
if [ "$(id -u)" -ne 0 ]; then
    as_root=sudo
    if ! command -v sudo >/dev/null 2>&1; then
        echo "setup: expected$missing, or the right to install them; found neither. Run $by_hand" >&2
        exit 1
    fi
fi

fail() { echo "setup: could not install$missing. Run $by_hand" >&2; exit 1; }
$as_root apt-get update -qq || fail
# The data set is in Debian and in Ubuntu's universe; without it tests of it are skipped.
case $missing in *dataset-fashion-mnist)
    if ! apt-cache show dataset-fashion-mnist >/dev/null 2>&1; then
        echo "setup: no package dataset-fashion-mnist here; going on without Fashion-MNIST"
        missing=${missing% dataset-fashion-mnist}
    fi
    ;;
esac
if [ -z "$missing" ]; then
    exit 0
fi
echo "setup: installing$missing"
# shellcheck disable=SC2086 # a list of names
$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing || fail
