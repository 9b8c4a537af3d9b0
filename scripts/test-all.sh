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

# count LOG WORD: "498 passed" in the summary of nextest, or in those of cargo test.
count() {
    grep -E '^ *Summary |^test result:' "$1" | grep -oE "[0-9]+ $2" |
        awk '{ n += $1 } END { print n + 0 }'
}

# reasons MAJOR: why tests did less than they could, each once; they write it beside their tree.
reasons() {
    local place=$logs
    [ "$1" = 15 ] || place=$logs/pg$1
    [ ! -f "$place/skipped" ] || sort "$place/skipped" | uniq -c |
        sed -E "s/^ *([0-9]+) skipped: (.*)/$1: \2 (\1 times)/"
}

version_of() {
    "$("$root/scripts/pg.sh" "$1")" --version 2>/dev/null | awk '{ print $2 }'
}

line() { printf '%-6s %-8s %7s %7s %8s  %s\n' "$@"; }

main() {
    local major log started took status=0 table=() notes=()
    mkdir -p "$logs"
    # All of them first: some tests go from one major version to another.
    for major in "${majors[@]}"; do
        # What fails here fails again below, in its own line of the table.
        make -C "$root" test-install PG="$major" || true
    done
    for major in "${majors[@]}"; do
        log=$logs/tests-$major.log
        started=$SECONDS
        echo "== PostgreSQL $major"
        make -C "$root" test-cluster PG="$major" 2>&1 | tee "$log" || status=1
        took=$((SECONDS - started))
        table+=("$(line "$major" "$(version_of "$major" || echo none)" "$(count "$log" passed)" \
            "$(count "$log" failed)" "$((took / 60)):$(printf %02d $((took % 60)))" "$log")")
        while read -r reason; do notes+=("$reason"); done < <(reasons "$major")
    done
    echo
    line major version passed failed minutes log
    printf '%s\n' "${table[@]}" ${notes:+''} ${notes:+"${notes[@]}"}
    return "$status"
}

main
