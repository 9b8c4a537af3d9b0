#!/usr/bin/env bash
# test-place.sh DIR PID: where the clusters of a test run live: a new directory in memory, where
# there is enough of it, else DIR. A file system on a disk spends a quarter of the tests' time on
# making and removing the thousands of files of their databases.
#
# In:  DIR; the process whose run it is; PG_BACKUP_TEST_MEMORY (default /dev/shm).
# Out: the directory, for whoever calls to remove when the tests are through, if it is not DIR.
# Holds: it belongs to nobody else; what killed runs have left there is removed.
set -euo pipefail
readonly dir=${1:?} run=${2:?} memory=${PG_BACKUP_TEST_MEMORY:-/dev/shm}
# Eight tests at a time need about one gigabyte; another one stays free, also for the servers.
readonly NEEDED_KB=$((4 * 1024 * 1024))
readonly name=pg_backup-test-$UID

# Clusters hold programs, too: those that stand in for pg_dump.
is_in_memory() {
    [ "$(stat -f -c %T "$memory" 2>/dev/null)" = tmpfs ] &&
        ! findmnt -no OPTIONS -T "$memory" | grep -qw noexec
}

has_enough() {
    local free available
    free=$(df -k --output=avail "$memory" | tail -1)
    available=$(awk '$1 == "MemAvailable:" { print $2 }' /proc/meminfo)
    [ "$free" -ge "$NEEDED_KB" ] && [ "$available" -ge "$NEEDED_KB" ]
}

# Each carries the id of its process.
sweep() {
    local left
    for left in "$memory/$name"-*; do
        [ ! -O "$left" ] || [ -e "/proc/${left##*-}" ] || rm -rf -- "$left" || true
    done
}

if is_in_memory && has_enough; then
    sweep
    mkdir -m 755 "$memory/$name-$run"
    echo "$memory/$name-$run"
else
    echo "$dir"
fi
