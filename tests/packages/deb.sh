# The Debian package as its user meets it: apt, preload, CREATE EXTENSION, a backup and its copy,
# and apt remove, which leaves the archives.
#
# In:  DEBIAN_ROOT, a clean root; DEB, the package's path in it; PG_MAJOR. Run as root.
# Out: exit code; the server's log where something is not as it should be.
# Holds: the server ends with this script. No TCP port: the root shares the host's network.
set -Eeuo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/../debian/inside.sh"

readonly package=postgresql-$PG_MAJOR-pg-backup
readonly backups=/srv/backups
readonly pid_file=$DEBIAN_ROOT/var/lib/postgresql/$PG_MAJOR/main/postmaster.pid

as_admin() {
    chroot "$DEBIAN_ROOT" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 \
        DEBIAN_FRONTEND=noninteractive "$@"
}

# ask DATABASE SQL: without notices.
ask() {
    inside PGOPTIONS='-c client_min_messages=warning' \
        psql -XqAt -v ON_ERROR_STOP=1 -d "$1" -c "$2"
}

# pg_ctlcluster starts a server, but stops it only where /proc is.
stop_server() {
    local pid
    pid=$(head -n 1 "$pid_file" 2>/dev/null) || return 0
    kill -"$1" "$pid"
    poll 'the end of the server' test ! -e "$pid_file"
}

finish() {
    local code=$?
    if [ "$code" -ne 0 ]; then
        tail -n 40 "$DEBIAN_ROOT/tmp/apt.log" "$DEBIAN_ROOT"/var/log/postgresql/*.log >&2 || true
    fi
    stop_server QUIT
    exit "$code"
}
trap finish EXIT
trap 'echo "deb.sh: line $LINENO failed" >&2' ERR

# apt brings the server along, and that a cluster `main`; the root's policy starts nothing.
install_package() {
    as_admin apt-get install --quiet=2 --yes --no-install-recommends "$DEB" \
        >"$DEBIAN_ROOT/tmp/apt.log" 2>&1
    same "$(as_admin dpkg --verify "$package")" '' 'files that are not as the package has them'
    [ -e "$DEBIAN_ROOT/etc/postgresql/$PG_MAJOR/main" ] ||
        as_admin pg_createcluster "$PG_MAJOR" main >/dev/null
}

start_server() {
    local name
    as_admin install -d -o postgres -g postgres -m 0700 "$backups"
    for name in shared_preload_libraries=pg_backup "pg_backup.directory=$backups" \
        listen_addresses= fsync=off; do
        as_admin pg_conftool "$PG_MAJOR" main set "${name%%=*}" "${name#*=}"
    done
    as_admin pg_ctlcluster "$PG_MAJOR" main start
    poll 'the server' ask postgres 'SELECT 1' >/dev/null
}

content() { ask "$1" "SELECT count(*), md5(string_agg(id || note, ',' ORDER BY id)) FROM t"; }

round_trip() {
    local id
    ask postgres 'CREATE DATABASE app'
    ask app "CREATE TABLE t AS SELECT id, md5(id::text) AS note FROM generate_series(1, 5000) id"
    ask app 'CREATE EXTENSION pg_backup'
    same "$(ask app "SELECT string_agg(check_name, ',') FROM backup_check()
        WHERE status = 'blocker'")" '' 'what backup_check finds in the way'
    id=$(ask app 'SELECT backup_create()')
    same "$(ask app "SELECT bool_and(ok) FROM backup_verify($id, 'restore')")" t 'rehearsal'
    ask app "CALL backup_restore($id, target => 'copy')" >/dev/null
    same "$(content copy)" "$(content app)" 'the copy'
}

archives() { (cd "$DEBIAN_ROOT$backups" && find . -type f -name '*.zip' -exec sha256sum {} +); }

# With the server stopped, as one does; the message names the file that stops the next start.
remove_package() {
    local before said
    before=$(archives)
    [ -n "$before" ] || { echo 'deb.sh: there is no archive' >&2; exit 1; }
    stop_server INT
    said=$(as_admin apt-get remove --quiet=2 --yes "$package" 2>&1)
    same "$(archives)" "$before" 'archives after apt remove'
    same "$(grep -c 'archives stay' <<<"$said")" 1 "what apt remove says ($said)"
    same "$(grep -c "/etc/postgresql/$PG_MAJOR/main/postgresql.conf" <<<"$said")" 1 \
        "the settings that apt remove names ($said)"
    same "$(find "$DEBIAN_ROOT"/usr/{lib,share}/postgresql -name 'pg_backup*')" '' \
        'files that apt remove leaves'
}

main() {
    local version
    install_package
    start_server
    round_trip
    version=$(ask app "SELECT split_part(current_setting('server_version'), ' ', 1) ||
        ', pg_backup ' || extversion FROM pg_extension WHERE extname = 'pg_backup'")
    remove_package
    echo "test-deb: ${DEB##*/}: Debian $(cat "$DEBIAN_ROOT/etc/debian_version")," \
        "PostgreSQL $version: ok"
}

main
