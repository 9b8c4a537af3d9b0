#!/usr/bin/env bash
# make demo-record: runs the demo from its beginning, and writes what it says into README.md.
#
# In:  the steps of the demo that are marked `# recorded`. Out: README.md, between <!-- demo:begin -->
#      and <!-- demo:end -->. Holds: the text is what the demo printed, step by step, nothing else;
#      a demo that fails changes nothing. Its server is stopped and its directory removed.

set -Eeuo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"
# The README shows this path: the same on every machine that records.
export PG_BACKUP_DEMO_DIR=/tmp/pg_backup-demo
session=$(mktemp)
steps=$(mktemp)
trap 'rm -f "$session" "$steps"; scripts/stop-demo.sh --remove >/dev/null' EXIT

scripts/stop-demo.sh --remove
NO_COLOR=1 scripts/demo.sh | tee "$session"
sed -n "s/^ *heading '\(.*\)' # recorded$/\1/p" scripts/demo.sh demo/*.sh >"$steps"

# Whole steps, without the empty lines around them, one empty line between two.
recorded() {
    awk 'NR == FNR { wanted[$0] = 1; next }
        /^[0-9]+\. / { step = $0; sub(/^[0-9]+\. /, "", step); on = step in wanted }
        !on { next }
        /^ *$/ { empty = 1; next }
        { if (empty && any) print ""; empty = 0; any = 1; sub(/ +$/, ""); print }' "$steps" "$session"
}

awk -v text="$(recorded | sed 's/\\/\\\\/g')" '
    /<!-- demo:end -->/ { within = 0 }
    !within { print }
    /<!-- demo:begin -->/ { within = 1; printf "```text\n%s\n```\n", text }' README.md >"$session"
cat "$session" >README.md
