# shellcheck shell=bash
# The demo's private PostgreSQL: its own tree of programs, data directory and socket.
#
# Sourced by scripts/demo.sh and scripts/stop-demo.sh after screen.sh.
# In:  PG_BACKUP_DEMO_DIR (default: pg_backup-demo-$UID under TMPDIR), UID.
# Out: $demo and what lies below it; functions to start, stop and ask the server.
# Holds: nothing outside $demo is written, no TCP port is opened, and every program of PostgreSQL
#        starts with an empty environment, as OS user postgres when we are root.

SERVER_WAIT_SECONDS=60
# sun_path holds 108 bytes with the closing NUL; the socket's own name takes 18 of them.
MAX_RUN_DIRECTORY_BYTES=88

demo=$(realpath -m -- "${PG_BACKUP_DEMO_DIR:-${TMPDIR:-/tmp}/pg_backup-demo-$UID}")
marker=$demo/.pg_backup-demo
tree=$demo/tree
bin=$demo/bin
run=$demo/run
data=$demo/data
log=$run/server.log
state=$demo/state

# Descriptor 9 is the demo's lock: a server that inherited it would hold it for ever.
as_server() { # program arguments…
    local clean=(env -i "PATH=$bin:/usr/bin:/bin" LANG=C.UTF-8 "$@")
    if [ "$UID" -eq 0 ]; then
        runuser -u postgres -- "${clean[@]}" 9>&-
    else
        "${clean[@]}" 9>&-
    fi
}

# Makes $demo, or takes an empty directory or an earlier demo's. Anything else is not ours to fill.
claim_directory() {
    if [ -L "$demo" ] || { [ -n "$(ls -A "$demo" 2>/dev/null)" ] && [ ! -f "$marker" ]; }; then
        die "\"$demo\" is not a directory of this demo" \
            'Remove it, or name another one in PG_BACKUP_DEMO_DIR.'
    fi
    mkdir -p -- "$demo"
    [ -O "$demo" ] || die "\"$demo\" belongs to another user" 'Set PG_BACKUP_DEMO_DIR.'
    [ "$(printf %s "$run" | wc -c)" -le "$MAX_RUN_DIRECTORY_BYTES" ] ||
        die "the path \"$run\" is too long for a Unix socket" 'Set PG_BACKUP_DEMO_DIR.'
    chmod 0755 "$demo"
    : >>"$marker"
    exec 9>>"$demo/lock"
    flock -n 9 || die "another demo is at work in \"$demo\"" 'Wait until it has ended.'
    mkdir -p "$state"
}

# The programs of PostgreSQL with room for the extension; copied anew after a package upgrade.
ensure_tree() {
    local pg_config
    pg_config=$(cargo xtask tree "$tree")
    ln -sfn "$(dirname "$pg_config")" "$bin"
}

# A data directory of this PostgreSQL's major version.
ensure_cluster() {
    if "$bin/pg_config" --version | grep -q " $(cat "$data/PG_VERSION" 2>/dev/null)\."; then
        return
    fi
    stop_server
    rm -rf "$data" "$run" "${state:?}"/*
    install -d -m 0700 "$data" "$run"
    if [ "$UID" -eq 0 ]; then chown postgres: "$data" "$run"; fi
    as_server test -w "$run" ||
        die "OS user postgres cannot reach \"$demo\"" 'Set PG_BACKUP_DEMO_DIR.'
    as_server "$bin/initdb" -D "$data" --auth-local=peer --auth-host=reject --encoding=UTF8 \
        --locale=C.UTF-8 --no-sync --no-instructions >"$state/initdb.log" ||
        { cat "$state/initdb.log" >&2; die 'initdb failed'; }
    printf "include = 'demo.conf'\n" | as_server tee -a "$data/postgresql.conf" >/dev/null
}

server_settings() {
    cat <<SETTINGS
cluster_name = 'pg_backup demo'
listen_addresses = ''
unix_socket_directories = '${run//\'/\'\'}'
unix_socket_permissions = 0700
shared_preload_libraries = 'pg_backup'
max_wal_size = '2GB'
SETTINGS
}

# What a running server has in memory: it is started anew when this changes.
build_fingerprint() {
    local config=$bin/pg_config
    { server_settings; "$config" --version; cat "$("$config" --pkglibdir)/pg_backup.so" \
        "$("$config" --sharedir)"/extension/pg_backup{.control,--*.sql}; } | sha256sum
}

server_runs() {
    as_server "$bin/pg_ctl" -D "$data" status >/dev/null 2>&1
}

# A process with the number that a crashed server left in its file is not yet a server.
server_answers() {
    server_runs && as_server "$bin/pg_isready" -q -h "$run" -t "$SERVER_WAIT_SECONDS"
}

start_server() {
    local now
    now=$(build_fingerprint)
    if server_answers; then
        if [ "$now" = "$(cat "$state/server" 2>/dev/null)" ]; then return; fi
        stop_server
    fi
    server_settings | as_server tee "$data/demo.conf" >/dev/null
    if ! as_server "$bin/pg_ctl" -D "$data" -l "$log" -w -t "$SERVER_WAIT_SECONDS" start \
        >/dev/null; then
        tail -n 20 "$log" >&2
        die 'the demo server did not start' "Its log: $log"
    fi
    printf '%s\n' "$now" >"$state/server"
}

stop_server() {
    if ! server_runs; then return; fi
    as_server "$bin/pg_ctl" -D "$data" -m fast -w -t "$SERVER_WAIT_SECONDS" stop >/dev/null ||
        die 'the demo server did not stop' "Its log: $log"
}

# psql on database shop, 80 columns wide; errors end it.
ask() { # psql arguments…
    as_server "$bin/psql" -X -v ON_ERROR_STOP=1 -h "$run" -d shop -P pager=off \
        -P format=wrapped -P columns=80 "$@"
}

# One value, or one row with fields parted by tabs.
value() { # sql
    as_server "$bin/psql" -X -A -t -q -v ON_ERROR_STOP=1 -h "$run" -d "${2:-shop}" -F $'\t' -c "$1"
}
