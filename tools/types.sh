#!/bin/bash
# mypy over the Python half, and its stubs compared with what was compiled.
set -euo pipefail
cd "$(dirname "$0")/.."

"$VENV/bin/pip" install --quiet mypy
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
"$VENV/bin/python" -m mypy --strict --cache-dir "$scratch/cache" python/usertcp python/tests examples/python examples/demo.py tools/reference.py
# What has no stubs but is typed where it stands is mypy's; here some of it is taken for stubs that are wrong: aliases of the standard library's
# factories, a class inside a function.
cat >"$scratch/allowed" <<'END'
usertcp\.sim\._.*
usertcp\.pytest_plugin\.Network@.*
END
# From elsewhere, so that the installed module is compared and not the sources.
cd "$scratch" && "$VENV/bin/python" -m mypy.stubtest usertcp --allowlist allowed --ignore-unused-allowlist
