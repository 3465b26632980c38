@0x81b43c21a9c4609f;
# The bundles installed on one node. Served by bundlemgrd over a store on disk; every answer is read from the store.

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("nexus::idl");

interface Bundlemgr {
  list @0 () -> (bundles :List(Bundle));
  # At most 1024.

  fetchImage @1 () -> (image :Data);
  # The NXBI v1 image of all bundles (libs/oslite-frames). At most 16 MiB; a larger store is FAILED.

  osLite @2 (frame :Data) -> (reply :Data);
  # One BN v1 frame and its reply. Requests at most 512 bytes; a longer one is FAILED. A FETCH_IMAGE reply may be longer.

  query @3 (name :Text) -> (installed :UInt32, version :Text);
  # How many versions of that bundle are installed, and the last of them in the order of their bytes; empty when there is none.

  struct Bundle {
    name @0 :Text;
    version @1 :Text;
    files @2 :UInt32;
    bytes @3 :UInt64;
  }
}
