// kj streams of local programs over the bus: two whole nodes, a stream that one program opens and another accepts.
#include "libs/nexus-net-os/client/bus-stream.h"

#include <capnp/rpc-twoparty.h>
#include <doctest/doctest.h>

#include "idl/samgr.capnp.h"
#include "tests/sim/sim-bus-node.h"

namespace nexus {
namespace {

kj::String toml(kj::StringPtr name, kj::StringPtr peer) {
  return kj::str("[dsoftbusd]\nnodeName = \"", name, "\"\nallowTestIdentity = true\ntestIdentity = \"", name,
                 "\"\n[[dsoftbusd.trust]]\nname = \"", peer, "\"\ntestIdentity = \"", peer,
                 "\"\n[[dsoftbusd.policy]]\npeer = \"", peer,
                 "\"\nservice = \"stream:app/sync\"\noperations = [\"open\"]\n");
}

struct Fixture {
  SimClock sim;
  SimNetwork network{sim.timer};
  kj::Own<SimBusNode> a, b;
  kj::Own<kj::AsyncIoStream> ours, theirs;

  Fixture() {
    network.addNode("node-a", IpAddress::v4(10, 42, 0, 10));
    network.addNode("node-b", IpAddress::v4(10, 42, 0, 11));
    a = kj::heap<SimBusNode>(sim, network, "node-a", toml("node-a", "node-b"));
    b = kj::heap<SimBusNode>(sim, network, "node-b", toml("node-b", "node-a"));
    auto sessionA = a->session("node-b"), sessionB = b->session("node-a");
    auto open = sessionA.openStreamRequest();
    open.setName("app/sync");
    auto opened = sim.run(open.send().dropPipeline());
    REQUIRE(opened.getOutcome() == idl::PeerSession::StreamOutcome::OK);
    ours = kj::heap<BusStream>(opened.getStream());
    theirs = kj::heap<BusStream>(sim.run(sessionB.acceptStreamRequest().send().dropPipeline()).getStream());
  }
};

class Echo final : public idl::Samgr::Server {
 public:
  kj::Promise<void> osLite(OsLiteContext context) override {
    context.getResults().setReply(context.getParams().getFrame());
    return kj::READY_NOW;
  }
};

TEST_CASE("Cap'n Proto RPC runs between programs of two nodes over a stream of the bus") {
  Fixture f;
  capnp::TwoPartyServer server(kj::heap<Echo>());
  server.accept(kj::mv(f.theirs));
  capnp::TwoPartyClient client(*f.ours);
  auto samgr = client.bootstrap().castAs<idl::Samgr>();
  for (size_t size : {0, 1, 1000, 200000}) {
    auto request = samgr.osLiteRequest();
    auto frame = request.initFrame(size);
    for (size_t i = 0; i < size; i++) frame[i] = static_cast<kj::byte>(i * 7);
    auto response = f.sim.run(request.send().dropPipeline());
    auto reply = response.getReply();
    REQUIRE(reply.size() == size);
    for (size_t i = 0; i < size; i += 97) REQUIRE(reply[i] == static_cast<kj::byte>(i * 7));
  }
}

TEST_CASE("a half-close ends one direction behind what was written, the other goes on") {
  Fixture f;
  f.sim.run(f.ours->write("question", 8));
  f.ours->shutdownWrite();
  CHECK(f.sim.run(f.theirs->readAllText()) == "question");
  f.sim.run(f.theirs->write("answer", 6));
  f.theirs->shutdownWrite();
  CHECK(f.sim.run(f.ours->readAllText()) == "answer");
}

TEST_CASE("a writer waits while nobody reads, and every byte arrives once and in order") {
  Fixture f;
  auto sent = kj::heapArray<kj::byte>(2 * 1024 * 1024);
  for (auto i : kj::indices(sent)) sent[i] = static_cast<kj::byte>(i * 31 + i / 251);
  bool written = false;
  auto writing = f.ours->write(sent.begin(), sent.size()).then([&] {
    written = true;
    f.ours->shutdownWrite();
  });
  auto running = writing.eagerlyEvaluate(nullptr);
  f.sim.advance(2 * kj::SECONDS);
  CHECK(!written);
  auto got = f.sim.run(f.theirs->readAllBytes());
  CHECK(written);
  CHECK(got.asPtr() == sent.asPtr());
}

TEST_CASE("a read that is cancelled loses nothing") {
  Fixture f;
  char buffer[6] = {};
  {
    auto read = f.theirs->tryRead(buffer, 1, sizeof(buffer));
    CHECK(!read.poll(f.sim.waitScope));
  }
  f.sim.run(f.ours->write("abcdef", 6));
  f.sim.advance(100 * kj::MILLISECONDS);
  CHECK(f.sim.run(f.theirs->tryRead(buffer, 6, 6)) == 6);
  CHECK(kj::str(kj::arrayPtr(buffer, 6)) == "abcdef");
}

TEST_CASE("a reset, and the end of the session, are DISCONNECTED at the other end") {
  for (bool reset : {true, false}) {
    CAPTURE(reset);
    Fixture f;
    if (reset) {
      f.ours->abortRead();
      f.sim.advance(1 * kj::SECONDS);
    } else {
      f.a->stop();
      f.sim.advance(15 * kj::SECONDS);
    }
    char byte = 0;
    auto kind = f.sim.run(
        f.theirs->tryRead(&byte, 1, 1)
            .then([](size_t) { return kj::Exception::Type::FAILED; }, [](kj::Exception&& e) { return e.getType(); }));
    CHECK(kind == kj::Exception::Type::DISCONNECTED);
    f.sim.run(f.theirs->whenWriteDisconnected());
  }
}

}  // namespace
}  // namespace nexus
