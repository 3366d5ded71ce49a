#!/bin/bash
# The C tests under valgrind: no invalid access, nothing lost.
set -euo pipefail
cd "$(dirname "$0")/.."

USERTCP_VALGRIND=1 "$CARGO" test -p usertcp-ffi --test valgrind -- --show-output
