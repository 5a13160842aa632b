#!/usr/bin/env bash
# Installs Debian packages for a script, or names them where that is not allowed: install-packages.sh SCRIPT PACKAGE …
set -euo pipefail
script=$1
shift
[ $# -gt 0 ] || exit 0
as_root=
if [ "$(id -u)" -ne 0 ]; then as_root=sudo; fi
echo "$script: installing $*"
if ! $as_root apt-get update -qq || ! $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@"; then
    echo "$script: could not install $*. Run as root: apt-get update && apt-get install --no-install-recommends $*" >&2
    exit 1
fi
