#!/bin/sh
# Stands for the entrypoint of the official image: makes the cluster where there is none, and runs
# the command as the server's user. No TCP port: the root shares the host's network.
set -e
as_server='setpriv --reuid=postgres --regid=postgres --init-groups'
if [ ! -s "$PGDATA/PG_VERSION" ]; then
    install -d -o postgres -g postgres -m 0700 "$PGDATA"
    $as_server initdb --username=postgres --no-instructions --no-sync >/dev/null
    printf "listen_addresses = ''\nfsync = off\n" >>"$PGDATA/postgresql.conf"
fi
exec $as_server "$@"
