#!/bin/bash
# Replays the corpora with many more mutations than `make test`, then runs libFuzzer for a while where it can be built.
set -euo pipefail
cd "$(dirname "$0")/.."

seconds=${FUZZ_SECONDS:-10}
USERTCP_FUZZ_SECONDS=$seconds "$CARGO" test --release -p usertcp-fuzz

if ! command -v c++ >/dev/null 2>&1; then
    echo "skipped: libFuzzer: c++ is not installed"
    exit 0
fi
# The flags that cargo-fuzz gives; sanitizers are not stable yet, hence the bootstrap.
host=$(rustc -vV | sed -n 's/^host: //p')
export RUSTC_BOOTSTRAP=1
export CARGO_TARGET_DIR="$CARGO_TARGET_DIR/libfuzzer"
export RUSTFLAGS="--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
-Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
-Cllvm-args=-sanitizer-coverage-trace-compares -Zsanitizer=address -Cdebug-assertions -Ccodegen-units=1"
cd core/fuzz/libfuzzer
"$CARGO" build --release --target "$host"
artifacts="$CARGO_TARGET_DIR/artifacts"
mkdir -p "$artifacts"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
for corpus in ../corpus/*/; do
    name=$(basename "$corpus")
    mkdir "$scratch/$name"
    echo "libFuzzer: $name for $seconds s"
    if ! "$CARGO_TARGET_DIR/$host/release/$name" "$scratch/$name" "$corpus" -max_total_time="$seconds" -max_len=8192 \
        -artifact_prefix="$artifacts/$name-" -print_final_stats=1 >"$scratch/log" 2>&1; then
        tail -n 60 "$scratch/log" >&2
        echo "libFuzzer: $name fails; the input is in $artifacts" >&2
        exit 1
    fi
    grep -E "number_of_executed_units|peak_rss" "$scratch/log"
done
