@0xb7e2490d6f51c38a;
# Small values by key, kept on this node's disk. Served by statefsd; held by this node's own services, and by dsoftbusd, which lets other
# nodes at the keys below /state/shared/ alone.

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("nexus::idl");

interface Statefs {
  # A key is "/state/" and at least one byte more, at most 255 bytes of UTF-8, without NUL, backslash, or an empty, "." or ".." segment.

  put @0 (key :Text, value :Data) -> (status :Status);
  # At most 65536 bytes. On ok the value has reached the disk. Whatever the status: the old value or the new one is
  # there, whole; after ioError it may be either.

  get @1 (key :Text) -> (status :Status, value :Data);

  delete @2 (key :Text) -> (status :Status);

  list @3 (prefix :Text, limit :UInt16) -> (status :Status, keys :List(Text));
  # The first keys that begin with prefix, in the order of their bytes. limit: 0 is 1, more than 256 is 256.

  sync @4 () -> (status :Status);
  # Everything is on disk when a put or delete answers; this asks the disk once more.

  osLite @5 (frame :Data, maxReplyBytes :UInt32 = 65553) -> (reply :Data);
  # One SF v1 or v2 frame and its reply (libs/oslite-frames). At most 65809 bytes; a longer one is FAILED. A LIST reply leaves out keys
  # beyond maxReplyBytes (at least 15), no other reply is cut.

  enum Status {
    # As SF numbers them.
    ok @0;
    notFound @1;
    accessDenied @2;
    valueTooLarge @3;
    keyTooLong @4;
    invalidKey @5;
    malformed @6;
    ioError @7;
    unsupported @8;
    integrityViolation @9;
    rollbackDetected @10;
  }
}
