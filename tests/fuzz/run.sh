#!/usr/bin/env bash
# Fuzzes with coverage on stable Rust: builds the targets with the compiler's instrumentation and runs each for its share
# of the time. Corpora, logs and findings are in target/fuzz; to run a finding again:
# target/fuzz/HOST/fuzz/TARGET FILE
# Usage: run.sh SECONDS [TARGET...]
# Without targets: all but `graph`, whose engine takes many minutes to build.
set -euo pipefail
cd "$(dirname "$0")/../.."
seconds=$1
shift
targets=("$@")
if [ $# -eq 0 ]; then
    for program in tests/fuzz/src/bin/*.rs; do
        target=$(basename "$program" .rs)
        [ "$target" = graph ] || targets+=("$target")
    done
fi
features=libfuzzer
[[ " ${targets[*]} " != *" graph "* ]] || features=graph
host=$(rustc -vV | sed -n 's/^host: //p')
flags=(
    -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters
    -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares --cfg=fuzzing
)
# With --target, the flags are not for build scripts.
RUSTFLAGS="${flags[*]}" cargo build --locked --profile fuzz -p vmt-fuzz --features $features \
    --target "$host" --target-dir target/fuzz

share=$((seconds / ${#targets[@]}))
failed=()
fuzz=$PWD/target/fuzz
for target in "${targets[@]}"; do
    program=$fuzz/$host/fuzz/$target seeds=$fuzz/seeds/$target corpus=$fuzz/corpus/$target found=$fuzz/found/$target
    log=$fuzz/$target.log
    mkdir -p "$corpus" "$found"
    SEEDS=$seeds "$program" >"$log" 2>&1 || { cat "$log" >&2; exit 1; }
    # An input that takes over 25 s is a finding, as are 2 GB of memory.
    limits=(-max_total_time=$((share > 0 ? share : 1)) -timeout=25 -rss_limit_mb=2048)
    # A graph may take as much as it says.
    [ "$target" != graph ] || limits+=(-fork=1 -ignore_ooms=1 -ignore_timeouts=1)
    # In an empty folder, so that names in inputs are of nothing.
    place=$(mktemp -d)
    (cd "$place" && "$program" "${limits[@]}" -print_final_stats=1 -dict="$seeds.dict" -artifact_prefix="$found/" \
        "$corpus" "$seeds" </dev/null >"$log" 2>&1) || { tail -n 40 "$log" >&2; failed+=("$target"); }
    [ -z "$(ls -A "$place")" ] || { echo "fuzz: $target wrote $(ls -A "$place")" >&2; failed+=("$target"); }
    rm -r "$place"
    if [ "$target" = graph ]; then
        printf '%-10s %s\n' "$target" "$(grep -E '^#[0-9]+: cov' "$log" | tail -n 1)"
        continue
    fi
    statistic() { sed -n "s/^stat::$1: *//p" "$log"; }
    printf '%-10s %10d runs, %4d MB\n' "$target" "$(statistic number_of_executed_units)" "$(statistic peak_rss_mb)"
done
[ ${#failed[@]} -eq 0 ] || { echo "fuzz: findings in ${failed[*]}: target/fuzz/found, target/fuzz/*.log" >&2; exit 1; }
