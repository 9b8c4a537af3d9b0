# Packages of Debian, for the scripts that install what is missing. Sourced, not run.
#
# In:  root, or sudo. Out: functions. Holds: no question is asked, no recommended package comes
#      along, and nothing is said on standard output.

# How long to wait for another apt or dpkg, in seconds.
readonly APT_LOCK_TIMEOUT=120

as_root() {
    if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi
}

apt_update() {
    as_root apt-get update --quiet=2 -o "DPkg::Lock::Timeout=$APT_LOCK_TIMEOUT" >&2
}

apt_install() {
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install --quiet=2 --yes \
        --no-install-recommends -o "DPkg::Lock::Timeout=$APT_LOCK_TIMEOUT" "$@" >/dev/null
}

# Debian's own mirror among the machine's sources.
mirror() {
    # shellcheck disable=SC2016 # apt's own variables
    apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Label: Debian' | head -n 1
}
