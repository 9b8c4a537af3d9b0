#!/usr/bin/env bash
# make test-deb: the Debian packages, installed by apt into clean roots: PostgreSQL 15 in Debian 12,
# 17 in Debian 13. DEB_MATRIX names others: release:major, separated by spaces.
#
# In:  PG_BACKUP_TEST_DIR, and the right to chroot. Out: the exit code, a line a root.
# Holds: each root is new and goes with this script, as does its server.
set -Eeuo pipefail
umask 022
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
. "$root/scripts/debian-root.sh"
readonly matrix=${DEB_MATRIX:-bookworm:15 trixie:17}
readonly debian=${PG_BACKUP_TEST_DIR:?}/debian-deb-$$

finish() {
    local code=$?
    as_root rm -rf "$debian"
    exit "$code"
}
trap finish EXIT

main() {
    local entry release major deb pristine
    need_chroot
    cd "$root"
    for entry in $matrix; do
        release=${entry%:*} major=${entry#*:}
        deb=$(scripts/deb.sh "$major")
        pristine=$(pristine_root "$release" "postgresql-$major")
        copy_root "$pristine" "$debian"
        as_root cp "$deb" "$debian/tmp/"
        as_root env DEBIAN_ROOT="$debian" DEB="/tmp/${deb##*/}" PG_MAJOR="$major" \
            bash tests/packages/deb.sh
    done
}

main
