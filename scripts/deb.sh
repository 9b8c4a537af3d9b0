#!/usr/bin/env bash
# make deb PG=NN: target/deb/postgresql-NN-pg-backup_VERSION-1_ARCH.deb, for Debian's and PGDG's
# PostgreSQL of that major version.
#
# In:  the major version; the version of Cargo.toml; SOURCE_DATE_EPOCH (default: the last commit).
# Out: the package; its path on standard output.
# Holds: files lie where Debian's server looks, whatever PostgreSQL the library was built against;
#        dependencies are what dpkg-shlibdeps finds; the same source gives the same package.
#        A package built on an older release of Debian runs on a newer one.
set -Eeuo pipefail
umask 022
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"
. scripts/debian-root.sh
readonly major=${1:?which major version of PostgreSQL}
readonly package=postgresql-$major-pg-backup
readonly parts=$root/packaging/deb
# What it is that the package revises: the source of this version, once.
readonly REVISION=1

cargo_version() { cargo pkgid --package pg_backup | sed 's/.*[@#]//'; }

# The extension as it lies in a PostgreSQL of Debian, the library without what a debugger needs.
# The script of CREATE EXTENSION is read from the library before that.
stage_files() {
    local pg_config=$1 out=$work/out
    cargo xtask install --release --pg-config "$pg_config" --destdir "$out" >&2
    install -D -m 644 -t "$tree/usr/share/postgresql/$major/extension" \
        "$out$("$pg_config" --sharedir)"/extension/*
    install -D -m 644 -t "$tree/usr/lib/postgresql/$major/lib" \
        "$out$("$pg_config" --pkglibdir)/pg_backup.so"
    strip --strip-unneeded --remove-section=.comment --remove-section=.note \
        "$tree/usr/lib/postgresql/$major/lib/pg_backup.so"
}

stage_documents() {
    local doc=$tree/usr/share/doc/$package
    install -d "$doc"
    install -m 644 "$parts/copyright" "$doc/copyright"
    gzip -9n <CHANGELOG.md >"$doc/changelog.gz"
    gzip -9n <README.md >"$doc/README.md.gz"
    printf '%s\n\n' "pg-backup ($version) unstable; urgency=medium" \
        "  * pg_backup $upstream: see changelog.gz." \
        " -- $maintainer  $(LC_ALL=C date -u -R -d "@$SOURCE_DATE_EPOCH")" |
        gzip -9n >"$doc/changelog.Debian.gz"
    install -D -m 644 "$parts/lintian-overrides" "$tree/usr/share/lintian/overrides/$package"
    sed -i "s/@PG@/$major/g" "$tree/usr/share/lintian/overrides/$package"
}

# Libraries that the extension is linked to, with the versions whose symbols it needs.
linked() {
    mkdir -p "$work/debian"
    printf 'Source: pg-backup\n\nPackage: %s\nArchitecture: any\n' "$package" \
        >"$work/debian/control"
    (cd "$work" && dpkg-shlibdeps --warnings=0 -O \
        "$tree/usr/lib/postgresql/$major/lib/pg_backup.so") | sed -n 's/^shlibs:Depends=//p'
}

stage_control() {
    local size depends
    install -d "$tree/DEBIAN"
    size=$(du -k -s --apparent-size --exclude=DEBIAN "$tree" | cut -f 1)
    depends=$(linked)
    sed -e "s/@PG@/$major/g" -e "s/@VERSION@/$version/" -e "s/@SIZE@/$size/" \
        -e "s/@ARCH@/$(dpkg --print-architecture)/" -e "s/@LINKED@/$depends/" \
        "$parts/control" >"$tree/DEBIAN/control"
    sed "s/@PG@/$major/g" "$parts/prerm" >"$tree/DEBIAN/prerm"
    chmod 755 "$tree/DEBIAN/prerm"
    (cd "$tree" && find usr -type f -print0 | LC_ALL=C sort -z | xargs -0 md5sum) \
        >"$tree/DEBIAN/md5sums"
}

main() {
    local pg_config
    need dpkg-shlibdeps dpkg-dev
    pg_config=$(scripts/pg.sh "$major")
    upstream=$(cargo_version)
    version=${upstream/-/\~}-$REVISION
    maintainer=$(sed -n 's/^Maintainer: //p' "$parts/control")
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    tree=$work/tree
    install -d "$tree"
    stage_files "$pg_config"
    # Not before: all that is compiled by a C compiler would be, anew after every commit.
    export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null ||
        stat -c %Y CHANGELOG.md)}
    stage_documents
    stage_control
    deb=target/deb/${package}_${version}_$(dpkg --print-architecture).deb
    mkdir -p target/deb
    dpkg-deb --root-owner-group -Zxz --build "$tree" "$deb" >/dev/null
    if command -v lintian >/dev/null; then
        lintian --allow-root --fail-on error,warning "$deb" >&2
    fi
    echo "$deb"
}

main
