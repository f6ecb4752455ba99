#!/usr/bin/env bash
# Installs what tests want of Debian's packages and what no wheel brings: `tools/debian.sh prometheus`.
# Does nothing where the program is there already; without root it says what to do, and the tests that need it say why they skip.
set -euo pipefail
for package in "$@"; do
    command -v "$package" >/dev/null && continue
    if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
        echo "$package is missing; as root on Debian or Ubuntu: apt-get install $package" >&2
        continue
    fi
    # A server that a test needs is started by the test: the package's own must not be.
    DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 sh -c 'apt-get update -qq && apt-get install -y -qq --no-install-recommends "$0"' \
        "$package" >/dev/null || echo "$package could not be installed" >&2
done
