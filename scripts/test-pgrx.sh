#!/usr/bin/env bash
# make test-pgrx PG=NN: what `cargo pgrx package` makes, laid over a private copy of that
# PostgreSQL: CREATE EXTENSION, a backup and its rehearsal, and the upgrade of every old version.
#
# In:  the major version; PG_BACKUP_TEST_DIR. Out: the exit code, a line.
# Holds: cargo-pgrx is the one of the pgrx in Cargo.toml, and lies in PG_BACKUP_TEST_DIR, where it
#        stays for the next time; all else goes with this script, as does its server. No TCP port.
set -Eeuo pipefail
umask 022
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"
readonly major=${1:?which major version of PostgreSQL}
readonly tools=${PG_BACKUP_TEST_DIR:?}/cargo-pgrx
readonly work=$PG_BACKUP_TEST_DIR/pgrx-$$
# A start or a stop that takes longer is stuck, in seconds.
readonly SERVER_WAIT=60

# Descriptors and variables of ours do not reach the server; it refuses to run as root.
as_server() {
    local clean=(env -i "PATH=$bin:/usr/bin:/bin" LC_ALL=C.UTF-8 "$@")
    if [ "$(id -u)" -eq 0 ]; then runuser -u postgres -- "${clean[@]}"; else "${clean[@]}"; fi
}

# ask DATABASE SQL: without notices.
ask() {
    as_server PGOPTIONS='-c client_min_messages=warning' \
        psql -XqAt -v ON_ERROR_STOP=1 -h "$work/run" -d "$1" -c "$2"
}

same() {
    if [ "$1" = "$2" ]; then return; fi
    printf 'test-pgrx: %s:\n  found  %s\n  wanted %s\n' "$3" "$1" "$2" >&2
    exit 1
}

finish() {
    local code=$?
    if [ "$code" -ne 0 ] && [ -e "$work/run/log" ]; then tail -n 40 "$work/run/log" >&2; fi
    if [ -e "$work/run/data/postmaster.pid" ]; then
        as_server pg_ctl -D "$work/run/data" -m immediate -w -t "$SERVER_WAIT" stop >/dev/null ||
            true
    fi
    rm -rf "$work"
    exit "$code"
}
trap finish EXIT

# --debug: the time to build it matters, how fast it then packs does not.
ensure_cargo_pgrx() {
    local version
    version=$(sed -n 's/^pgrx = "=\(.*\)"$/\1/p' Cargo.toml)
    if [ "$("$tools/bin/cargo-pgrx" pgrx --version 2>/dev/null)" = "cargo-pgrx $version" ]; then
        return
    fi
    echo "test-pgrx: installing cargo-pgrx $version into $tools (some minutes)"
    cargo install --quiet --locked --debug --root "$tools" cargo-pgrx --version "$version"
}

# As the README says, but for --debug and the directory.
make_package() {
    PATH=$tools/bin:$PATH PGRX_PG_CONFIG_PATH=$pg_config cargo pgrx package --debug \
        --pg-config "$pg_config" --out-dir "$work/package" >"$work/log" 2>&1 ||
        { tail -n 40 "$work/log" >&2; exit 1; }
}

# Every released version but this one.
old_versions() {
    local file old
    for file in sql/released/pg_backup--*.sql; do
        old=${file#sql/released/pg_backup--} old=${old%.sql}
        if [[ "$old" != *--* && "$old" != "$version" ]]; then echo "$old"; fi
    done
}

# Into a PostgreSQL that nobody else uses, the files at the places that the package gives them.
lay_over() {
    local tree dir old
    tree=$(cargo xtask tree "$work/tree" --pg-config "$pg_config")
    for dir in --pkglibdir --sharedir; do
        cp -r "$work/package$("$pg_config" "$dir")/." "$("$tree" "$dir")/"
    done
    # For CREATE EXTENSION of an old version, which stands for what somebody has who upgrades. The
    # way from there has to be in the package.
    for old in $(old_versions); do
        cp "sql/released/pg_backup--$old.sql" "$("$tree" --sharedir)/extension/"
    done
    bin=$(dirname "$tree")
}

start_server() {
    mkdir "$work/run"
    [ "$(id -u)" -ne 0 ] || chown postgres: "$work/run"
    as_server initdb -D "$work/run/data" --auth=trust --encoding=UTF8 --locale=C.UTF-8 --no-sync \
        >"$work/log"
    printf '%s\n' "listen_addresses = ''" "unix_socket_directories = '$work/run'" 'fsync = off' \
        'shared_preload_libraries = pg_backup' |
        as_server tee -a "$work/run/data/postgresql.conf" >/dev/null
    as_server pg_ctl -D "$work/run/data" -l "$work/run/log" -w -t "$SERVER_WAIT" start >/dev/null
}

# The version of the extension in a database.
installed() { ask "$1" "SELECT extversion FROM pg_extension WHERE extname = 'pg_backup'"; }

round_trip() {
    local id
    ask postgres 'CREATE EXTENSION pg_backup'
    same "$(installed postgres)" "$version" 'the version'
    ask postgres 'CREATE TABLE t AS SELECT generate_series(1, 1000) AS i'
    id=$(ask postgres 'SELECT backup_create()')
    same "$(ask postgres "SELECT bool_and(ok) FROM backup_verify($id, 'restore')")" t 'rehearsal'
}

upgrades() {
    local old
    for old in $(old_versions); do
        ask postgres 'CREATE DATABASE upgraded'
        ask upgraded "CREATE EXTENSION pg_backup VERSION '$old'"
        ask upgraded 'ALTER EXTENSION pg_backup UPDATE'
        same "$(installed upgraded)" "$version" "the version after an upgrade from $old"
        ask upgraded 'SELECT backup_create()' >/dev/null
        ask postgres 'DROP DATABASE upgraded WITH (FORCE)'
    done
}

main() {
    mkdir -p "$work"
    chmod 755 "$PG_BACKUP_TEST_DIR"
    pg_config=$(scripts/pg.sh "$major")
    version=$(cargo pkgid --package pg_backup | sed 's/.*[@#]//')
    ensure_cargo_pgrx
    make_package
    lay_over
    start_server
    round_trip
    upgrades
    echo "test-pgrx: $(ask postgres 'SELECT version()' | cut -d ' ' -f 1-2), pg_backup $version: ok"
}

main
