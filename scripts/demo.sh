#!/usr/bin/env bash
# make demo: a private server, a sample database, a first backup, and a look at it from all sides.
#
# In:  PG_BACKUP_DEMO_DIR, NO_COLOR. Out: a running server with database shop and its backups.
# Holds: an existing PostgreSQL is not touched; any step that fails ends the demo, exit code not 0.
#        A second run uses again what still fits: programs, server, sample database.

set -Eeuo pipefail
umask 022
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
called_from=$PWD
. "$root/demo/screen.sh"
. "$root/demo/cluster.sh"
. "$root/demo/tour.sh"
. "$root/demo/restore.sh"
cd "$root"
trap step_failed ERR

main() {
    local version sample
    heading 'Packages, build, a private server'
    "$root/scripts/setup.sh"
    claim_directory
    ensure_tree
    cargo xtask install --pg-config "$bin/pg_config" --release >/dev/null
    # From here on nothing needs the checkout, which OS user postgres may not be able to read.
    cd "$demo"
    ensure_cluster
    start_server
    version=$(value 'SHOW server_version' postgres)
    note "PostgreSQL ${version%% *} in $demo, socket only"

    heading 'A sample database' # recorded
    ensure_sample
    sample=$(describe_sample)
    note "$sample"

    tour
    farewell
}

# Subshells only pass their exit code on: one failure, one message.
step_failed() {
    if [ "$BASH_SUBSHELL" -eq 0 ]; then
        die "step $step_number (\"$step\") failed" "The server, if it runs, has its log in $log"
    fi
}

# Loads the sample when there is none, or when its files differ from those it was loaded from.
ensure_sample() {
    local now
    now=$(cat "$root"/demo/sample.sql "$root"/demo/sample/*.sql | sha256sum)
    if [ "$now" = "$(cat "$state/sample" 2>/dev/null)" ] && shop_exists; then return; fi
    rm -rf "$state/sample" "$state/extension" "$demo/sample"
    mkdir "$demo/sample"
    cp -r "$root/demo/sample.sql" "$root/demo/sample" "$demo/sample/"
    chmod -R a+rX "$demo/sample"
    if shop_exists; then value 'DROP DATABASE shop WITH (FORCE)' postgres; fi
    value 'CREATE DATABASE shop TEMPLATE template0' postgres
    ask -q -f "$demo/sample/sample.sql"
    printf '%s\n' "$now" >"$state/sample"
}

shop_exists() {
    [ -n "$(value "SELECT 1 FROM pg_database WHERE datname = 'shop'" postgres)" ]
}

describe_sample() {
    value "SELECT format('database shop: %s, %s tables in %s schemas, %s large objects',
        pg_size_pretty(pg_database_size('shop')),
        count(*) FILTER (WHERE c.relkind IN ('r', 'p')), count(DISTINCT n.oid),
        (SELECT count(*) FROM pg_largeobject_metadata))
        FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
        WHERE c.relkind IN ('r', 'p', 'v', 'm') AND n.nspname !~ '^pg_|^information_schema$'"
}

farewell() {
    local stop=scripts/stop-demo.sh as=''
    if [ "$called_from" != "$root" ]; then stop=$root/$stop; fi
    if [ -n "${PG_BACKUP_DEMO_DIR:-}" ]; then
        as=$(printf 'PG_BACKUP_DEMO_DIR=%q ' "$demo")
    fi
    heading 'Your turn'
    printf '   to go on by hand:\n      %s\n' "$(server_command psql) shop"
    printf '   to stop the server:\n      %s%q\n' "$as" "$stop"
    printf '   to stop it and remove all of it:\n      %s%q --remove\n' "$as" "$stop"
}

main
