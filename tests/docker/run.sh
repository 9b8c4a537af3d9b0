# What `docker run` of the built image gives: a server with pg_backup preloaded, whose backups go
# to the volume.
#
# In:  DEBIAN_ROOT, the final stage with its script /start. Run as root.
# Out: exit code; the server's log where something is not as it should be.
# Holds: the server ends with this script.
set -Eeuo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/../debian/inside.sh"
readonly volume=/var/lib/pg_backup
server=

ask() { inside psql -XqAt -v ON_ERROR_STOP=1 -d "$1" -c "$2"; }

finish() {
    local code=$?
    if [ "$code" -ne 0 ]; then tail -n 60 "$DEBIAN_ROOT/log" >&2; fi
    if [ -n "$server" ]; then
        kill -INT "$server" 2>/dev/null || true
        wait "$server" 2>/dev/null || true
    fi
    exit "$code"
}
trap finish EXIT
trap 'echo "run.sh: line $LINENO failed" >&2' ERR

main() {
    local id
    same "$(stat -c '%u:%g %a' "$DEBIAN_ROOT$volume")" '999:999 700' 'owner and mode of the volume'
    # Not through a function: its process id would be that of a shell.
    chroot "$DEBIAN_ROOT" /usr/bin/env -i /start >"$DEBIAN_ROOT/log" 2>&1 &
    server=$!
    poll 'the server' ask postgres 'SELECT 1' >/dev/null
    same "$(ask postgres 'SHOW shared_preload_libraries')" pg_backup 'what is preloaded'
    ask postgres 'CREATE EXTENSION pg_backup'
    same "$(ask postgres 'SHOW pg_backup.directory')" "$volume" 'the directory'
    same "$(ask postgres "SELECT string_agg(check_name, ',') FROM backup_check()
        WHERE status = 'blocker'")" '' 'what backup_check finds in the way'
    ask postgres 'CREATE TABLE t AS SELECT generate_series(1, 1000) AS i'
    id=$(ask postgres 'SELECT backup_create()')
    same "$(ask postgres "SELECT bool_and(ok) FROM backup_verify($id, 'restore')")" t 'rehearsal'
    same "$(find "$DEBIAN_ROOT$volume" -type f -name '*.zip' | wc -l)" 1 'archives in the volume'
    echo "test-docker: $(ask postgres 'SELECT version()' | cut -d ' ' -f 1-2), pg_backup" \
        "$(ask postgres "SELECT extversion FROM pg_extension WHERE extname = 'pg_backup'"): ok"
}

main
