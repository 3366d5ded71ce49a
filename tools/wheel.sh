#!/bin/bash
# What is published of the Python package: the wheel that `make wheel` has built is looked through, the sdist is built, and both are used where there is nothing else.
set -euo pipefail
cd "$(dirname "$0")/.."

dist=$CARGO_TARGET_DIR/dist
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
fail() { echo "$*" >&2; exit 1; }

wheel=$(echo "$dist"/usertcp-*.whl)
sdist=$(echo "$dist"/usertcp-*.tar.gz)
ls -l "$wheel" "$sdist"

# What docs/python.md says of it. A newer system than Debian 12 may make one that needs a newer glibc.
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml)
[[ $(basename "$wheel") == "usertcp-$version-cp311-abi3-manylinux_2_"*".whl" ]] || fail "a wheel for others than CPython 3.11 and later on Linux"
tag=$(grep -o 'manylinux_2_[0-9]*' docs/python.md | head -1)
if grep -q 'VERSION_ID="12"' /etc/os-release && grep -q '^ID=debian' /etc/os-release; then
    [[ $(basename "$wheel") == *"-${tag}_$(uname -m).whl" ]] || fail "the guide says $tag"
fi
files=$(python3 -m zipfile -l "$wheel" | awk '{ print $1 }')
for file in usertcp/py.typed usertcp/_usertcp.pyi usertcp/_usertcp.abi3.so usertcp/pytest_plugin.py usertcp/sim/__init__.py \
    "usertcp-$version.dist-info/entry_points.txt" "usertcp-$version.dist-info/licenses/LICENSE-MIT" "usertcp-$version.dist-info/licenses/LICENSE-APACHE"; do
    grep -qxF "$file" <<<"$files" || fail "the wheel lacks $file"
done
# A program in the wheel's folder that is not the package would be installed beside other packages.
strange=$(grep -vE "^(usertcp|usertcp-$version\.dist-info)/|^File$" <<<"$files" || true)
[[ -z $strange ]] || fail "in the wheel beside the package: $strange"

# Installs a file in an environment of its own, where nothing else is, and uses it outside the repository.
try() {
    local file=$1 venv=$scratch/venv-$2
    shift 2
    "$PYTHON" -m venv "$venv"
    "$venv/bin/pip" install --quiet --no-cache-dir "$@" "$file"
    "$venv/bin/pip" check
    [[ $("$venv/bin/pip" list --format=freeze --exclude pip --exclude setuptools --exclude wheel) == "usertcp==$version" ]] || fail "$file brings others with it"
    "$venv/bin/python" -W error - "$(basename "$file")" <<'PY'
import importlib.util
import sys

import usertcp.sim

assert importlib.util.find_spec("pytest") is None
assert usertcp.__file__.startswith(sys.prefix)
with usertcp.sim.Network(seed=7) as net:
    client, server = net.host("client"), net.host("server")
    net.link(client, server, delay=0.1)
    with server.create_server(("", 80)) as listener, client.create_connection(("server", 80)) as sock:
        accepted, _ = listener.accept()
        with accepted:
            sock.sendall(b"from " + sys.argv[1].encode())
            print(accepted.recv(100).decode(), usertcp.__version__)
PY
}

# Somebody without the repository. What is built of the sdist is not optimised, since this is about what it has in it.
cp "$sdist" "$wheel" "$scratch"
cd "$scratch"
try "./$(basename "$wheel")" wheel --no-index
export CARGO_TARGET_DIR=$CARGO_TARGET_DIR/sdist CARGO_PROFILE_DEV_OPT_LEVEL=0 CARGO_PROFILE_DEV_DEBUG=0
try "./$(basename "$sdist")" sdist --config-settings=build-args=--profile=dev
