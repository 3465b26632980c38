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

// A person who types what the test says, and then nothing more.
class SimConsole final : public Console {
 public:
  void say(kj::StringPtr lines) override { said = kj::str(said, lines); }
  kj::Promise<kj::Maybe<kj::String>> readLine() override {
    if (next == typed.size()) return kj::Maybe<kj::String>(nullptr);
    return kj::Maybe<kj::String>(kj::str(typed[next++]));
  }

  kj::Vector<kj::String> typed;
  kj::String said;

 private:
  size_t next = 0;
};

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
  const kj::Clock& calendar() override { return sim.calendar; }
  SimConsole& console() override { return person; }

  // One command line, split at spaces.
  Result run(kj::StringPtr line) { return sim.run(begin(line)); }

  // The same, to be waited for later. The doors outlive the promise.
  kj::Promise<Result> begin(kj::StringPtr line) {
    kj::Vector<kj::String> args;
    size_t at = 0;
    for (size_t i = 0; i <= line.size(); i++) {
      if (i < line.size() && line[i] != ' ') continue;
      if (i > at) args.add(kj::heapString(line.begin() + at, i - at));
      at = i + 1;
    }
    return execute(args.releaseAsArray(), *this, entropy);
  }

 private:
  SimClock& sim;
  SimConsole person;
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
