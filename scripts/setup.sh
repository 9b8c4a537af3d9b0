#!/usr/bin/env bash
# Installs what building, testing and the demo need, where it is missing: Debian 12 or 13, with
# apt-get, through sudo when not root. Silent and quick when everything is there, on any distribution.
# Never creates or starts a database cluster. PGRX_PG_CONFIG_PATH names another PostgreSQL than 15.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/apt.sh"

readonly PG_CONFIG=${PGRX_PG_CONFIG_PATH:-/usr/lib/postgresql/15/bin/pg_config}
# Its packages are those of its own major version; 15 where nothing is there yet.
MAJOR=$("$PG_CONFIG" --version 2>/dev/null | sed -E 's/[^0-9]*([0-9]+).*/\1/') || true
readonly MAJOR=${MAJOR:-15}
readonly CLUSTER_CONF=/etc/postgresql-common/createcluster.conf

fail() {
    printf 'setup: %s\n' "$@" >&2
    exit 1
}

# bindgen loads libclang at run time; these are the places where it looks.
have_libclang() {
    [ -n "${LIBCLANG_PATH:-}" ] ||
        compgen -G '/usr/lib/llvm-*/lib/libclang*.so*' >/dev/null ||
        compgen -G '/usr/lib/*/libclang*.so*' >/dev/null ||
        compgen -G '/usr/lib*/libclang*.so*' >/dev/null
}

have_server() { [ -x "$(dirname "$PG_CONFIG")/postgres" ]; }

have_headers() {
    [ -x "$PG_CONFIG" ] && [ -f "$("$PG_CONFIG" --includedir-server)/postgres.h" ]
}

# The packages of Debian, or of PGDG, for whatever is missing, one a line.
missing_packages() {
    have_server || echo "postgresql-$MAJOR"
    have_headers || echo "postgresql-server-dev-$MAJOR"
    # With the C headers that bindgen needs.
    have_libclang || echo libclang-dev
    command -v cc >/dev/null || printf '%s\n' gcc libc6-dev
    command -v make >/dev/null || echo make
    command -v unzip >/dev/null || echo unzip
    command -v zstd >/dev/null || echo zstd
    command -v python3 >/dev/null || echo python3
}

# Debian's server package creates and starts a cluster `main` when it is installed. The setting
# that prevents it is put back afterwards, so that later installations behave as they always did.
install_server() {
    apt_install postgresql-common
    local saved
    saved=$(mktemp)
    cp "$CLUSTER_CONF" "$saved"
    # shellcheck disable=SC2064 # the file of today, not that of the end
    trap "as_root cp '$saved' '$CLUSTER_CONF'; rm -f '$saved'" EXIT
    as_root pg_conftool "$CLUSTER_CONF" set create_main_cluster off
    apt_install "postgresql-$MAJOR"
}

can_install() {
    local id='' version=''
    # shellcheck source=/dev/null
    if [ -r /etc/os-release ]; then
        id=$(. /etc/os-release && echo "${ID:-}")
        version=$(. /etc/os-release && echo "${VERSION_ID:-}")
    fi
    [[ "$id $version" =~ ^'debian '1[23]$ ]] || fail \
        "this is neither Debian 12 nor 13, and something is missing (in Debian's names): $*" \
        'Install it by hand; set PGRX_PG_CONFIG_PATH to the pg_config of your PostgreSQL.'
    [ "$(id -u)" -eq 0 ] || command -v sudo >/dev/null || fail \
        'something is missing, and there is neither root nor sudo to install it.' \
        "As root: apt-get install $*"
}

main() {
    command -v cargo >/dev/null ||
        fail 'cargo is not there: install Rust 1.95 or newer, for example with rustup.' \
            'If it is installed: is ~/.cargo/bin in PATH? (sudo drops it.)'
    command -v rustfmt >/dev/null ||
        fail 'rustfmt is not there, which the build needs: rustup component add rustfmt.'
    [ -z "${PGRX_PG_CONFIG_PATH:-}" ] || [ -x "$PG_CONFIG" ] ||
        fail "PGRX_PG_CONFIG_PATH names no program: $PG_CONFIG"
    local packages
    mapfile -t packages < <(missing_packages)
    [ "${#packages[@]}" -gt 0 ] || return 0

    can_install "${packages[@]}"
    echo "setup: installing ${packages[*]}"
    apt_update
    have_server || install_server
    apt_install "${packages[@]}"
    mapfile -t packages < <(missing_packages)
    [ "${#packages[@]}" -eq 0 ] || fail "still missing after the installation: ${packages[*]}"
}

main "$@"
