#!/usr/bin/env bash
# Installs the clients that the tests of the README's programs need, where they are missing:
# psycopg for Debian's python3, and pg for node; and the frameworks whose migrations are read:
# Django and Drizzle. Silent and quick when they are there.
#
# In:  PG_BACKUP_TEST_DIR. Out: python3-psycopg; pg from Debian where node is Debian's own or not
#      there yet, else, pinned by tests/clients/package-lock.json, below PG_BACKUP_TEST_DIR. The
#      frameworks, pinned by what lies in tests/clients/frameworks, below PG_BACKUP_TEST_DIR.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
. "$root/scripts/apt.sh"
readonly clients=${PG_BACKUP_TEST_DIR:?}/clients
readonly frameworks=$PG_BACKUP_TEST_DIR/frameworks

install_packages() {
    echo "test-clients: installing $*"
    apt_update
    apt_install "$@"
}

have_psycopg() { /usr/bin/python3 -c 'import psycopg' 2>/dev/null; }

have_node_pg() {
    NODE_PATH=/usr/share/nodejs:$clients/node_modules /usr/bin/node -e 'require("pg")' 2>/dev/null
}

# The node of another source than Debian does not fit Debian's packages of modules.
install_node_pg() {
    if [ ! -x /usr/bin/node ]; then
        install_packages nodejs node-pg
    elif ! command -v npm >/dev/null; then
        install_packages node-pg
    else
        echo "test-clients: installing pg into $clients"
        rm -rf "$clients"
        mkdir -p "$clients"
        cp "$root"/tests/clients/package*.json "$clients/"
        npm ci --prefix "$clients" --silent --no-audit --no-fund --ignore-scripts
    fi
}

# Both are there, as they are pinned now.
have_frameworks() { diff -rq "$root/tests/clients/frameworks" "$frameworks/pinned" >/dev/null 2>&1; }

install_frameworks() {
    echo "test-clients: installing Django and Drizzle into $frameworks"
    command -v npm >/dev/null || install_packages npm
    command -v pip3 >/dev/null || install_packages python3-pip
    rm -rf "$frameworks"
    mkdir -p "$frameworks/node"
    pip3 install --quiet --no-deps --require-hashes --only-binary :all: --no-warn-script-location \
        --target "$frameworks/python" -r "$root/tests/clients/frameworks/requirements.txt"
    cp "$root"/tests/clients/frameworks/package*.json "$frameworks/node/"
    npm ci --prefix "$frameworks/node" --silent --no-audit --no-fund --ignore-scripts
    cp -r "$root/tests/clients/frameworks" "$frameworks/pinned"
}

have_psycopg || install_packages python3-psycopg
have_node_pg || install_node_pg
have_psycopg && have_node_pg || {
    echo 'test-clients: psycopg for /usr/bin/python3 and pg for /usr/bin/node are needed' >&2
    exit 1
}
have_frameworks || install_frameworks
