#!/usr/bin/env bash
# make test-docker: the steps of the Dockerfile without a registry, then its server, a backup and
# the check of it. A root of Debian stands for the official image, this machine's Rust for that of
# the image `rust`. PG=15 stands on Debian 12, PG=17 on Debian 13.
#
# In:  the major version; PG_BACKUP_TEST_DIR, and the right to chroot. Out: the exit code.
# Holds: steps, variables and the command come from the Dockerfile itself; a mount is only ever in a
#        namespace that ends with its step; what was built and the server go with this script, the
#        root of the image stays for the next time.
set -Eeuo pipefail
umask 022
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
. "$root/scripts/debian-root.sh"
readonly major=${1:-15}
readonly image=${PG_BACKUP_TEST_DIR:?}/debian-image-$major
readonly work=$PG_BACKUP_TEST_DIR/docker-$$
# The steps are what is tested, not the optimiser.
readonly quick=(--env CARGO_PROFILE_RELEASE_LTO=off --env CARGO_PROFILE_RELEASE_OPT_LEVEL=0
    --env CARGO_PROFILE_RELEASE_DEBUG=none)
case $major in
15) readonly release=bookworm ;;
17) readonly release=trixie ;;
*) echo "test-docker: no release of Debian has PostgreSQL $major; not tested" >&2
    exit "$EXIT_SKIPPED" ;;
esac

finish() {
    local code=$?
    as_root rm -rf "$work"
    exit "$code"
}
trap finish EXIT

# What the official image has and its derivatives rely on: PostgreSQL without a cluster, its user
# with the number 999, variables, an entrypoint that makes the cluster and gives up root.
make_image() {
    copy_root "$pristine" "$1" &&
        in_root "$1" sh -ec "
            groupadd --system --gid 999 postgres
            useradd --system --gid postgres --uid 999 --home-dir /var/lib/postgresql postgres
            apt='apt-get install --quiet=2 --yes --no-install-recommends'
            \$apt postgresql-common
            sed -i 's/^#*create_main_cluster.*/create_main_cluster = false/' \
                /etc/postgresql-common/createcluster.conf
            \$apt postgresql-$major" &&
        as_root install -m 755 "$root/tests/docker/entrypoint.sh" \
            "$1/usr/local/bin/docker-entrypoint.sh" &&
        printf '%s\n' "PG_MAJOR=$major" PGDATA=/var/lib/postgresql/data \
            "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:\
/usr/lib/postgresql/$major/bin" | as_root tee "$1/.image-env"
}

ensure_image() {
    [ ! -d "$image" ] || return 0
    echo "test-docker: making a root that stands for postgres:$major-$release"
    pristine=$(pristine_root "$release" "postgresql-$major")
    make_root "$image" make_image
}

# /usr/local/cargo and /usr/local/rustup of the image `rust`, from this machine's Rust: cargo and
# rustc, the rest only when its rustup is asked for it; and the crates that are here already.
make_rust() {
    local sysroot
    sysroot=$(rustc --print sysroot)
    mkdir -p "$work/rust/usr/local"/{cargo/bin,rustup/toolchains/host/lib}
    cp -aL "$sysroot/bin" "$work/rust/usr/local/rustup/toolchains/host/"
    cp -a --link "$sysroot"/lib/* "$work/rust/usr/local/rustup/toolchains/host/lib/" 2>/dev/null ||
        cp -a "$sysroot"/lib/* "$work/rust/usr/local/rustup/toolchains/host/lib/"
    ln -s ../../rustup/toolchains/host/bin/{cargo,rustc} "$work/rust/usr/local/cargo/bin/"
    install -m 755 "$root/tests/docker/rustup.sh" "$work/rust/usr/local/cargo/bin/rustup"
    if [ -d "${CARGO_HOME:-$HOME/.cargo}/registry" ]; then
        mkdir "$work/rust/usr/local/cargo/registry"
        cp -a "${CARGO_HOME:-$HOME/.cargo}/registry"/{index,cache} \
            "$work/rust/usr/local/cargo/registry/"
    fi
}

main() {
    local rust final
    need_chroot
    ensure_image
    mkdir -p "$work/stages"
    make_rust
    rust=$(rustc --version | sed 's/^rustc \([0-9.]*\).*/\1/')
    final=$(as_root python3 "$root/scripts/dockerfile.py" "$root/Dockerfile" "$root" \
        "$work/stages" --arg "PG_MAJOR=$major" --arg "DEBIAN=$release" \
        --arg "RUST_VERSION=$rust" "${quick[@]}" \
        --base "postgres:$major-$release=$image" \
        --link "rust:$rust-slim-$release=$work/rust" 2>"$work/build.log") || {
        tail -n 40 "$work/build.log" >&2
        exit 1
    }
    as_root env DEBIAN_ROOT="$final" bash "$root/tests/docker/run.sh"
}

main
