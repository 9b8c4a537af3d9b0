#!/usr/bin/env bash
# make bench: builds, installs into a private tree, and prints the table that README.md quotes.
#
# In:  PG (15; see scripts/pg.sh), BENCH_ROUNDS (3), BENCH_LARGE=1 for an archive over 4 GB,
#      PG_BACKUP_BENCH_DIR; arguments: only these sections (default none jobs empty memory
#      schedules restore catalogue scan transfer large). Out: Markdown.
# Holds: an existing PostgreSQL is not touched. The server is stopped at the end; its data stays for
#        the next run (about 5 GB; `bench/run.sh --remove` takes it away).

set -euo pipefail
umask 022
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
bench=$(realpath -m -- "${PG_BACKUP_BENCH_DIR:-${TMPDIR:-/tmp}/pg_backup-bench-$UID}")
major=${PG:-15}
# Each major version has its own server and data.
[ "$major" = 15 ] || bench+=-pg$major

fail() {
    printf 'bench: %s\n' "$1" >&2
    exit 1
}

if [ -e "$bench" ] && { [ ! -O "$bench" ] || [ -L "$bench" ]; }; then
    fail "\"$bench\" belongs to another user; set PG_BACKUP_BENCH_DIR"
fi
if [ "${1:-}" = --remove ]; then
    [ ! -e "$bench" ] || [ -f "$bench/.pg_backup-bench" ] || fail "\"$bench\" is no bench directory"
    rm -rf -- "$bench"
    exit
fi
if [ -n "$(ls -A "$bench" 2>/dev/null)" ] && [ ! -f "$bench/.pg_backup-bench" ]; then
    fail "\"$bench\" is no bench directory; set PG_BACKUP_BENCH_DIR"
fi

cd "$root"
scripts/setup.sh
if [ "$major" != 15 ]; then
    PGRX_PG_CONFIG_PATH=$(scripts/pg.sh "$major")
    export PGRX_PG_CONFIG_PATH
fi
mkdir -p "$bench"
: >"$bench/.pg_backup-bench"
chmod 0755 "$bench"
pg_config=$(cargo xtask tree "$bench/tree")
cargo xtask install --pg-config "$pg_config" --release >/dev/null
exec python3 -B bench/bench.py --directory "$bench" --pg-config "$pg_config" \
    --rounds "${BENCH_ROUNDS:-3}" ${BENCH_LARGE:+--large} -- "$@"
