#!/usr/bin/env bash
# bazelw against a machine of stubs: silent and exact when nothing is missing; installs as root; as another user prints the one command.
set -euo pipefail

work=$(mktemp -d "${TEST_TMPDIR:-/tmp}/door.XXXXXX")
mkdir -p "$work/checkout/tools" "$work/bin"
cp bazelw "$work/checkout/bazelw"
cp tools/packages.txt "$work/checkout/tools/packages.txt"
chmod -R a+rX "$work"
cd "$work/checkout"

fail() { echo "FAILED: $*" >&2 && exit 1; }
stub() { # name, body
  printf '#!/bin/bash\n%s\n' "$2" > "$work/bin/$1"
  chmod 755 "$work/bin/$1"
}
# dpkg-query says that everything is installed but what $ABSENT names.
stub dpkg-query 'sed -n "s/^\([a-z0-9][a-z0-9.+-]*\).*/\1/p" tools/packages.txt | while read -r p; do [ "$p" = "${ABSENT:-}" ] || echo "installed $p"; done'
stub bazel 'echo "bazel <$*>"'
stub apt-get 'echo "apt-get $*" >> "$APT_LOG"; exit ${APT_STATUS:-0}'
export APT_LOG=$work/apt.log
: > "$APT_LOG" && chmod 666 "$APT_LOG"
path=$work/bin:/usr/bin:/bin

grep -qE '^[a-z0-9.+-]+ +# .' tools/packages.txt || fail "packages.txt names no package with a reason"
if grep -vE '^(#.*|[a-z0-9.+-]+ +# .+)$' tools/packages.txt; then fail "these lines of packages.txt have no reason"; fi

output=$(PATH=$path ./bazelw test --config=asan '//a b:all' 2>&1)
[[ $output == 'bazel <test --config=asan //a b:all>' ]] || fail "with nothing missing it printed: $output"

as_user() { # runs the door without root: as ourselves, or stepped down
  if ((EUID != 0)); then "$@"; else setpriv --reuid=65534 --regid=65534 --clear-groups "$@"; fi
}
if ((EUID != 0)) || setpriv --reuid=65534 --regid=65534 --clear-groups true 2> /dev/null; then
  status=0
  output=$(ABSENT=clang-19 PATH=$path as_user ./bazelw build 2>&1) || status=$?
  ((status == 69)) || fail "not root, package missing: status $status, expected 69"
  [[ $(grep -c 'apt-get install' <<< "$output") == 1 ]] || fail "not root: expected exactly one command, got: $output"
  [[ $output == *"apt-get install -y --no-install-recommends clang-19'"* ]] || fail "not root: expected clang-19 alone, got: $output"
  [[ $output != *'bazel <'* ]] || fail "not root: Bazel ran without its packages"
fi

if ((EUID == 0)); then
  output=$(ABSENT=lld-19 PATH=$path ./bazelw info 2>&1)
  [[ $output == *"installing 1 missing"*lld-19*'bazel <info>' ]] || fail "root: $output"
  grep -qx 'apt-get install -y --no-install-recommends lld-19' "$APT_LOG" || fail "root: apt was not asked: $(cat "$APT_LOG")"
  status=0
  output=$(APT_STATUS=100 ABSENT=lld-19 PATH=$path ./bazelw info 2>&1) || status=$?
  ((status == 69)) || fail "root, apt fails: status $status, expected 69"
  [[ $output == *"Try by hand"* && $output != *'bazel <'* ]] || fail "root, apt fails: $output"
fi

rm "$work/bin/dpkg-query"
ln -s "$(command -v dirname)" "$work/bin/dirname"
status=0
output=$(PATH=$work/bin /bin/bash ./bazelw info 2>&1) || status=$?
((status == 69)) && [[ $output == *"needs Debian 12"* ]] || fail "a machine without dpkg: status $status, $output"
echo "the door works"
