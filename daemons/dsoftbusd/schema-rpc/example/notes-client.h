#pragma once
// What a program does to call a service of another node: ask the bus for the session with that node, ask the session
// for the service, cast it to its interface, call it. A value; owned by that program.
#include "daemons/dsoftbusd/schema-rpc/example/notes.capnp.h"
#include "idl/dsoftbus.capnp.h"

namespace nexus {

// The notes of the node `peer`. FAILED with a sentence when there are none for us.
kj::Promise<idl::Notes::Client> notesOf(idl::DSoftBus::Client bus, kj::String peer);

// "put NAME TEXT", "get NAME" and "list" as a sentence for people.
kj::Promise<kj::String> runNotesCommand(idl::Notes::Client notes, kj::Array<kj::String> words);

}  // namespace nexus
