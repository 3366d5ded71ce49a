#!/bin/bash
# Builds one wheel and runs the Python tests with it under every Python from 3.11 on that works here, and CPython's own
# tests of sockets where they are installed with that Python.
set -euo pipefail
cd "$(dirname "$0")/.."

wheels="$CARGO_TARGET_DIR/wheels-check"
rm -rf "$wheels"
"$VENV/bin/pip" wheel --quiet --no-deps --wheel-dir "$wheels" ./python
wheel=$(ls "$wheels"/usertcp-*.whl)

# A version manager's commands may be there and not work: ask each. One that has CPython's own tests is preferred.
find_python() {
    local candidate wanted
    for wanted in test.test_socket ensurepip; do
        for candidate in "python$1" "${PYENV_ROOT:-$HOME/.pyenv}"/versions/"$1".*/bin/python3; do
            if "$candidate" -c "import sys, ensurepip, importlib.util as find
sys.exit('%d.%d' % sys.version_info[:2] != '$1' or not find.find_spec('$wanted'))" 2>/dev/null; then
                echo "$candidate"
                return
            fi
        done
    done
}

# The tests with one of them; they wait much, so that all of them run beside each other.
run_with() {
    local venv="$CARGO_TARGET_DIR/venv-$1"
    "$venv/bin/python" -m pytest python/tests -q -ra -p no:cacheprovider
    "$venv/bin/python" python/tests/cpython/run.py --results "$CARGO_TARGET_DIR/cpython-$1.json"
}

tried=() runs=()
logs=$(mktemp -d)
# Each in a process group of its own, which can be ended whole.
set -m
trap 'for run in "${runs[@]}"; do kill -- -"$run" 2>/dev/null || true; done; rm -rf "$logs"' EXIT
rm -f "$CARGO_TARGET_DIR"/cpython-*.json
for version in 3.11 3.12 3.13 3.14; do
    python=$(find_python "$version")
    if [[ -z $python ]]; then
        echo "python$version: not here"
        continue
    fi
    venv="$CARGO_TARGET_DIR/venv-$version"
    [[ -x $venv/bin/pip ]] || "$python" -m venv "$venv"
    "$venv/bin/pip" install --quiet --force-reinstall --no-deps "$wheel"
    "$venv/bin/pip" install --quiet "usertcp[test] @ file://$wheel"
    (set -e; run_with "$version") >"$logs/$version" 2>&1 &
    runs+=($!)
    tried+=("$version")
done
failed=()
for index in "${!tried[@]}"; do
    version=${tried[index]}
    wait "${runs[index]}" || failed+=("$version")
    echo "== $("$CARGO_TARGET_DIR/venv-$version/bin/python" --version) =="
    cat "$logs/$version"
done
((!${#failed[@]})) || { echo "fails with Python ${failed[*]}" >&2; exit 1; }
shares=("$CARGO_TARGET_DIR"/cpython-*.json)
if [[ -e ${shares[0]} ]]; then
    "${PYTHON:-python3}" python/tests/cpython/run.py --table "${shares[@]}"
else
    echo "CPython's own tests of sockets were not run: no Python here has them"
fi
echo "Python versions that passed: ${tried[*]}"
((${#tried[@]}))
