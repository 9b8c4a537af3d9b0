#!/usr/bin/env bash
# Stops the demo's server; --remove also removes its directory with all databases and backups.
#
# In: PG_BACKUP_DEMO_DIR, as for scripts/demo.sh. Holds: only a directory that the demo marked as
# its own is removed. Exit code 0 also when there was nothing to stop.

set -Eeuo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
. "$root/demo/screen.sh"
. "$root/demo/cluster.sh"

case ${1:-} in
    '' | --remove) ;;
    *) die "unknown option: $1" 'usage: scripts/stop-demo.sh [--remove]' ;;
esac
if [ ! -f "$marker" ] || [ ! -O "$demo" ]; then
    echo "no demo in $demo"
    exit 0
fi
cd "$demo"
if [ -x "$bin/pg_ctl" ]; then stop_server; fi
if [ "${1:-}" = --remove ]; then
    cd /
    rm -rf -- "$demo"
    echo "the demo in $demo is stopped and removed"
else
    echo "the demo in $demo is stopped; its databases and backups stay until --remove"
fi
