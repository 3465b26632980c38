#!/bin/bash
# Packs a guest's root file system: make-initramfs.sh OUT < MANIFEST. Everything belongs to root, every time is 0, and the order is that of
# the names, so that the same input gives the same bytes. Lines of the manifest:
#
#   program NAME FILE     /bin/NAME, stripped, with the shared libraries it names at the paths where the loader looks for them
#   file PATH FILE        0644
#   link PATH TARGET
set -euo pipefail
umask 022

out=$PWD/$1
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
chmod 0755 "$root"  # becomes /: with mktemp's 0700 no service could open anything

libraries() { ldd "$1" | sed -n 's/^.*=> \(\/[^ ]*\) (.*/\1/p; s/^[[:space:]]*\(\/[^ ]*\) (.*/\1/p'; }

while read -r kind name what; do
  case $kind in
    program)
      mkdir -p "$root/bin"
      strip -o "$root/bin/$name" "$what"
      chmod 0755 "$root/bin/$name"
      for library in $(libraries "$what"); do
        [ -e "$root$library" ] && continue
        mkdir -p "$root$(dirname "$library")"
        cp -L "$library" "$root$library"
        chmod 0755 "$root$library"
      done ;;
    file)
      mkdir -p "$root$(dirname "$name")"
      cp -L "$what" "$root$name"
      chmod 0644 "$root$name" ;;
    link) mkdir -p "$root$(dirname "$name")" && ln -s "$what" "$root$name" ;;
    *) echo "make-initramfs: unknown line: $kind $name $what" >&2; exit 2 ;;
  esac
done
mkdir -p "$root"/{proc,sys,dev,run}
find "$root" -exec touch -h -d @0 {} +

cd "$root"
find . -print0 | LC_ALL=C sort -z | cpio -0 -o -H newc --reproducible -R 0:0 --quiet > "$out"
