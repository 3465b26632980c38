#!/usr/bin/env bash
# A whole bus node on this machine's own network: host_net, samgrd, bundlemgrd, packagefsd, statefsd, dsoftbusd, wired by sockets in one folder.
# For development and for trying other implementations; Ctrl-C ends all of them.
set -euo pipefail

if (($# < 2)) || [[ $1 == -* ]]; then
  cat >&2 << 'USAGE'
usage: bus_node CONFIG FOLDER [ADDRESS] [OPTION of dsoftbusd]...
  CONFIG   TOML with [dsoftbusd], and with [samgrd], [bundlemgrd], [packagefsd], [statefsd] where their defaults do not do
  FOLDER   is made: sockets (nexusctl --run FOLDER bus peers), and bundles and state of the daemons that CONFIG has no part for
  ADDRESS  the one address of this machine that the node has (127.0.0.1; a second node may have 127.0.0.2)
  OPTION   for instance --import notes=unix:/tmp/notes.sock
USAGE
  exit 2
fi
here=${BUILD_WORKING_DIRECTORY:-$PWD}
absolute() { if [[ $1 == /* ]]; then echo "$1"; else echo "$here/$1"; fi; }
config=$(absolute "$1") folder=$(absolute "$2") address=127.0.0.1
shift 2
if (($# > 0)) && [[ $1 != -* ]]; then address=$1 && shift; fi
[[ -r $config ]] || { echo "bus_node: $config is missing or cannot be read" >&2 && exit 8; }
mkdir -p -m 0700 "$folder"
mkdir -p "$folder/bundles" "$folder/state"
chmod 0700 "$folder/state"
cat > "$folder/node.toml" << TOML
[host_net]
address = "$address"
[bundlemgrd]
store = "$folder/bundles"
[packagefsd]
store = "$folder/bundles"
[statefsd]
folder = "$folder/state"
TOML
# The user's file where it speaks of a daemon, else the folders here.
config_of() { if grep -q "^\[$1\]" "$config"; then echo "$config"; else echo "$folder/node.toml"; fi; }

# One daemon with one service for dsoftbusd.
serve() { # daemon, service
  "daemons/$1/$1" --config "$(config_of "$1")" --export "$2-dsoftbusd=unix:$folder/$2.sock" --export "status-$1=unix:$folder/status-$1.sock" &
}

trap 'kill $(jobs -p) 2> /dev/null || :; wait' EXIT
tools/host_net/host_net --config "$folder/node.toml" --export "net=unix:$folder/net.sock" &
serve samgrd samgr
serve bundlemgrd bundlemgr
serve packagefsd packagefs
serve statefsd statefs
daemons/dsoftbusd/dsoftbusd --config "$config" --import "net=unix:$folder/net.sock" --import "samgr=unix:$folder/samgr.sock" \
  --import "bundlemgr=unix:$folder/bundlemgr.sock" --import "packagefs=unix:$folder/packagefs.sock" \
  --import "statefs=unix:$folder/statefs.sock" --export "bus=unix:$folder/bus.sock" --export "bus-admin=unix:$folder/bus-admin.sock" \
  --export "bus-trust=unix:$folder/bus-trust.sock" --export "status-dsoftbusd=unix:$folder/status-dsoftbusd.sock" "$@" &
status=0
wait -n || status=$?
echo "bus_node: a daemon has ended with status $status, so the node ends" >&2
exit $((status == 0 ? 1 : status))
