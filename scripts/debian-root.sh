# Roots of Debian to try packages in. Sourced, not run.
#
# In:  PG_BACKUP_TEST_DIR, and the right to chroot (root, or sudo).
# Out: pristine_root prints the directory of one; it stays for the next time (400 MB a release).
# Holds: packages come from the mirror of this machine's own sources; a root is complete or not
#        there; nothing is mounted, so nothing is left behind; no service starts in it.

. "$(dirname "${BASH_SOURCE[0]}")/apt.sh"

# The exit code that automake and others read as "skipped".
readonly EXIT_SKIPPED=77

# need PROGRAM PACKAGE: from the machine's own packages, where it is missing.
need() {
    if command -v "$1" >/dev/null || [ -x "/usr/sbin/$1" ]; then return; fi
    apt_update
    apt_install "$2"
}

# Ends the script with a reason where no root can be entered, as in many containers.
need_chroot() {
    local why
    why=$(as_root chroot / true 2>&1) && return
    echo "${0##*/}: no chroot here, nothing was tested: ${why:-it failed}" >&2
    exit "$EXIT_SKIPPED"
}

# in_root ROOT COMMAND…: as root inside, no question asked, in English.
in_root() {
    local dir=$1
    shift
    as_root chroot "$dir" env DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8 \
        PATH=/usr/sbin:/usr/bin:/sbin:/bin "$@"
}

# make_root DIR COMMAND…: runs the command, which fills DIR.partial, and gives that its name.
make_root() {
    local dir=$1 log=$1.log
    shift
    as_root rm -rf "$dir.partial"
    mkdir -p "$(dirname "$dir")"
    if ! "$@" "$dir.partial" >"$log" 2>&1; then
        tail -n 20 "$log" >&2
        return 1
    fi
    as_root mv "$dir.partial" "$dir"
}

# The smallest Debian that can install packages, its lists read: pristine_root RELEASE PACKAGE…
# The packages (with all that they need) are fetched but not installed.
pristine_root() {
    local dir=${PG_BACKUP_TEST_DIR:?}/debian-$1
    if [ ! -d "$dir" ]; then
        need debootstrap debootstrap
        echo "${0##*/}: making a root of Debian ($1)" >&2
        make_root "$dir" bootstrap "$@"
    fi
    echo "$dir"
}

# bootstrap RELEASE PACKAGE… DIR. One chain, for errexit is off in a condition.
bootstrap() {
    local release=$1 dir=${*: -1}
    as_root /usr/sbin/debootstrap --variant=minbase "$release" "$dir" "$(mirror)" &&
        printf '#!/bin/sh\nexit 101\n' | as_root tee "$dir/usr/sbin/policy-rc.d" &&
        as_root chmod 755 "$dir/usr/sbin/policy-rc.d" &&
        in_root "$dir" apt-get update --quiet=2 &&
        in_root "$dir" apt-get install --quiet=2 --yes --no-install-recommends --download-only \
            "${@:2:$#-2}"
}

# copy_root FROM TO: a root to change, without a copy of the blocks where the file system can.
copy_root() {
    as_root rm -rf "$2"
    as_root cp -a --reflink=auto "$1" "$2"
}
