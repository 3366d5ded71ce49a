#!/bin/bash
# `make install` into an empty folder, and programs built and run against what is there, as a packager's users would.
set -euo pipefail
cd "$(dirname "$0")/.."

root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
make --no-print-directory install DESTDIR="$root" PREFIX=/usr >/dev/null
find "$root" ! -type d -printf '%P -> %l\n' | sed 's/ -> $//' | sort

cat >"$root/consumer.c" <<'C'
#include <stdio.h>
#include <usertcp.h>
int main(void) { printf("usertcp %s\n", usertcp_version()); return 0; }
C
export PKG_CONFIG_SYSROOT_DIR=$root PKG_CONFIG_LIBDIR=$root/usr/lib/pkgconfig
"${CC:-cc}" -std=c99 -Wall -Werror "$root/consumer.c" -o "$root/shared" $(pkg-config --cflags --libs usertcp)
"${CC:-cc}" -std=c99 -Wall -Werror "$root/consumer.c" -o "$root/static" $(pkg-config --cflags usertcp) \
    "$root/usr/lib/libusertcp.a" $(pkg-config --static --libs-only-l usertcp | sed 's/-lusertcp//')
LD_LIBRARY_PATH=$root/usr/lib "$root/shared"
"$root/static"
# The program asks for the version that breaks with it, not for any libusertcp.so.
needed=$(readelf -d "$root/shared" | sed -n 's/.*NEEDED.*\[\(libusertcp[^]]*\)\].*/\1/p')
[[ $needed == libusertcp.so.?* ]] || { echo "the library has no versioned SONAME: '$needed'" >&2; exit 1; }
[[ -e $root/usr/lib/$needed ]] || { echo "$needed is not installed" >&2; exit 1; }
# Nothing but the interface is exported.
foreign=$(nm -D --defined-only "$root/usr/lib/libusertcp.so" | awk '{ sub(/@.*/, "", $3); print $3 }' | grep -v '^usertcp_' || true)
[[ -z $foreign ]] || { echo "exported, but not part of the interface: $foreign" >&2; exit 1; }
