#!/bin/bash
# Runs the loom models: every interleaving of bell, cell, gate, seat, readiness, poll set and handle table.
set -euo pipefail

export RUSTFLAGS="--cfg loom ${RUSTFLAGS:-}" CARGO_TARGET_DIR="$CARGO_TARGET_DIR/loom"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
"$CARGO" test -p usertcp-core --lib loom 2>&1 | tee "$log"
"$CARGO" test -p usertcp-ffi --lib loom 2>&1 | tee -a "$log"
ran=$(awk '/^test result: ok/ { ran += $4 } END { print ran + 0 }' "$log")
((ran >= 7)) || { echo "only $ran loom models ran; seven places have some" >&2; exit 1; }
