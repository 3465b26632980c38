#pragma once
// For tests: doors that lead to capabilities of the test, and a nexusctl that runs in the test's process on virtual
// time.
#include <capnp/compat/json.h>
#include <capnp/message.h>
#include <kj/map.h>

#include "libs/nexus-net-os/testing/fixed-entropy.h"
#include "libs/nexus-net-os/testing/sim-clock.h"
#include "tools/nexusctl/command-tree.h"

namespace nexus::ctl {

class SimDoors final : public Doors {
 public:
  explicit SimDoors(SimClock& sim) : sim(sim) {}

  void put(kj::StringPtr path, capnp::Capability::Client client) { clients.insert(kj::str(path), kj::mv(client)); }
  void close(kj::StringPtr path, Closed reason) { closed.insert(kj::str(path), reason); }

  kj::OneOf<capnp::Capability::Client, Closed> open(kj::StringPtr path) override {
    KJ_IF_MAYBE (client, clients.find(path)) return *client;
    KJ_IF_MAYBE (reason, closed.find(path)) return *reason;
    return Closed::NO_SOCKET;
  }
  kj::Timer& timer() override { return sim.timer; }

  // One command line, split at spaces.
  Result run(kj::StringPtr line) {
    kj::Vector<kj::String> args;
    size_t at = 0;
    for (size_t i = 0; i <= line.size(); i++) {
      if (i < line.size() && line[i] != ' ') continue;
      if (i > at) args.add(kj::heapString(line.begin() + at, i - at));
      at = i + 1;
    }
    return sim.run(execute(args.releaseAsArray(), *this, entropy));
  }

 private:
  SimClock& sim;
  FixedEntropy entropy;
  kj::HashMap<kj::String, capnp::Capability::Client> clients;
  kj::HashMap<kj::String, Closed> closed;
};

// The document, or an exception that says where it is no JSON.
class JsonDocument {
 public:
  explicit JsonDocument(kj::StringPtr text) { codec.decodeRaw(text, root); }

  // The field of that name in the outermost object.
  capnp::JsonValue::Reader operator[](kj::StringPtr key) const { return field(root.asReader(), key); }

  static capnp::JsonValue::Reader field(capnp::JsonValue::Reader object, kj::StringPtr key) {
    for (auto f : object.getObject()) {
      if (f.getName() == key) return f.getValue();
    }
    KJ_FAIL_REQUIRE("no such field", key);
  }

 private:
  capnp::MallocMessageBuilder message;
  capnp::JsonCodec codec;
  capnp::JsonValue::Builder root = message.initRoot<capnp::JsonValue>();
};

inline bool contains(kj::StringPtr text, const char* part) {
  return strstr(text.cStr(), part) != nullptr;
}

}  // namespace nexus::ctl
