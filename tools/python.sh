#!/usr/bin/env bash
# Prints the Python that .venv is made with: the first python3 on the PATH that is 3.11 or newer and can make one, unless one
# behind it runs the same small loop in less than nine tenths of the time; without any, the newest python3.N there is.
# `--check PYTHON` says whether one will do, and prints nothing.
# It matters: one compiled without profile-guided optimisation (pyenv's default) needed 1.35 times the CPU for this loop, and 1.11
# times for the simulation of the services.
set -euo pipefail

loop='
import sys
if sys.version_info < (3, 11): sys.exit(1)
import ensurepip, time, venv
class Point:
    __slots__ = ("x", "y")
    def __init__(self, x, y): self.x, self.y = x, y
    def sum(self): return self.x + self.y
def spend():
    start, seen = time.process_time(), {}
    for n in range(50_000):
        seen[n % 97] = (Point(n, 1).sum(), f"{n}-x")
    return time.process_time() - start
print(int(1e6 * min(spend() for _ in range(5))))
'

no_python() {
    echo "Tenure needs Python 3.11 or newer that can make virtual environments (on Debian: the package python3-venv)$1. Try: make PYTHON=python3.12 ..." >&2
    exit 1
}

if [ "${1:-}" = --check ]; then
    "$2" -I -c "$loop" >/dev/null 2>&1 || no_python "; $2 is not"
    exit
fi

best="" best_us=0
for python in $(type -aP python3 | awk '!seen[$0]++'); do
    us=$("$python" -I -c "$loop" 2>/dev/null) || continue
    if [ -z "$best" ] || [ $((us * 10)) -lt $((best_us * 9)) ]; then best=$python best_us=$us; fi
done
for name in python3.14 python3.13 python3.12 python3.11; do
    if [ -z "$best" ] && "$name" -I -c "$loop" >/dev/null 2>&1; then best=$name; fi
done
[ -n "$best" ] || no_python ""
echo "$best"
