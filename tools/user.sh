#!/bin/bash
# The demo and the sandbox's tests as an ordinary user. As root: as nobody, in a mount namespace with a /dev/net/tun that is 0666.
set -euo pipefail
cd "$(dirname "$0")/.."

run() {
    "$VENV/bin/python" examples/demo.py --examples "$CARGO_TARGET_DIR/examples-c" --megabytes 16
}

if ((EUID != 0)); then
    run
    exit
fi

# What nobody has to read may lie where nobody may go: a copy.
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
mkdir "$place/lib"
cp -r "$CARGO_TARGET_DIR/examples-c" examples "$place/"
cp "$CARGO_TARGET_DIR/release/libusertcp.so" "$place/lib/libusertcp.so.0"
packages=$("$VENV/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
cp -r "$packages/usertcp" "$place/lib/"
chmod -R a+rX "$place"
interpreter=$("$VENV/bin/python" -c 'import sys; print(sys._base_executable)')
if ! setpriv --reuid 65534 --regid 65534 --clear-groups env "$interpreter" -c '' 2>/dev/null; then
    # An interpreter below the superuser's home is out of reach for others.
    interpreter=$(command -v /usr/bin/python3)
fi
# shellcheck disable=SC2016
unshare --mount --propagation private bash -euc '
    mkdir -p /dev/net
    mount -t tmpfs -o mode=755,dev tmpfs /dev/net
    mknod -m 666 /dev/net/tun c 10 200
    cd "$1"
    exec setpriv --reuid 65534 --regid 65534 --clear-groups --inh-caps=-all env -i PATH="$PATH" HOME=/tmp \
        PYTHONPATH="$1/lib" PYTHONDONTWRITEBYTECODE=1 LD_LIBRARY_PATH="$1/lib" \
        "$2" examples/demo.py --examples "$1/examples-c" --megabytes 16
' user "$place" "$interpreter"
