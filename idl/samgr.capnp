@0xc73ea4bdddbe1479;
# The service registry of one node. Served by samgrd; each client holds a Samgr of its own, and the identity under which it registers is
# that of the socket it was given, never something it says (an export named samgr-NAME serves the client NAME).

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("nexus::idl");

interface Samgr {
  register @0 (name :Text, sendSlot :UInt32, recvSlot :UInt32) -> (status :Status);
  # name: 1 to 48 bytes. Registering again replaces. At most 256 names in all, 64 a client; one more is OVERLOADED.

  lookup @1 (name :Text) -> (status :Status, sendSlot :UInt32, recvSlot :UInt32);
  # Finds only what this same client registered.

  resolveStatus @2 (name :Text) -> (status :Status);
  # Whether anybody registered the name: presence, never slots. The one operation that policy may offer to a remote node.

  osLite @3 (frame :Data) -> (reply :Data);
  # One SM v1 frame and its reply (libs/oslite-frames). At most 512 bytes; a longer frame is FAILED.

  enum Status {
    ok @0;
    notFound @1;
    malformed @2;
    unsupported @3;
  }
}
