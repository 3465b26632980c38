@0xe6f7a4d5b1c2934f;
# The example of a service that other nodes may call: short notes by name. Served by notesd. See docs/distributed/schema-rpc.md.

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("nexus::idl");
$Cxx.allowCancellation;

interface Notes {
  put @0 (name :Text, text :Text) -> (outcome :Outcome);
  # name: 1 to 64 bytes; text: at most 4096. Putting again replaces. At most 1000 notes.

  get @1 (name :Text) -> (outcome :Outcome, text :Text);

  list @2 () -> (names :List(Text));
  # In alphabetical order.

  subscribe @3 (listener :Listener) -> ();
  # Tells a local program about every note that is put, until it drops its listener. A listener is a capability, so this method cannot be
  # offered to other nodes; the others can.

  enum Outcome {
    ok @0;
    notFound @1;
    badName @2;
    tooLong @3;
    tooMany @4;
  }

  interface Listener {
    onPut @0 (name :Text, text :Text) -> ();
  }
}

struct NotesConfig {
  # The configuration table [notesd].
  greeting @0 :Text;
  # The text of a first note, "greeting"; empty for none.
}
