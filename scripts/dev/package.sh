#!/bin/sh
# SPDX-License-Identifier: MIT
# Builds the packages of Debian and the archive for anywhere, looks at them, installs them, and runs what is in them. All of
# it is below build/package.
#   scripts/dev/package.sh            installs into a root of its own, with the libraries of this machine
#   scripts/dev/package.sh --chroot   installs into a fresh Debian (mmdebstrap; downloads), and runs debian/tests there
# DEB_BUILD_OPTIONS is handed on; by default the tests of the tree are not run once more.
set -eu
cd "$(dirname "$0")/../.."
chroot=
case ${1-} in
  "") ;;
  --chroot) chroot=mmdebstrap ;;
  *) echo "package: unknown argument '$1' (--chroot)" >&2; exit 2 ;;
esac
[ ! -x /usr/bin/apt-get ] || ./bootstrap packages package $chroot
top=$PWD place=$PWD/build/package
triplet=$(dpkg-architecture -qDEB_HOST_MULTIARCH)
server=
rm -rf "$place"
mkdir -p "$place/parhost"
trap 'status=$?; [ -z "$server" ] || kill $server; exit $status' EXIT

step() { echo "package: $*"; }

# logged NAME COMMAND...: what it prints is shown when it fails.
logged() {
  log=$place/$1.log
  shift
  "$@" >"$log" 2>&1 || { tail -n 40 "$log" >&2; echo "package: FAILED: $* (see $log)" >&2; exit 1; }
}

# has TEXT COMMAND...: the command succeeds, complains of nothing, and its output has the text in it.
has() {
  text=$1
  shift
  out=$("$@" 2>"$place/err") || { cat "$place/err" >&2; echo "package: FAILED: $*" >&2; exit 1; }
  [ ! -s "$place/err" ] || { cat "$place/err" >&2; echo "package: FAILED: complaints from: $*" >&2; exit 1; }
  case $out in *"$text"*) ;; *) echo "package: FAILED: no '$text' in what this printed: $*
$out" >&2; exit 1 ;; esac
}

build_packages() {
  git ls-files -z --cached --others --exclude-standard | tar -c --null -T - | tar -x -C "$place/parhost"
  cd "$place/parhost"
  logged build env DEB_BUILD_OPTIONS="${DEB_BUILD_OPTIONS-nocheck parallel=$(nproc)}" dpkg-buildpackage -us -uc
  cd "$top"
  step "built: $(cd "$place" && ls ./*.deb | grep -vc dbgsym) packages"
  logged lintian lintian --allow-root --pedantic --info --fail-on error,warning,pedantic "$place"/parhost_*.changes
  step "lintian has nothing to say"
}

# Files that a server of ours hands out: a port that is free, in $port.
serve() {
  mkdir -p "$place/served"
  echo hello >"$place/served/hello"
  mkfifo "$place/port"
  python3 -u -c '
import http.server, sys
class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args): pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), lambda *a: Quiet(*a, directory=sys.argv[1]))
open(sys.argv[2], "w").write("%d\n" % server.server_address[1])
server.serve_forever()' "$place/served" "$place/port" &
  server=$!
  read -r port <"$place/port"
}

# examples PROGRAM FOLDER: the three examples, and what mixes them.
examples() {
  has "333.33" "$1" "$2/cpu.lua" 100000 3
  has "Status: 200, Length: 6" "$1" "$2/io.lua" "http://127.0.0.1:$port/hello"
  has "Result of t3: Result from C" "$1" "$2/async.lua"
  has "0123" "$1" -e 'local async = require "async"
    for i, v in async.map(function(n) return n end, { 0, 1, 2, 3 }) do io.write(v) end print()'
}

# A root that has what the packages bring, and nothing else: programs in it are run from outside.
in_scratch_root() {
  root=$place/root
  mkdir -p "$root/var/lib/dpkg/info" "$root/var/lib/dpkg/updates"
  : >"$root/var/lib/dpkg/status"
  set --
  for package in "$place"/*.deb; do
    case $package in *-dbgsym_*) ;; *) set -- "$@" "$package" ;; esac
  done
  logged simulate apt-get install -s -o Debug::NoLocking=1 "$@" # what they need is to be had
  logged install dpkg --root="$root" --force-not-root --force-depends --force-script-chrootless --log=/dev/null -i "$@"
  examples "$root/usr/bin/parhost" "$root/usr/share/doc/parhost/examples"
  has "workspace.library" "$root/usr/bin/parhost" setup --print
  has "$root/usr/share/parhost/meta" "$root/usr/bin/parhost" setup --print
  has "7 in lua5.4" env LUA_PATH="$root/usr/share/lua/5.4/?.lua" LUA_CPATH="$root/usr/lib/$triplet/lua/5.4/?.so" lua5.4 -e '
    local pool <close> = require "proc_pool".new(1)
    print(pool:submit(math.max, 3, 7):result() .. " in lua5.4")'
  uses_library "$root/usr/lib/$triplet"
  step "installed, and runs: program, library, modules of lua5.4"
}

# uses_library FOLDER: a C program with the library in it, built by what pkg-config says.
uses_library() {
  flags=$(PKG_CONFIG_PATH="$1/pkgconfig" pkg-config --cflags --libs parhost)
  # shellcheck disable=SC2086
  eval "cc -o '$place/minimal' tests/embed/minimal.c $flags"
  has "36" env LD_LIBRARY_PATH="$1" "$place/minimal" tests/embed/minimal.lua 6
}

in_chroot() {
  root=$place/debian
  logged mmdebstrap mmdebstrap --variant=apt --include=ca-certificates "$(. /etc/os-release && echo "$VERSION_CODENAME")" "$root"
  cp "$place"/*.deb "$root/tmp"
  cp -r "$place/parhost" "$root/tmp/source"
  logged chroot-install chroot "$root" sh -c 'cd /tmp && apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -y -q \
    ./parhost_*.deb ./lib*parhost*_*.deb ./lua-parhost_*.deb python3 lua5.4 gcc libc6-dev pkg-config'
  mount -t proc proc "$root/proc"
  for test in programs stock-lua library; do
    status=0
    chroot "$root" sh -c "cd /tmp/source && AUTOPKGTEST_TMP=/tmp debian/tests/$test" >"$place/$test.log" 2>&1 || status=$?
    [ $status = 0 ] || break
  done
  umount "$root/proc"
  [ $status = 0 ] || { cat "$place/$test.log" >&2; echo "package: FAILED: debian/tests/$test" >&2; exit 1; }
  step "installed into a fresh Debian, and runs: debian/tests"
}

# The archive runs from any folder, also one with a blank in its name.
in_any_folder() {
  [ -f build/release/CPackConfig.cmake ] || ./bootstrap >/dev/null
  logged cpack cpack --config build/release/CPackConfig.cmake -B "$place/archive"
  mkdir "$place/any where"
  tar -xzf "$place"/archive/*.tar.gz -C "$place/any where" --strip-components=1
  examples "$place/any where/bin/parhost" "$place/any where/share/doc/parhost/examples"
  mv "$place/any where" "$place/elsewhere"
  has "$place/elsewhere/share/parhost/meta" "$place/elsewhere/bin/parhost" setup --print
  uses_library "$place/elsewhere/lib"
  step "the archive runs from any folder: $(basename "$place"/archive/*.tar.gz)"
}

build_packages
serve
if [ -n "$chroot" ]; then in_chroot; else in_scratch_root; fi
in_any_folder
