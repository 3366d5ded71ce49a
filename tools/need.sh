#!/bin/bash
# Says which prerequisites are missing; with `report`, also what will be skipped for want of a program.
set -euo pipefail

missing=()
want() { command -v "$1" >/dev/null 2>&1 || missing+=("$1: $2"); }

want "${CARGO:-cargo}" "the Rust toolchain, 1.95 or later: https://rustup.rs"
want "${CC:-cc}" "a C compiler: apt install gcc libc6-dev"
want "${PYTHON:-python3}" "Python 3.11 or later: apt install python3 python3-venv"
if command -v "${PYTHON:-python3}" >/dev/null 2>&1; then
    "${PYTHON:-python3}" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
        missing+=("${PYTHON:-python3}: is older than 3.11; name another one by make PYTHON=...")
    "${PYTHON:-python3}" -c 'import ensurepip, venv' 2>/dev/null ||
        missing+=("venv: apt install python3-venv")
fi
if ! echo '#include <linux/if_tun.h>' | "${CC:-cc}" -E - >/dev/null 2>&1 && command -v "${CC:-cc}" >/dev/null 2>&1; then
    missing+=("linux/if_tun.h: the C library's and kernel's headers: apt install libc6-dev")
fi
if ((${#missing[@]})); then
    echo "cannot build, since these are missing:" >&2
    printf '  %s\n' "${missing[@]}" >&2
    exit 1
fi

[[ ${1:-} == report ]] || exit 0
absent() { command -v "$1" >/dev/null 2>&1 || [[ -x /usr/sbin/$1 ]] || echo "skipped: $2: $1 is not installed"; }
absent c++ "the header and the C tests as C++17"
for library in libuv:libuv1-dev libevent:libevent-dev openssl:libssl-dev; do
    pkg-config --exists "${library%:*}" 2>/dev/null ||
        echo "skipped: descriptors under ${library%:*}: it is not installed (apt install pkg-config ${library#*:})"
done
absent dnsmasq "names from a real name server"
absent valgrind "the C tests under valgrind (make check)"
absent cmake "consumers by CMake (make check)"
absent man "the man pages (make check)"
absent dh "the Debian packages (make check)"
if [[ ! -e /dev/net/tun ]]; then
    echo "skipped: everything that needs a TUN device: there is no /dev/net/tun (modprobe tun)"
elif [[ ! -r /dev/net/tun || ! -w /dev/net/tun ]]; then
    echo "skipped: everything that needs a TUN device: /dev/net/tun may not be opened (chmod 666 /dev/net/tun)"
fi
