#!/usr/bin/env bash
# Fuzzes with coverage on stable Rust: builds the targets with the compiler's instrumentation and runs each for its share of
# the time. Corpora and findings are in target/fuzz; `target/fuzz/x86_64-unknown-linux-gnu/fuzz/TARGET FILE` runs a finding again.
# Usage: run.sh SECONDS [TARGET...]
set -euo pipefail
cd "$(dirname "$0")/../.."
seconds=$1
shift
host=$(rustc -vV | sed -n 's/^host: //p')
built=target/fuzz/$host/fuzz
flags=(
    -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters
    -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares --cfg=fuzzing
)
# With --target, the flags are not for build scripts.
RUSTFLAGS="${flags[*]}" cargo build --locked --profile fuzz -p vmt-fuzz --features libfuzzer \
    --target "$host" --target-dir target/fuzz

targets=("$@")
[ $# -gt 0 ] || for program in tests/fuzz/src/bin/*.rs; do targets+=("$(basename "$program" .rs)"); done
share=$((seconds / ${#targets[@]}))
for target in "${targets[@]}"; do
    mkdir -p "target/fuzz/corpus/$target" "target/fuzz/found/$target"
    # Each in an empty folder, so that names in inputs are of nothing. An input of over 25 s is a finding, as is 2 GB of memory.
    place=$(mktemp -d)
    root=$PWD
    SEEDS=target/fuzz/seeds/$target "$built/$target" >"target/fuzz/$target.log" 2>&1
    (cd "$place" && "$root/$built/$target" -max_total_time=$((share > 0 ? share : 1)) -timeout=25 -rss_limit_mb=2048 \
        -print_final_stats=1 -dict="$root/target/fuzz/seeds/$target.dict" -artifact_prefix="$root/target/fuzz/found/$target/" \
        "$root/target/fuzz/corpus/$target" "$root/target/fuzz/seeds/$target" </dev/null >"$root/target/fuzz/$target.log" 2>&1) || {
        tail -n 40 "target/fuzz/$target.log" >&2
        echo "fuzz: $target: see target/fuzz/$target.log and target/fuzz/found/$target" >&2
        exit 1
    }
    [ -z "$(ls -A "$place")" ] || { echo "fuzz: $target wrote files: $(ls -A "$place")" >&2; exit 1; }
    rm -r "$place"
    statistic() { sed -n "s/^stat::$1: *//p" "target/fuzz/$target.log"; }
    printf '%-10s %10d runs, %4d MB\n' "$target" "$(statistic number_of_executed_units)" "$(statistic peak_rss_mb)"
done
