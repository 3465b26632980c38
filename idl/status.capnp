@0xeb7c24a3a810486a;
# What every daemon tells about itself. Served by each of them beside its own interface.

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("nexus::idl");

interface Status {
  snapshot @0 () -> (status :DaemonStatus);
}

struct DaemonStatus {
  daemon @0 :Text;
  health @1 :Health;
  detail @2 :Text;
  # One sentence for people: what it is doing, or why it is not well.
  uptimeMs @3 :UInt64;
  counters @4 :List(Counter);

  enum Health {
    starting @0;
    up @1;
    degraded @2;
    failed @3;
  }

  struct Counter {
    name @0 :Text;
    # "link.rxFrames": component, dot, what is counted. Counters only grow; gauges end in "Now".
    value @1 :UInt64;
  }
}
