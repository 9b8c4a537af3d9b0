#!/usr/bin/env bash
# make test-timescale: pg_backup with the real TimescaleDB, the one that Debian 13 packages for
# PostgreSQL 17, in a root of Debian 13 of its own.
#
# In:  PG_BACKUP_TEST_DIR, and the right to chroot. Out: nothing but the exit code; the root stays
#      for the next time (800 MB).
# Holds: packages come from the mirror of this machine's own sources; the root is complete or not
#        there; no mount, so nothing is left behind; the server ends with this script.
set -Eeuo pipefail
umask 022
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
. "$root/scripts/debian-root.sh"
readonly debian=${PG_BACKUP_TEST_DIR:?}/debian-timescale
readonly pg_config=$debian-pg_config

# Installs without a cluster of its own, without starting anything; of the headers only the files,
# for their package wants a compiler.
install_timescale() {
    copy_root "$pristine" "$1" &&
        # shellcheck disable=SC2016 # for the shell inside
        in_root "$1" sh -ec '
            apt="apt-get install --quiet=2 --yes --no-install-recommends"
            $apt postgresql-common
            sed -i "s/^#*create_main_cluster.*/create_main_cluster = false/" \
                /etc/postgresql-common/createcluster.conf
            $apt postgresql-17 postgresql-17-timescaledb
            cd /tmp
            apt-get download --quiet=2 postgresql-server-dev-17
            dpkg -x postgresql-server-dev-17_*.deb /
            apt-get clean'
}

ensure_root() {
    [ ! -d "$debian" ] || return 0
    echo "test-timescale: making a root of Debian 13 with PostgreSQL 17 and TimescaleDB"
    pristine=$(pristine_root trixie postgresql-17)
    make_root "$debian" install_timescale
}

# The root's pg_config with the paths as they are outside. What is built here runs there: its C
# library is older.
make_pg_config() {
    local enter="chroot"
    [ "$(id -u)" -eq 0 ] || enter="sudo chroot"
    printf '#!/bin/sh\n%s %q /usr/lib/postgresql/17/bin/pg_config "$@" | sed "s#^/#%s/#"\n' \
        "$enter" "$debian" "$debian" >"$pg_config"
    chmod 755 "$pg_config"
}

main() {
    need_chroot
    ensure_root
    make_pg_config
    cd "$root"
    cargo xtask install --pg-config "$pg_config" >/dev/null
    as_root env DEBIAN_ROOT="$debian" bash "$root/tests/timescale/real.sh"
}

main
