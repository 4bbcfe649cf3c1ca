#!/bin/sh
# SPDX-License-Identifier: MIT
# Runs fuzzers one by one, from the corpus in the tree. What they find on the way stays in build/fuzz/tests/corpus, and is
# where the next run goes on.
#   scripts/dev/fuzz.sh [seconds [target...]]     600 seconds for each; all targets
set -eu
cd "$(dirname "$0")/../.."
seconds=${1:-600}
[ $# -eq 0 ] || shift
[ $# -gt 0 ] || set -- $(for source in tests/fuzz/*_fuzz.c; do basename "$source" _fuzz.c; done)

bad=0
for target; do
  [ -f "tests/fuzz/${target}_fuzz.c" ] || { echo "fuzz.sh: no fuzzer '$target' in tests/fuzz" >&2; exit 1; }
  found=build/fuzz/tests/corpus/$target
  mkdir -p "$found"
  echo "$target: $seconds s"
  build/fuzz/tests/"${target}_fuzz" -max_total_time="$seconds" -timeout=10 -max_len=4096 -malloc_limit_mb=3000 \
    -print_final_stats=1 -artifact_prefix="$found-" "$found" "tests/fuzz/corpus/$target" >"$found.log" 2>&1 ||
    { bad=1; echo "FAILED, see $found.log:"; grep -v '^#' "$found.log" | tail -n 40; }
  sed -n 's/^stat::number_of_executed_units: */  executions: /p' "$found.log"
done
exit $bad
