@0xd1a5b06c4f3e9287;
# Files of the bundle store, read-only. Served by packagefsd over the folder that bundlemgrd lists; held by a node's own services and by
# dsoftbusd, which lets other nodes read through it.

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("nexus::idl");

interface Packagefs {
  # One session: its open handles belong to it alone and end with it.

  stat @0 (path :Text) -> (status :Status, size :UInt64, kind :UInt16);
  # path: "pkg:/NAME/VERSION/file" or "/packages/NAME/VERSION/file", at most 192 bytes. kind: 0 a file, 1 a folder.

  readFile @1 (path :Text) -> (status :Status, data :Data);
  # The whole file, at most 16384 bytes; a larger one is oversized. Uses no handle.

  osLite @2 (frame :Data) -> (reply :Data);
  # One PK v1 frame and its reply (libs/oslite-frames). At most 512 bytes; a longer one is FAILED. At most 8 files are open in a session.

  newSession @3 () -> (session :Packagefs);
  # A session of its own, for a client that speaks for several others. At most 64 of one connection at a time; more are OVERLOADED.
  # Dropping it closes its handles.

  enum Status {
    # As PK numbers them.
    ok @0;
    badRequest @1;
    unauthenticated @2;
    pathTraversal @3;
    nonPackagefsScheme @4;
    notFound @5;
    badHandle @6;
    oversized @7;
    limit @8;
    io @9;
  }
}
