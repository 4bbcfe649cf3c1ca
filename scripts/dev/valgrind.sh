#!/bin/sh
# SPDX-License-Identifier: MIT
# Runs each program in scripts/ under valgrind (memcheck), with all of its processes and threads: any error, and any
# definite leak, is a failure. Requests go to a server of our own.
#   scripts/dev/valgrind.sh [host]     the host: build/dev/parhost
set -eu
cd "$(dirname "$0")/../.."
host=${1:-build/dev/parhost}
command -v valgrind >/dev/null || { echo "valgrind.sh: valgrind is not installed (./bootstrap packages valgrind)" >&2; exit 1; }

logs=$(mktemp -d)
python3 -u -m http.server --bind 127.0.0.1 0 --directory docs >"$logs/server" 2>&1 &
server=$!
trap 'kill $server; rm -rf "$logs"' EXIT
while ! port=$(sed -n 's/.* port \([0-9]*\) .*/\1/p' "$logs/server") || [ -z "$port" ]; do sleep 0.1; done
url=http://127.0.0.1:$port

bad=0
check() { # SCRIPT [args]
  name=$(basename "$1" .lua)
  status=0
  timeout 300 valgrind -q --fair-sched=yes --leak-check=full --show-leak-kinds=definite --errors-for-leak-kinds=definite \
    --error-exitcode=99 --suppressions=tests/valgrind.supp --log-file="$logs/$name.%p" "$host" "$@" >"$logs/$name.out" 2>&1 ||
    status=$?
  # The log of a process in which nothing is wrong is empty, but for what valgrind says of itself ("--"). Forked children
  # are followed, and write logs of their own.
  cat "$logs/$name".[0-9]* | grep -v '^--' >"$logs/found" || true
  if [ $status -le 1 ] && [ ! -s "$logs/found" ]; then # 1: here, where all is slow, programs may reach their time limits
    echo "ok      $name ($(ls "$logs/$name".[0-9]* | wc -l) processes)"
  else
    echo "FAILED  $name (exit code $status)"
    head -n 100 "$logs/found" "$logs/$name.out"
    bad=1
  fi
}

check scripts/cpu.lua 10000 2
check scripts/io.lua "$url/http.md" "$url/async.md" "$url/none"
check scripts/io_processes.lua "$url/http.md" "$url/async.md"
check scripts/async.lua
check scripts/mixed.lua "$url/http.md"
exit $bad
