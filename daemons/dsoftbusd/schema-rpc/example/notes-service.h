#pragma once
// The example service: notes in memory, one object for all clients. Knows nothing of the bus: it serves its schema on a
// local socket, and the configuration of dsoftbusd says who may call it from elsewhere.
#include <map>
#include <string>

#include "daemons/dsoftbusd/schema-rpc/example/notes.capnp.h"

namespace nexus {

class NotesService final : public idl::Notes::Server {
 public:
  static constexpr size_t MAX_NAME = 64, MAX_TEXT = 4096, MAX_NOTES = 1000, MAX_LISTENERS = 16;

  kj::Promise<void> put(PutContext context) override;
  kj::Promise<void> get(GetContext context) override;
  kj::Promise<void> list(ListContext context) override;
  // One more than MAX_LISTENERS is OVERLOADED.
  kj::Promise<void> subscribe(SubscribeContext context) override;

 private:
  std::map<std::string, std::string> notes;
  kj::Vector<idl::Notes::Listener::Client> listeners;
};

}  // namespace nexus
