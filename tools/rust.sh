#!/bin/bash
# The Rust tests, and with them the C programs: what they print goes to the log given; here appear progress, and whatever failed.
set -euo pipefail
cd "$(dirname "$0")/.."

log=$1
mkdir -p "$(dirname "$log")"
if "$CARGO" test --workspace -- --show-output 2>&1 | tee "$log" |
    { grep --line-buffered -E '^ +(Compiling|Finished|Running) |^test result|^test .* FAILED$|^(error|warning)' || true; }; then
    exit
fi
# Errors of the compiler with their places, or the output of the tests that failed.
awk '/^(error|failures:)/ { failing = 1 } /^     Running / { failing = 0 } failing' "$log" >&2
echo "the whole output is in $log" >&2
exit 1
