#!/usr/bin/env bash
# make test-all: the tests on real clusters with every major version, one after the other, and a
# table of what passed where.
#
# In:  MAJORS (default "15 16 17 18"), FILTER, PG_BACKUP_TEST_DIR. Out: each run's own output, kept
#      in PG_BACKUP_TEST_DIR/tests-NN.log, and the table; the exit code says whether all passed.
# Holds: a major version that cannot be tested is a line that says so, never one that is missing.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
readonly logs=${PG_BACKUP_TEST_DIR:?}
read -ra majors <<<"${MAJORS:-15 16 17 18}"

# Of nextest's or cargo test's summary: how many of a kind ("passed").
count() {
    grep -E '^ *Summary |^test result:' "$1" | grep -oE "[0-9]+ $2" | awk '{ n += $1 } END { print n + 0 }'
}

# Why tests did less than they could: lines that begin with "skipped: ", each once.
reasons() {
    grep -ohE 'skipped: .*' "$1" | sort | uniq -c | awk '{ n = $1; $1 = $2 = ""; print n " times" $0 }'
}

line() { printf '%-6s %-8s %7s %7s %8s  %s\n' "$@"; }

main() {
    local major log started failed=0 table=() notes=()
    for major in "${majors[@]}"; do
        log=$logs/tests-$major.log
        started=$SECONDS
        echo "== PostgreSQL $major"
        make -C "$root" test-cluster PG="$major" 2>&1 | tee "$log" || failed=1
        version=$("$("$root/scripts/pg.sh" "$major")" --version | awk '{ print $2 }') || version=none
        table+=("$(line "$major" "$version" "$(count "$log" passed)" "$(count "$log" failed)" \
            "$(((SECONDS - started) / 60)):$(printf %02d $(((SECONDS - started) % 60)))" "$log")")
        while read -r reason; do notes+=("$major: $reason"); done < <(reasons "$log")
    done
    echo
    line major version passed failed minutes log
    printf '%s\n' "${table[@]}"
    printf '%s\n' "${notes[@]}"
    return "$failed"
}

main
