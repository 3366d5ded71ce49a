#!/bin/bash
# Lists by name and reason what the test logs given report as skipped.
set -euo pipefail

list=$(awk '
    /^---- .* stdout ----$/ { name = $2 }
    /^(skipped|SKIPPED)/ { reason = $0; sub(/^skipped: /, "", reason); print "  " (FILENAME ~ /rust/ ? name ": " : "") reason }
' "$@" | sort -u)
if [[ -z $list ]]; then
    echo "all tests passed, none skipped"
else
    printf 'all other tests passed; skipped:\n%s\n' "$list"
fi
