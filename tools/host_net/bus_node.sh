#!/usr/bin/env bash
# A whole bus node on this machine's own network: host_net, samgrd, bundlemgrd, dsoftbusd, wired by sockets in one folder.
# For development and for trying other implementations; Ctrl-C ends all of them.
set -euo pipefail

if (($# < 2 || $# > 3)) || [[ $1 == -* ]]; then
  cat >&2 << 'USAGE'
usage: bus_node CONFIG FOLDER [ADDRESS]
  CONFIG   TOML with [dsoftbusd], and [samgrd], [bundlemgrd] where their defaults do not do
  FOLDER   where the sockets are made: nexusctl --run FOLDER bus peers
  ADDRESS  the one address of this machine that the node has (127.0.0.1; a second node may have 127.0.0.2)
USAGE
  exit 2
fi
here=${BUILD_WORKING_DIRECTORY:-$PWD}
absolute() { if [[ $1 == /* ]]; then echo "$1"; else echo "$here/$1"; fi; }
config=$(absolute "$1") folder=$(absolute "$2") address=${3:-127.0.0.1}
[[ -r $config ]] || { echo "bus_node: $config is missing or cannot be read" >&2 && exit 8; }
mkdir -p -m 0700 "$folder"
printf '[host_net]\naddress = "%s"\n' "$address" > "$folder/host_net.toml"

trap 'kill $(jobs -p) 2> /dev/null || :; wait' EXIT
tools/host_net/host_net --config "$folder/host_net.toml" --export "net=unix:$folder/net.sock" &
daemons/samgrd/samgrd --config "$config" --export "samgr-dsoftbusd=unix:$folder/samgr.sock" \
  --export "status-samgrd=unix:$folder/status-samgrd.sock" &
daemons/bundlemgrd/bundlemgrd --config "$config" --export "bundlemgr-dsoftbusd=unix:$folder/bundlemgr.sock" \
  --export "status-bundlemgrd=unix:$folder/status-bundlemgrd.sock" &
daemons/dsoftbusd/dsoftbusd --config "$config" --import "net=unix:$folder/net.sock" --import "samgr=unix:$folder/samgr.sock" \
  --import "bundlemgr=unix:$folder/bundlemgr.sock" --export "bus=unix:$folder/bus.sock" \
  --export "status-dsoftbusd=unix:$folder/status-dsoftbusd.sock" &
wait -n
echo "bus_node: a daemon has ended, so the node ends" >&2
exit 1
