#!/bin/bash
# mypy over the Python half, and its stubs compared with what was compiled.
set -euo pipefail
cd "$(dirname "$0")/.."

"$VENV/bin/pip" install --quiet mypy
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
"$VENV/bin/python" -m mypy --strict --cache-dir "$scratch/cache" python/usertcp python/tests examples/python examples/demo.py tools/reference.py
# From elsewhere, so that the installed module is compared and not the sources.
cd "$scratch" && "$VENV/bin/python" -m mypy.stubtest usertcp
