#!/bin/bash
# `make install` into an empty folder, and programs built and run against what is there, as a packager's users would; then the manual.
set -euo pipefail
cd "$(dirname "$0")/.."

root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
fail() { echo "$*" >&2; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }

make --no-print-directory install DESTDIR="$root" PREFIX=/usr >"$root/log" || { cat "$root/log" >&2; exit 1; }
rm "$root/log"
usr=$root/usr
find "$root" ! -type d -printf '%P -> %l\n' | sed 's/ -> $//' | grep -v /man3/ | sort
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml)

# ---- the library ----

export PKG_CONFIG_SYSROOT_DIR=$root PKG_CONFIG_LIBDIR=$usr/lib/pkgconfig
[[ $(pkg-config --modversion usertcp) == "$version" ]] || fail "usertcp.pc has another version"
cat >"$root/consumer.c" <<'C'
#include <stdio.h>
#include <usertcp.h>
int main(void) { printf("usertcp %s\n", usertcp_version()); return usertcp_version_number() != USERTCP_VERSION_NUMBER; }
C
"${CC:-cc}" -std=c99 -Wall -Werror "$root/consumer.c" -o "$root/shared" $(pkg-config --cflags --libs usertcp)
"${CC:-cc}" -std=c99 -Wall -Werror "$root/consumer.c" -o "$root/static" $(pkg-config --cflags usertcp) \
    "$usr/lib/libusertcp.a" $(pkg-config --static --libs-only-l usertcp | sed 's/-lusertcp//')
LD_LIBRARY_PATH=$usr/lib "$root/shared"
"$root/static"
# The program asks for the version that breaks with it, not for any libusertcp.so.
needed=$(readelf -d "$root/shared" | sed -n 's/.*NEEDED.*\[\(libusertcp[^]]*\)\].*/\1/p')
[[ $needed == "libusertcp.so.${version%%.*}" ]] || fail "the library has no versioned SONAME: '$needed'"
[[ $(readlink "$usr/lib/$needed") == "libusertcp.so.$version" ]] || fail "$needed is no link to libusertcp.so.$version"
readelf -d "$usr/lib/$needed" | grep -q 'FLAGS_1.*NODELETE' || fail "dlclose would unmap the library"
# Nothing but the interface is exported.
foreign=$(nm -D --defined-only "$usr/lib/libusertcp.so" | awk '{ sub(/@.*/, "", $3); print $3 }' | grep -v '^usertcp_' || true)
[[ -z $foreign ]] || fail "exported, but not part of the interface: $foreign"

[[ $("$usr/bin/usertcp" --version) == "usertcp $version" ]] || fail "the program has another version"

# The examples as they are installed, with the Makefile beside them.
cp -r "$usr/share/doc/usertcp/examples" "$root/examples"
openssl=$(env -u PKG_CONFIG_SYSROOT_DIR -u PKG_CONFIG_LIBDIR pkg-config --libs openssl 2>/dev/null || true)
CFLAGS="-O1 -Werror" make -s -C "$root/examples" CC="${CC:-cc}" OPENSSL="$openssl"
[[ -z $openssl || -x $root/examples/tls_get ]] || fail "tls_get is not built"
LD_LIBRARY_PATH=$usr/lib "$root/examples/many" 1000 | sed -n '$s/^/examples: many: /p'
echo through | LD_LIBRARY_PATH=$usr/lib "$root/examples/tunnel" | grep -q '^through$' || fail "the tunnel carries nothing"

# ---- C++ ----

cat >"$root/consumer.cpp" <<'C'
#include <usertcp.hpp>
int main() {
  try {
    usertcp::config_t config = usertcp::config();
    config.addresses = "nowhere";
    usertcp::stack stack(config);
  } catch (const std::system_error &e) {
    return e.code() == std::errc::invalid_argument ? 0 : 1;
  }
  return 2;
}
C
if have "${CXX:-c++}"; then
    "${CXX:-c++}" -std=c++17 -Wall -Wextra -Wpedantic -Werror "$root/consumer.cpp" -o "$root/cpp" $(pkg-config --cflags --libs usertcp)
    LD_LIBRARY_PATH=$usr/lib "$root/cpp"
    echo "a consumer in C++17"
else
    echo "skipped: a consumer in C++: ${CXX:-c++} is not installed"
fi

# ---- CMake ----

if have cmake && have "${CXX:-c++}"; then
    mkdir "$root/cmake"
    cat >"$root/cmake/CMakeLists.txt" <<'C'
cmake_minimum_required(VERSION 3.13)
project(consumer C CXX)
find_package(usertcp 0.1 REQUIRED)
add_executable(shared ../consumer.c)
target_link_libraries(shared usertcp::usertcp)
add_executable(static ../consumer.c)
target_link_libraries(static usertcp::static)
add_executable(cpp ../consumer.cpp)
target_compile_features(cpp PRIVATE cxx_std_17)
target_link_libraries(cpp usertcp::usertcp)
find_package(usertcp 1.0 QUIET)
if(usertcp_FOUND)
  message(FATAL_ERROR "a version that does not exist is found")
endif()
C
    # Elsewhere than it was installed for: nothing in it may name its place.
    cp -a "$usr" "$root/moved"
    cmake -S "$root/cmake" -B "$root/cmake/build" -DCMAKE_PREFIX_PATH="$root/moved" >"$root/log" && cmake --build "$root/cmake/build" >>"$root/log" ||
        { cat "$root/log" >&2; exit 1; }
    for program in shared static cpp; do "$root/cmake/build/$program" >/dev/null; done
    readelf -d "$root/cmake/build/shared" | grep -q "NEEDED.*libusertcp.so.${version%%.*}" || fail "CMake linked another library"
    ! readelf -d "$root/cmake/build/static" | grep -q 'NEEDED.*libusertcp' || fail "usertcp::static is not static"
    echo "consumers by CMake: shared, static, C++17"
else
    echo "skipped: consumers by CMake: cmake is not installed"
fi

# ---- cargo-c ----

# What a library's users see of an installation: files with what the links lead to, pkg-config's answers, symbols, SONAME and flags.
seen() {
    local PKG_CONFIG_SYSROOT_DIR=$1 PKG_CONFIG_LIBDIR=$1/usr/lib/pkgconfig question file
    export PKG_CONFIG_SYSROOT_DIR PKG_CONFIG_LIBDIR
    for file in "$1"/usr/include/* "$1"/usr/lib/libusertcp* "$1"/usr/lib/pkgconfig/*; do
        echo "${file#"$1"} is $(basename "$(readlink -f "$file")")"
    done
    for question in --modversion --cflags --libs '--static --libs' --variable=libdir --variable=includedir; do
        # Order and blanks tell nothing.
        echo "pkg-config $question: $(pkg-config $question usertcp | sed "s|$1||g" | xargs -n 1 | sort -u | xargs)"
    done
    nm -D --defined-only "$1/usr/lib/libusertcp.so" | awk '{ print $2, $3 }' | sort
    readelf -d "$1/usr/lib/libusertcp.so" | sed -n 's/.*\(SONAME\|NEEDED\|FLAGS_1\))/\1/p' | sort
}

if have cargo-cinstall; then
    "${CARGO:-cargo}" cinstall -p usertcp-ffi --release --destdir "$root/capi" --prefix /usr --libdir lib >"$root/log" 2>&1 || { cat "$root/log" >&2; exit 1; }
    for header in usertcp.h usertcp.hpp; do
        cmp "$root/capi/usr/include/$header" "$usr/include/$header" || fail "cargo-c installs another $header"
    done
    diff <(seen "$root") <(seen "$root/capi") >&2 || fail "cargo-c installs something else than make install"
    (
        export PKG_CONFIG_SYSROOT_DIR=$root/capi PKG_CONFIG_LIBDIR=$root/capi/usr/lib/pkgconfig
        "${CC:-cc}" -std=c99 -Wall -Werror "$root/consumer.c" -o "$root/capi/shared" $(pkg-config --cflags --libs usertcp)
        "${CC:-cc}" -std=c99 -Wall -Werror "$root/consumer.c" -o "$root/capi/static" $(pkg-config --cflags usertcp) \
            "$root/capi/usr/lib/libusertcp.a" $(pkg-config --static --libs-only-l usertcp | sed 's/-lusertcp//')
    )
    LD_LIBRARY_PATH=$root/capi/usr/lib "$root/capi/shared" >/dev/null
    "$root/capi/static" >/dev/null
    echo "by cargo-c the same, and its consumers: shared, static"
else
    echo "left out: the library as cargo-c installs it, and a consumer of that: cargo-cinstall is not installed (cargo install cargo-c)"
fi

# ---- the manual ----

# The programs of the overview, one behind the other.
awk -v to="$root/page" '/^```c$/ { inside = ++count; next } /^```$/ { inside = 0 } inside { print >(to count ".c") }' docs/c.md
[[ -e $root/page2.c && ! -e $root/page3.c ]] || fail "docs/c.md has not two programs"
strict="-std=c99 -D_POSIX_C_SOURCE=200809L -Wall -Wextra -Wpedantic -Werror"
"${CC:-cc}" $strict "$root/page1.c" -o "$root/page" $(pkg-config --cflags --libs usertcp)
if [[ -n $openssl ]]; then
    "${CC:-cc}" $strict "$root/page2.c" -o "$root/https" $(pkg-config --cflags --libs usertcp) $openssl
    LD_LIBRARY_PATH=$usr/lib tools/https.sh "$root/https"
else
    echo "skipped: the overview's HTTPS client: OpenSSL is not installed (apt install libssl-dev)"
fi
while read -r symbol; do
    [[ -e $usr/share/man/man3/$symbol.3 ]] || fail "no man page has $symbol"
    grep -q "id=\"$symbol\"" "$usr"/share/doc/usertcp/html/*.html || fail "no HTML page has $symbol"
done <ffi/abi/symbols.txt
if have man; then
    for page in "$usr"/share/man/man*/*; do
        grep -q '^\.so ' "$page" && continue
        said=$(LC_ALL=C.UTF-8 MANROFFSEQ='' MANWIDTH=80 man --warnings=all -l "$page" 2>&1 >/dev/null)
        [[ -z $said ]] || fail "${page##*/}: $said"
        ! have lexgrog || lexgrog "$page" >/dev/null || fail "apropos cannot read ${page##*/}"
    done
    man -M "$usr/share/man" usertcp_sendto | grep -q 'usertcp_sendto(usertcp_socket_t socket' || fail "man does not find usertcp_sendto"
    echo "man pages: $(find "$usr/share/man" -type f | wc -l)"
else
    echo "skipped: the man pages by man: man is not installed (apt install man-db)"
fi
"${PYTHON:-python3}" - "$usr/share/doc/usertcp/html" <<'P'
import pathlib, re, sys
pages = {page.name: page.read_text() for page in pathlib.Path(sys.argv[1]).iterdir()}
for name, text in pages.items():
    for file, anchor in re.findall(r'href="([^"#:]*)(?:#([^"]*))?"', text):
        assert file in pages and (not anchor or f'id="{anchor}"' in pages[file]), f"{name}: {file}#{anchor}"
P
