#!/bin/bash
# The C tests, and calls at random, with AddressSanitizer in the library and in the programs, and its search for leaks.
set -euo pipefail
cd "$(dirname "$0")/.."

# Sanitizers are not stable yet, hence the bootstrap; its own folder keeps the other builds.
host=$(rustc -vV | sed -n 's/^host: //p')
RUSTC_BOOTSTRAP=1 RUSTFLAGS="-Zsanitizer=address" CARGO_TARGET_DIR="$CARGO_TARGET_DIR/asan" \
    "$CARGO" build -p usertcp-ffi --target "$host"
export USERTCP_C_LIBRARY="$CARGO_TARGET_DIR/asan/$host/debug" USERTCP_C_FLAGS="-fsanitize=address"
"$CARGO" test -p usertcp-ffi --test c -- as_ --show-output
USERTCP_FUZZ_SECONDS=${USERTCP_FUZZ_SECONDS:-12} "$CARGO" test -p usertcp-ffi --test fuzz -- --show-output
