#!/bin/sh
# Runs every fuzz target for some seconds each: fuzz/run.sh [seconds] [target…]
#
# Needs a nightly compiler and cargo-fuzz; says so where they are missing, and ends well: the same targets replay
# their seeds in the ordinary tests.
set -eu
cd "$(dirname "$0")"
seconds=${1:-60}
[ $# -gt 0 ] && shift

if ! rustup run nightly rustc --version >/dev/null 2>&1; then
    echo "fuzz: skipped: no nightly compiler (rustup toolchain install nightly)"
    exit 0
fi
if ! cargo fuzz --version >/dev/null 2>&1; then
    echo "fuzz: skipped: no cargo-fuzz (cargo install cargo-fuzz)"
    exit 0
fi

# shellcheck disable=SC2046 # target names have no blanks
[ $# -gt 0 ] || set -- $(cargo +nightly fuzz list --fuzz-dir .)
cargo +nightly fuzz build --fuzz-dir .
count=0
for target in "$@"; do
    crate=${target%%__*}
    folder=$(echo "$crate" | tr _ -)
    case $folder in platform) home=../platform ;; *) home=../agent/$folder ;; esac
    seeds=$home/testkit/corpus/${target#*__}
    mkdir -p "corpus/$target"
    echo "fuzz: $target for $seconds s"
    cargo +nightly fuzz run --fuzz-dir . "$target" "corpus/$target" "$seeds" -- \
        -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -max_len=65536 -verbosity=0 -print_final_stats=1
    count=$((count + 1))
done
echo "fuzz: $count targets, $seconds s each, nothing found"
