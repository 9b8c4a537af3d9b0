# What the tests in roots of Debian share. Sourced, as root.
#
# In:  DEBIAN_ROOT. Out: inside, same, poll.
# Holds: a command inside has a clean environment and is the operating system's user postgres.

# A server that needs longer is stuck: tenths of a second.
readonly PATIENCE=300

readonly enter=(chroot --userspec=postgres:postgres "$DEBIAN_ROOT"
    env -i PATH=/usr/bin LC_ALL=C.UTF-8)

inside() { "${enter[@]}" "$@"; }

# same FOUND WANTED WHAT
same() {
    if [ "$1" = "$2" ]; then return; fi
    printf '%s: %s:\n  found  %s\n  wanted %s\n' "${0##*/}" "$3" "$1" "$2" >&2
    exit 1
}

# poll WHAT COMMAND…: until it succeeds.
poll() {
    local what=$1 left=$PATIENCE
    shift
    until "$@" 2>/dev/null; do
        left=$((left - 1))
        [ "$left" -gt 0 ] || { echo "${0##*/}: waited in vain for $what" >&2; exit 1; }
        read -rt 0.1 <> <(:) || true
    done
}
