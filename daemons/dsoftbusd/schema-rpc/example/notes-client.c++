#include "daemons/dsoftbusd/schema-rpc/example/notes-client.h"

#include <kj/debug.h>

namespace nexus {

kj::Promise<idl::Notes::Client> notesOf(idl::DSoftBus::Client bus, kj::String peer) {
  auto ask = bus.sessionRequest();
  ask.setPeer(peer);
  auto found = co_await ask.send();
  KJ_REQUIRE(found.getOutcome() == idl::DSoftBus::Outcome::OK, "there is no session with that node", peer);
  auto open = found.getSession().rpcRequest();
  open.setService("notes");
  auto opened = co_await open.send();
  KJ_REQUIRE(opened.getOutcome() == idl::PeerSession::StreamOutcome::OK, "that node has no notes for this one", peer,
             opened.getAuditId());
  co_return opened.getService().castAs<idl::Notes>();
}

kj::Promise<kj::String> runNotesCommand(idl::Notes::Client notes, kj::Array<kj::String> words) {
  if (words.size() == 3 && words[0] == "put") {
    auto request = notes.putRequest();
    request.setName(words[1]);
    request.setText(words[2]);
    auto response = co_await request.send();
    co_return kj::str(response.getOutcome());
  }
  if (words.size() == 2 && words[0] == "get") {
    auto request = notes.getRequest();
    request.setName(words[1]);
    auto response = co_await request.send();
    co_return response.getOutcome() == idl::Notes::Outcome::OK ? kj::str(response.getText())
                                                               : kj::str(response.getOutcome());
  }
  KJ_REQUIRE(words.size() == 1 && words[0] == "list", "write put NAME TEXT, get NAME, or list");
  auto response = co_await notes.listRequest().send();
  co_return kj::strArray(response.getNames(), "\n");
}

}  // namespace nexus
