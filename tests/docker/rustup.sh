#!/bin/sh
# Stands for rustup in the image `rust`: a component is added when this machine's toolchain has it.
set -e
if [ "$1 $2 $#" != 'component add 3' ]; then
    echo "rustup.sh: $*?" >&2
    exit 2
fi
tool=../../rustup/toolchains/host/bin/$3
cd /usr/local/cargo/bin
[ -x "$tool" ] && ln -s "$tool" .
