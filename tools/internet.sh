#!/bin/bash
# The README's way to the internet: its commands word for word, and its two first programs, in a namespace that has an internet of one server.
set -euo pipefail
cd "$(dirname "$0")/.."

if [[ ${1:-} != inside ]]; then
    for program in nft ip unshare nsenter; do
        command -v "$program" >/dev/null || [[ -x /usr/sbin/$program ]] || { echo "skipped: the README's commands: $program is not installed"; exit 0; }
    done
    flags=(--net --mount)
    ((EUID == 0)) || flags+=(--map-root-user --user)
    exec unshare "${flags[@]}" "$0" inside
fi

PATH=$PATH:/usr/sbin:/sbin
scratch=$(mktemp -d)
unshare --net sleep 300 &
server=$!
trap 'kill $server ${http:-} 2>/dev/null; rm -rf "$scratch"' EXIT
for _ in $(seq 200); do
    [[ $(readlink /proc/$server/ns/net) != "$(readlink /proc/self/ns/net)" ]] && break
    sleep 0.02
done

# The internet: it knows 198.51.100.1 only, so that nothing works without masquerade.
ip link set lo up
ip link add wan type veth peer name wan netns "$server"
ip address add 198.51.100.1/24 dev wan
ip link set wan up
nsenter -n -t "$server" ip address add 198.51.100.2/24 dev wan
nsenter -n -t "$server" ip link set wan up
mkdir "$scratch/www" "$scratch/bin"
echo "hello from the internet" >"$scratch/www/index.html"
nsenter -n -t "$server" "$VENV/bin/python" -u -m http.server --bind 198.51.100.2 --directory "$scratch/www" 80 \
    >"$scratch/listening" 2>"$scratch/log" &
http=$!
for _ in $(seq 500); do
    [[ -s $scratch/listening ]] && break
    sleep 0.02
done

# One block of the README, or of another file: the first of its language behind the heading.
block() {
    awk -v heading="$1" -v fence="\`\`\`$2" '
        index($0, heading) == 1 { behind = 1; next }
        behind && $0 == fence { inside = 1; next }
        inside && /^```$/ { exit }
        inside { print }
    ' "${3:-README.md}"
}
# Here we are root already.
printf '#!/bin/sh\nexec "$@"\n' >"$scratch/bin/sudo"
chmod +x "$scratch/bin/sudo"
block "## The internet" sh >"$scratch/commands"
diff "$scratch/commands" <(block "## The internet" sh docs/c.md) >&2 || { echo "docs/c.md has other commands than the README" >&2; exit 1; }
(($(wc -l <"$scratch/commands") == 3)) || { echo "the README has $(wc -l <"$scratch/commands") commands, not three" >&2; exit 1; }
echo "+ $(cat "$scratch/commands")"
PATH=$scratch/bin:$PATH bash -eu "$scratch/commands"

block "## First program" c >"$scratch/first.c"
block "## First program" python >"$scratch/first.py"
release=$CARGO_TARGET_DIR/release
"${CC:-cc}" -std=c99 -Wall -Wextra -Werror -Iinclude -o "$scratch/first" "$scratch/first.c" -L"$release" -lusertcp -Wl,-rpath,"$release"
for program in "$scratch/first" "$VENV/bin/python $scratch/first.py"; do
    $program 198.51.100.2 >"$scratch/answer"
    grep -q "hello from the internet" "$scratch/answer" || { echo "$program: no answer" >&2; cat "$scratch/answer" >&2; exit 1; }
    echo "${program##*/} reached the internet"
done
clients=$(awk '/GET/ { print $1 }' "$scratch/log" | sort -u)
[[ $clients == 198.51.100.1 ]] || { echo "the server saw '$clients', not the masquerade" >&2; exit 1; }
