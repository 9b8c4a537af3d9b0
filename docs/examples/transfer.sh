#!/bin/bash
# Copies archives of pg_backup with psql alone, as a superuser.
#
#     transfer.sh download ID FILE
#     transfer.sh upload FILE         prints the new id
#
# PGHOST, PGUSER, PGDATABASE … say where. Bytes go as base64, in pieces of a multiple of 3 bytes.
# For what breaks and goes on, and for speed, see transfer.py and transfer.js beside this.
set -euo pipefail
# Statements hold the bytes: they must not come into the server's log.
export PGOPTIONS="${PGOPTIONS:-} -c log_statement=none -c log_min_error_statement=panic
 -c log_min_duration_statement=-1"
psql() { command psql -XqAt -v ON_ERROR_STOP=1 "$@"; }

download() {
    psql -v FETCH_COUNT=1 -c "SELECT encode(data, 'base64')
      FROM backup_download($1, chunk_bytes => 786432)" | base64 --decode >"$2"
    echo "$(psql -c "SELECT sha256 FROM backup_history WHERE id = $1")  $2" | sha256sum --check --quiet
}

upload() {
    local id sha256
    sha256=$(sha256sum <"$1")
    id=$(psql -v name="$(basename "$1")" -v size="$(stat -c %s "$1")" -v sha256="${sha256%% *}" \
        <<<"SELECT backup_upload_begin(:'name', :size, :'sha256')")
    base64 --wrap=1048576 "$1" | awk -v id="$id" '{ printf "SELECT backup_upload_part(%s, %.0f, decode('\''%s'\'', '\''base64'\''));\n", id, (NR - 1) * 786432, $0 }' |
        psql -o /dev/null
    psql -c "SELECT backup_upload_finish($id)"
}

case "${1:-} $#" in
"download 3") download "$2" "$3" ;;
"upload 2") upload "$2" ;;
*)
    echo "usage: transfer.sh download ID FILE | transfer.sh upload FILE" >&2
    exit 2
    ;;
esac
