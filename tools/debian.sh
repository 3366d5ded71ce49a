#!/bin/bash
# The Debian packages, built from debian/ as a packager does, and a program built against what is in them.
set -euo pipefail
cd "$(dirname "$0")/.."

fail() { echo "$*" >&2; exit 1; }
for program in dpkg-buildpackage dh; do
    command -v $program >/dev/null 2>&1 || { echo "skipped: the Debian packages: $program is not installed (apt install dpkg-dev debhelper)"; exit; }
done
if ! lacking=$(dpkg-checkbuilddeps 2>&1); then
    echo "skipped: the Debian packages: ${lacking##*: error: }"
    exit
fi

# Always the same folder, and a target folder of its own: the compiler's flags are Debian's and name the folder, and what was built with
# others would be built again.
root=$CARGO_TARGET_DIR/debian
export CARGO_TARGET_DIR=$root/target
mkdir -p "$root" && find "$root" -mindepth 1 -maxdepth 1 ! -name target -exec rm -r {} +
mkdir "$root/usertcp" && ln -s "$PWD"/* "$root/usertcp/" && rm "$root/usertcp/debian" && cp -a debian "$root/usertcp/"
(cd "$root/usertcp" && dpkg-buildpackage -us -uc -b) >"$root/log" 2>&1 || { cat "$root/log" >&2; exit 1; }

version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml)
[[ $(dpkg-parsechangelog -S Version) == "$version"-* ]] || fail "debian/changelog is not about version $version"
for deb in "$root"/*.deb; do
    [[ $deb == *-dbgsym_* ]] || { echo "${deb##*/}"; dpkg-deb -x "$deb" "$root/system"; }
done
libraries=usr/lib/$(dpkg-architecture -qDEB_HOST_MULTIARCH)
[[ $(dpkg-deb -f "$root"/libusertcp-dev_*.deb Depends) == "libusertcp0 (= $(dpkg-parsechangelog -S Version))"* ]] || fail "libusertcp-dev does not ask for its library"
dpkg-deb --ctrl-tarfile "$root"/libusertcp0_*.deb | tar -xO ./symbols | grep -q '^ usertcp_stack_open@Base' || fail "there is no symbols file"
for file in usr/bin/usertcp usr/share/man/man1/usertcp.1.gz usr/share/man/man3/usertcp_socket.3.gz usr/share/man/man7/usertcp.7.gz usr/share/doc/libusertcp-dev/html/index.html usr/include/usertcp.hpp; do
    [[ -e $root/system/$file ]] || fail "$file is in no package"
done

export PKG_CONFIG_SYSROOT_DIR=$root/system PKG_CONFIG_LIBDIR=$root/system/$libraries/pkgconfig
mkdir "$root/consumer" && cp "$root"/system/usr/share/doc/libusertcp-dev/examples/* "$root/consumer"
make -s -C "$root/consumer" get
LD_LIBRARY_PATH=$root/system/$libraries "$root/consumer/get" 2>"$root/said" && fail "get needs no arguments?"
grep -q 'one URL is needed' "$root/said" || fail "get does not run: $(cat "$root/said")"
echo "a consumer of libusertcp-dev"
if command -v lintian >/dev/null 2>&1; then
    found=$(lintian --allow-root --tag-display-limit 0 "$root"/*.changes 2>/dev/null || true)
    [[ -z $found ]] || echo "$found"
    ! grep -q '^E: ' <<<"$found" || fail "lintian finds errors"
fi
