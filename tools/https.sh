#!/bin/bash
# The HTTPS client of docs/c.md, a program that is given, fetches a page of OpenSSL's server by a name, in a namespace of its own.
set -euo pipefail
cd "$(dirname "$0")/.."

client=$1
if [[ ${2:-} != inside ]]; then
    for program in openssl ip unshare; do
        command -v "$program" >/dev/null || [[ -x /usr/sbin/$program ]] || { echo "skipped: the overview's HTTPS client: $program is not installed"; exit; }
    done
    [[ -w /dev/net/tun ]] || { echo "skipped: the overview's HTTPS client: /dev/net/tun is closed to this user"; exit; }
    flags=(--net --mount)
    ((EUID == 0)) || flags+=(--map-root-user --user)
    exec unshare "${flags[@]}" "$0" "$client" inside
fi

PATH=$PATH:/usr/sbin:/sbin
scratch=$(mktemp -d)
trap 'kill ${server:-} 2>/dev/null || true; rm -rf "$scratch"' EXIT
ip link set lo up
ip tuntap add utcp0 mode tun && ip address add 192.0.2.1/24 dev utcp0 && ip link set utcp0 up
echo "192.0.2.1 example.com" >"$scratch/hosts"
mount --bind "$scratch/hosts" /etc/hosts
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=example.com \
    -addext subjectAltName=DNS:example.com -keyout "$scratch/key" -out "$scratch/certificate" 2>/dev/null
openssl s_server -quiet -www -accept 192.0.2.1:443 -key "$scratch/key" -cert "$scratch/certificate" >"$scratch/log" 2>&1 &
server=$!
for _ in $(seq 500); do
    ss -Hltn 'sport = 443' | grep -q . && break
    sleep 0.02
done
SSL_CERT_FILE=$scratch/certificate "$client" example.com >"$scratch/page" || { cat "$scratch/log" >&2; exit 1; }
grep -q '^HTTP/1.0 200' "$scratch/page" || { echo "that is no page:" >&2; cat "$scratch/page" >&2; exit 1; }
# Whom nobody vouches for is not talked to.
if "$client" example.com >"$scratch/page" 2>"$scratch/said"; then echo "a certificate that nobody trusts is taken" >&2; exit 1; fi
grep -q handshake "$scratch/said" || { cat "$scratch/said" >&2; exit 1; }
echo "the overview's HTTPS client: a page by name, and no word to whom it does not trust"
