#!/bin/sh
# SPDX-License-Identifier: MIT
# Everything that can be said of the sources without running tests. Each check says what to do about what it finds.
#   scripts/dev/check.sh [format|tidy|lua|page|layers|surface|changelog|instructions|packages ...]     all but the last by default
set -u
cd "$(dirname "$0")/../.."
[ $# -gt 0 ] || set -- format tidy lua page layers surface changelog instructions
[ -x /usr/bin/apt-get ] && { ./bootstrap packages check || exit 1; }
host=./parhost
[ -x $host ] || ./bootstrap >/dev/null || exit 1
status=0

report() { # NAME EXIT-CODE HINT
  if [ "$2" = 0 ]; then echo "check: $1: ok"; else echo "check: $1: FAILED: $3" >&2; status=1; fi
}

c_files() { git ls-files --cached --others --exclude-standard 'src/*.[ch]' 'tests/*.[ch]' 'scripts/*.[ch]'; }
lua_files() { git ls-files --cached --others --exclude-standard '*.lua' | grep -v '^lua/meta/'; }

for check; do
  case $check in
    format)
      c_files | xargs clang-format --dry-run -Werror >build/format.log 2>&1
      report format $? "run 'git ls-files \"*.[ch]\" | xargs clang-format -i' ($(grep -c 'error:' build/format.log) places, see build/format.log)" ;;
    tidy)
      cmake --preset dev >/dev/null && cmake --build --preset dev --target parhost_core >/dev/null
      git ls-files 'src/*.c' | xargs -P 2 -n 4 clang-tidy --quiet -p build/dev >build/tidy.log 2>/dev/null
      ! grep -E 'warning:|error:' build/tidy.log
      report tidy $? "see build/tidy.log; a rule that is wrong here is turned off in .clang-tidy, with the reason" ;;
    lua)
      lua_files | xargs luacheck -q --no-color >build/luacheck.log || { cat build/luacheck.log; false; }
      report luacheck $? "see above; .luacheckrc has the rules" ;;
    page) $host scripts/dev/page.lua; report page $? "see above; CONTRIBUTING.md, 'The page', has the rules" ;;
    layers) $host scripts/dev/layers.lua; report layers $? "ARCHITECTURE.md says who may know whom" ;;
    surface) $host scripts/dev/surface.lua; report surface $? "every public function has a stub in lua/meta, a line in docs/ and a spec" ;;
    instructions) $host tests/bench/instructions.lua; report instructions $? "docs/performance.md, Guarded" ;;
    packages) scripts/dev/package.sh; report packages $? "the last line above names the log" ;;
    changelog)
      grep -q '^## Unreleased' CHANGELOG.md
      report changelog $? "CHANGELOG.md needs a section '## Unreleased'" ;;
    *) echo "check: unknown check '$check'" >&2; status=1 ;;
  esac
done
exit $status
