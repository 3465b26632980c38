#!/bin/bash
# Fetches Debian's current cloud kernel into the current folder and takes out what a guest needs: vmlinuz, the VFIO modules with whatever
# they depend on, and the version. Nothing is installed; works as an ordinary user; apt keeps its lists and cache in this folder.
#
#   vmlinuz, modules/NAME.ko (uncompressed), modules/load-order (one file name a line, dependencies first), version, release
set -eu

meta=linux-image-cloud-amd64
wanted="vfio_iommu_type1 vfio-pci"

. /etc/os-release
suite=$VERSION_CODENAME

# The machine's own sources for its own suite (and its security updates), without whatever else is configured there.
sources() {
  awk -v suite="$suite" -v RS= -F'\n' '
    { uris = suites = ""
      for (i = 1; i <= NF; i++) {
        if ($i ~ /^URIs:/) { uris = $i; sub(/^URIs: */, "", uris) }
        if ($i ~ /^Suites:/) { suites = $i; sub(/^Suites: */, "", suites) }
      }
      n = split(suites, s, " "); split(uris, u, " ")
      for (i = 1; i <= n; i++) if (s[i] ~ "^" suite "(-security|-updates)?$") print u[1], s[i]
    }' /etc/apt/sources.list.d/*.sources 2>/dev/null
  sed -n "s/^deb  *\(\[[^]]*\]  *\)\?\(http[^ ]*\)  *\($suite\(-security\|-updates\)\?\) .*/\2 \3/p" \
    /etc/apt/sources.list /etc/apt/sources.list.d/*.list 2>/dev/null
}
sources | sort -u | while read -r uri name; do
  echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $uri $name main"
done > src.list
[ -s src.list ] || { echo "no Debian mirror for $suite found in /etc/apt/sources.list*" >&2; exit 1; }

mkdir -p lists/partial cache/archives/partial
options="-o Dir::Etc::sourcelist=$PWD/src.list -o Dir::Etc::sourceparts=- -o Dir::State::lists=$PWD/lists -o Dir::Cache=$PWD/cache
         -o APT::Sandbox::User=$(id -un) -o Acquire::Languages=none -o APT::Architecture=amd64"
apt-get $options -qq update
package=$(apt-cache $options depends "$meta" | sed -n 's/^ *|\?Depends: *\(linux-image-.*-cloud-amd64\)$/\1/p' | head -1)
[ -n "$package" ] || { echo "$meta of $suite depends on no kernel package" >&2; exit 1; }
apt-get $options -qq download "$package"
deb=$(echo "$package"_*.deb)

mkdir -p unpacked modules
dpkg-deb --extract "$deb" unpacked
release=${package#linux-image-}
cp "unpacked/boot/vmlinuz-$release" vmlinuz
chmod 0644 vmlinuz

# The dependencies as each module names them itself (modinfo "depends"): modules.dep is made only when a package is installed.
declare -A taken=()
take() {
  local name=${1//-/_} file found dependency
  [ -z "${taken[$name]:-}" ] || return 0
  taken[$name]=1
  found=$(find unpacked -path "*/modules/$release/*" -regex ".*/${name//_/[-_]}\.ko\(\.xz\|\.zst\|\.gz\)?" | head -1)
  if [ -z "$found" ]; then
    if find unpacked -name modules.builtin -exec grep -Eq "/${name//_/[-_]}\.ko$" {} +; then return 0; fi
    echo "$package has no module $name" >&2
    exit 1
  fi
  file=$name.ko
  case $found in
    *.xz) xz -dc "$found" > "modules/$file" ;;
    *.zst) zstd -dcq "$found" > "modules/$file" ;;
    *.gz) gzip -dc "$found" > "modules/$file" ;;
    *) cp "$found" "modules/$file" ;;
  esac
  chmod 0644 "modules/$file"
  for dependency in $(tr '\0' '\n' < "modules/$file" | sed -n 's/^depends=//p' | tr ',' ' '); do take "$dependency"; done
  echo "$file" >> modules/load-order
}
for module in $wanted; do take "$module"; done

dpkg-deb --field "$deb" Version > version
echo "$release" > release
rm -rf lists cache src.list unpacked "$deb"
