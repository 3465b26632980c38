// The example service as a process: notesd --export notes=unix:PATH.
#include "daemons/dsoftbusd/schema-rpc/example/notes-service.h"
#include "libs/nexus-net-os/daemon/daemon-main.h"

namespace {

kj::Promise<void> serve(nexus::DaemonContext& daemon, nexus::idl::NotesConfig::Reader config) {
  nexus::idl::Notes::Client notes = kj::heap<nexus::NotesService>();
  if (config.getGreeting().size() > 0) {
    auto request = notes.putRequest();
    request.setName("greeting");
    request.setText(config.getGreeting());
    co_await request.send();
  }
  KJ_REQUIRE(daemon.serve("notes", [&](const nexus::PeerCredentials&) -> capnp::Capability::Client { return notes; }),
             "nobody could ask: give --export notes=unix:PATH");
  co_await kj::Promise<void>(kj::NEVER_DONE);
}

}  // namespace

int main(int argc, char* argv[]) {
  return nexus::daemonMain<nexus::idl::NotesConfig>(argc, argv, {"notesd", "Keeps short notes by name."}, serve);
}
