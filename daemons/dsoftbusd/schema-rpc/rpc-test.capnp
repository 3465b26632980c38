@0xd6b6aa4c1c1e8f3b;
# For tests: a service with every kind of method that may be offered to other nodes, and every kind that may not.

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("nexus::idl");
$Cxx.allowCancellation;

struct Box(T) {
  value @0 :T;
}

struct Tree {
  value @0 :Int32;
  children @1 :List(Tree);
  names @2 :Box(Text);
}

interface Named {
  name @0 () -> (name :Text);
}

interface Gauge extends(Named) {
  echo @0 (data :Data) -> (data :Data);
  grow @1 (bytes :UInt32) -> (data :Data);
  # Answers with that many bytes.
  hang @2 () -> ();
  # Never answers.
  fail @3 () -> ();
  add @4 (amount :Int32) -> stream;
  sum @5 (tree :Tree) -> (sum :Int32);
  take @6 (gauge :Gauge) -> ();
  give @7 () -> (gauge :Gauge);
  takeAny @8 (any :AnyPointer) -> ();
  takeBox @9 (box :Box(Gauge)) -> ();
  takeDeep @10 (list :List(List(Box(Gauge)))) -> ();
  sneak @11 () -> (data :Data);
  # Said to answer with data; the server puts a capability where no field is.
}
