#!/bin/sh
# SPDX-License-Identifier: MIT
# Runs fuzzers, as many at once as there are processors, from the corpus in the tree. What they find on the way stays in
# build/fuzz/tests/corpus, and is where the next run goes on.
#   scripts/dev/fuzz.sh [seconds [target...]]     600 seconds for each; all targets
set -eu
cd "$(dirname "$0")/../.."
seconds=${1:-600}
[ $# -eq 0 ] || shift
[ $# -gt 0 ] || set -- $(for source in tests/fuzz/*_fuzz.c; do basename "$source" _fuzz.c; done)
corpus=build/fuzz/tests/corpus

for target; do
  [ -f "tests/fuzz/${target}_fuzz.c" ] || { echo "fuzz.sh: no fuzzer '$target' in tests/fuzz" >&2; exit 1; }
  mkdir -p "$corpus/$target"
  rm -f "$corpus/$target.failed"
done

run() {
  found=$corpus/$1
  build/fuzz/tests/"${1}_fuzz" -max_total_time="$seconds" -timeout=10 -max_len=4096 -malloc_limit_mb=3000 \
    -print_final_stats=1 -artifact_prefix="$found-" "$found" "tests/fuzz/corpus/$1" >"$found.log" 2>&1 || : >"$found.failed"
}

n=0
for target; do
  echo "$target: $seconds s"
  run "$target" &
  n=$((n + 1))
  [ $((n % $(nproc))) -ne 0 ] || wait
done
wait

bad=0
for target; do
  echo "$target: $(sed -n 's/^stat::number_of_executed_units: *//p' "$corpus/$target.log") executions"
  [ -f "$corpus/$target.failed" ] || continue
  bad=1
  echo "FAILED, see $corpus/$target.log:"
  grep -v '^#' "$corpus/$target.log" | tail -n 40
done
exit $bad
