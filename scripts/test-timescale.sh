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
readonly debian=${PG_BACKUP_TEST_DIR:?}/trixie
readonly pg_config=$PG_BACKUP_TEST_DIR/trixie-pg_config
# How long to wait for another apt or dpkg, in seconds.
readonly APT_LOCK_TIMEOUT=120

as_root() {
    if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi
}

# Debian's own mirror among the machine's sources.
mirror() {
    # shellcheck disable=SC2016 # apt's own variables
    apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Label: Debian' | head -n 1
}

ensure_debootstrap() {
    if command -v debootstrap >/dev/null || [ -x /usr/sbin/debootstrap ]; then return; fi
    as_root apt-get update --quiet=2 -o "DPkg::Lock::Timeout=$APT_LOCK_TIMEOUT"
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install --quiet=2 --yes \
        --no-install-recommends -o "DPkg::Lock::Timeout=$APT_LOCK_TIMEOUT" debootstrap >/dev/null
}

# Installs without a cluster of its own, without starting anything; of the headers only the files,
# for their package wants a compiler.
ensure_root() {
    [ ! -e "$debian/.complete" ] || return 0
    ensure_debootstrap
    echo "test-timescale: making a root of Debian 13 with PostgreSQL 17 and TimescaleDB"
    as_root rm -rf "$debian"
    as_root /usr/sbin/debootstrap --variant=minbase trixie "$debian" "$(mirror)" >/dev/null
    printf '#!/bin/sh\nexit 101\n' | as_root tee "$debian/usr/sbin/policy-rc.d" >/dev/null
    as_root chmod 755 "$debian/usr/sbin/policy-rc.d"
    as_root chroot "$debian" env DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8 sh -ec '
        apt-get update --quiet=2
        apt="apt-get install --quiet=2 --yes --no-install-recommends"
        $apt postgresql-common
        sed -i "s/^#*create_main_cluster.*/create_main_cluster = false/" \
            /etc/postgresql-common/createcluster.conf
        $apt postgresql-17 postgresql-17-timescaledb
        cd /tmp
        apt-get download --quiet=2 postgresql-server-dev-17
        dpkg -x postgresql-server-dev-17_*.deb /
        apt-get clean
        touch /.complete' >/dev/null 2>"$PG_BACKUP_TEST_DIR/trixie.log" || {
        tail -n 20 "$PG_BACKUP_TEST_DIR/trixie.log" >&2
        exit 1
    }
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
    ensure_root
    make_pg_config
    cd "$root"
    cargo xtask install --pg-config "$pg_config" >/dev/null
    as_root env DEBIAN_ROOT="$debian" bash "$root/tests/timescale/real.sh"
}

main
