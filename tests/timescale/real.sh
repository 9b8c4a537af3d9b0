# The round trip of a database with the real TimescaleDB: a copy, a replace, and the way back.
#
# In:  DEBIAN_ROOT, a root of Debian with PostgreSQL 17, TimescaleDB and pg_backup. Run as root.
# Out: exit code; the server's log where something is not as it should be.
# Holds: the cluster and its server go with this script.
set -Eeuo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/../debian/inside.sh"

readonly bin=/usr/lib/postgresql/17/bin
readonly home=/var/lib/pg_backup-test-$$
server=

# ask DATABASE SQL: without notices.
ask() {
    inside PGOPTIONS='-c client_min_messages=warning' \
        "$bin/psql" -XqAt -v ON_ERROR_STOP=1 -h "$home" -d "$1" -c "$2"
}

finish() {
    local code=$?
    if [ "$code" -ne 0 ]; then tail -n 60 "$DEBIAN_ROOT$home/log" >&2; fi
    if [ -n "$server" ]; then
        kill -INT "$server" 2>/dev/null || true
        wait "$server" 2>/dev/null || true
    fi
    rm -rf "${DEBIAN_ROOT:?}$home"
    exit "$code"
}
trap finish EXIT
trap 'echo "real.sh: line $LINENO failed" >&2' ERR

start() {
    install -d -m 700 -o "$(inside id -u)" -g "$(inside id -g)" "$DEBIAN_ROOT$home"
    inside "$bin/initdb" --no-sync --auth=trust --no-instructions --locale=C.UTF-8 -D "$home/data" \
        >/dev/null
    # There is no shared memory file system in the root.
    cat >>"$DEBIAN_ROOT$home/data/postgresql.conf" <<CONF
listen_addresses = ''
unix_socket_directories = '$home'
fsync = off
dynamic_shared_memory_type = mmap
shared_preload_libraries = 'timescaledb, pg_backup'
timescaledb.telemetry_level = off
timezone = 'UTC'
CONF
    # Not through a function: its process id would be that of a shell.
    "${enter[@]}" "$bin/postgres" -D "$home/data" >>"$DEBIAN_ROOT$home/log" 2>&1 &
    server=$!
    poll 'the server' ready
}

ready() { ask postgres 'SELECT 1' >/dev/null; }

# Rows, chunks, jobs and the state of the extension.
content() {
    ask "$1" "SELECT concat_ws(' ',
        (SELECT count(*) || '/' || sum(v) || '/' || max(at) FROM metrics),
        (SELECT string_agg(c::text, ',' ORDER BY c::text) FROM show_chunks('metrics') c),
        (SELECT string_agg(chunk_name, ',' ORDER BY chunk_name)
           FROM timescaledb_information.chunks),
        (SELECT extversion FROM pg_extension WHERE extname = 'timescaledb'),
        (SELECT count(*) FROM pg_constraint WHERE conrelid IN (SELECT show_chunks('metrics'))),
        (SELECT count(*) FROM plain))"
}

jobs() {
    ask "$1" "SELECT string_agg(application_name || ':' || scheduled, ',' ORDER BY job_id)
                FROM timescaledb_information.jobs WHERE job_id >= 1000"
}

workers() {
    ask postgres "SELECT count(*) FROM pg_stat_activity
                   WHERE datname = '$1'
                     AND backend_type = 'TimescaleDB Background Worker Scheduler'"
}

has_worker() { [ "$(workers "$1")" -ge 1 ]; }

make_database() {
    ask postgres 'CREATE EXTENSION pg_backup'
    ask postgres 'CREATE ROLE sensor' && ask postgres 'CREATE DATABASE app'
    ask app 'CREATE EXTENSION timescaledb'
    ask app "
        CREATE TABLE plain AS SELECT i FROM generate_series(1, 10) i;
        CREATE TABLE metrics (at timestamptz NOT NULL, v int, note text DEFAULT 'x', CHECK (v > 0));
        ALTER TABLE metrics OWNER TO sensor;
        SELECT create_hypertable('metrics', 'at', chunk_time_interval => interval '1 day');
        INSERT INTO metrics SELECT timestamptz '2020-01-01' + i * interval '1 minute', i
          FROM generate_series(1, 20000) i;
        CREATE INDEX ON metrics (v);" >/dev/null
    # Debian's edition has no functions for jobs: rows, as a dump of the other edition has them.
    ask app "
        CREATE PROCEDURE tick(job_id int, config jsonb) LANGUAGE sql AS 'SELECT 1';
        INSERT INTO _timescaledb_config.bgw_job (application_name, schedule_interval, max_runtime,
            max_retries, retry_period, proc_schema, proc_name, owner, scheduled, fixed_schedule)
        SELECT name, '1 day', '0', -1, '1 day', 'public', 'tick', 'sensor', name = 'on', false
          FROM unnest(ARRAY['on', 'off']) AS name"
}

# copy NAME OPTIONS…
copy() {
    ask postgres "CALL backup_restore($id, target => '$1'${2:-})" >/dev/null
    same "$(content "$1")" "$wanted" "the copy $1"
    same "$(jobs "$1")" on:false,off:false "jobs of the copy $1"
    same "$(ask postgres "SELECT count(*) FROM pg_db_role_setting
        WHERE setconfig::text ~ 'restoring'")" 0 'databases in restoring mode'
}

main() {
    local id run wanted emptied
    start
    make_database
    wanted=$(content app)
    id=$(ask postgres "SELECT backup_create(database => 'app')")
    copy serial
    copy parallel ', jobs => 4'
    same "$(ask postgres "SELECT bool_and(ok) FROM backup_verify($id, 'restore')")" t \
        'the rehearsal'

    ask app "DELETE FROM metrics WHERE v > 10000;
        SELECT drop_chunks('metrics', timestamptz '2020-01-05')" >/dev/null
    emptied=$(content app)
    poll 'workers before the swap' has_worker app
    ask postgres "CALL backup_restore($id, replace => 'app')" >/dev/null
    same "$(content app)" "$wanted" 'the replaced database'
    same "$(jobs app)" on:true,off:false 'jobs of the replaced database'
    poll 'workers after the swap' has_worker app
    ask app "INSERT INTO metrics VALUES ('2021-01-01', 1)"
    run=$(ask postgres "SELECT id FROM backup_history WHERE kind = 'restore' LIMIT 1")
    ask postgres "CALL backup_rollback($run)" >/dev/null
    same "$(content app)" "$emptied" 'the database that came back'
    poll 'workers after the way back' has_worker app
    echo "test-timescale: PostgreSQL $(ask postgres 'SHOW server_version'), TimescaleDB" \
        "$(ask app "SELECT extversion FROM pg_extension WHERE extname = 'timescaledb'"): ok"
}

main
