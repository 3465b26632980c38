#!/bin/bash
# What an image must be: the same bytes from the same input, everything root's, / open to every user, programs that find their libraries.
set -euo pipefail

make=$PWD/tools/guest/make-initramfs.sh
cd "$TEST_TMPDIR"
printf 'addressing = "dhcp"\n' > config
printf 'link /init /bin/first\nprogram first /bin/true\nprogram second /bin/ls\nfile /etc/nexus/x/config.toml config\n' > manifest

fail() { echo "FAIL: $*" >&2; exit 1; }
"$make" one.cpio < manifest
touch -d 2001-01-01 config; chmod 0600 config
umask 077
"$make" two.cpio < manifest
cmp one.cpio two.cpio || fail "times and modes of the input changed the image"

cpio -itv --quiet --numeric-uid-gid < one.cpio > listing
awk '$3 != 0 || $4 != 0 { print; bad = 1 } END { exit bad }' listing || fail "not root's"
grep -Eq '^drwxr-xr-x .* \.$' listing || fail "/ is not 0755"
grep -Eq '^-rwxr-xr-x .* bin/first$' listing || fail "no program"
grep -Eq '^-rw-r--r-- .* etc/nexus/x/config.toml$' listing || fail "the file's mode is the input's"
grep -Eq '^lrwxrwxrwx .* init -> /bin/first$' listing || fail "no /init"
for d in proc sys dev run; do grep -Eq "^drwxr-xr-x .* $d$" listing || fail "no place to mount /$d"; done

mkdir root && (cd root && cpio -id --quiet < ../one.cpio)
for library in $(ldd /bin/ls | sed -n 's/^.*=> \(\/[^ ]*\) (.*/\1/p; s/^[[:space:]]*\(\/[^ ]*\) (.*/\1/p'); do
  [ -s "root$library" ] || fail "no $library"
done

if printf 'nonsense a b\n' | "$make" three.cpio 2> message; then fail "an unknown line was taken"; fi
grep -q 'unknown line: nonsense a b' message || fail "an unknown line is not named"
