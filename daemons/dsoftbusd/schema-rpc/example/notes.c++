// notes BUS-SOCKET PEER put NAME TEXT | get NAME | list: the notes of another node.
#include <kj/async-io.h>
#include <stdio.h>

#include "daemons/dsoftbusd/schema-rpc/example/notes-client.h"
#include "libs/nexus-net-os/rpc/cap-reconnect.h"

int main(int argc, char* argv[]) {
  if (argc < 4) {
    fprintf(stderr, "notes BUS-SOCKET PEER put NAME TEXT | get NAME | list\n");
    return 2;
  }
  auto io = kj::setupAsyncIo();
  nexus::CapReconnect bus(nexus::unixConnector(io.provider->getNetwork(), argv[1]));
  kj::Vector<kj::String> words;
  for (int i = 3; i < argc; i++) words.add(kj::str(argv[i]));
  auto failure = kj::runCatchingExceptions([&] {
    auto notes = nexus::notesOf(bus.get<nexus::idl::DSoftBus>(), kj::str(argv[2])).wait(io.waitScope);
    auto answer = nexus::runNotesCommand(notes, words.releaseAsArray()).wait(io.waitScope);
    printf("%s\n", answer.cStr());
  });
  KJ_IF_MAYBE (exception, failure) fprintf(stderr, "notes: %s\n", exception->getDescription().cStr());
  return failure == nullptr ? 0 : 1;
}
