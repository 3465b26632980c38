// The example as its documentation tells it: two nodes with the example's configuration files, the service behind the
// one, the client at the other.
#include <doctest/doctest.h>
#include <kj/filesystem.h>

#include "daemons/dsoftbusd/schema-rpc/example/notes-client.h"
#include "daemons/dsoftbusd/schema-rpc/example/notes-service.h"
#include "tests/sim/sim-bus-node.h"

namespace nexus {
namespace {

constexpr auto FOLDER = "daemons/dsoftbusd/schema-rpc/example/"_kj;

kj::String fileText(kj::StringPtr name) {
  auto files = kj::newDiskFilesystem();
  return files->getCurrent().openFile(kj::Path::parse(kj::str(FOLDER, name)))->readAllText();
}

struct Fixture {
  SimClock sim;
  SimNetwork network{sim.timer};
  kj::Own<SimBusNode> a, b;

  Fixture() {
    network.addNode("node-a", IpAddress::v4(10, 42, 0, 10));
    network.addNode("node-b", IpAddress::v4(10, 42, 0, 11));
    a = kj::heap<SimBusNode>(sim, network, "node-a", fileText("node-a.toml"));
    b = kj::heap<SimBusNode>(sim, network, "node-b", fileText("node-b.toml"));
    b->serveImport("notes", idl::Notes::Client(kj::heap<NotesService>()));
  }

  idl::Notes::Client notes() { return sim.run(notesOf(a->bus(), kj::str("node-b"))); }

  kj::String run(idl::Notes::Client notes, kj::ArrayPtr<const kj::StringPtr> words) {
    return sim.run(runNotesCommand(
                       notes, KJ_MAP(w, words) { return kj::str(w); })
                       .catch_([](kj::Exception&& e) { return kj::str(e.getDescription()); }));
  }
  kj::String run(idl::Notes::Client notes, std::initializer_list<kj::StringPtr> words) {
    return run(kj::mv(notes), kj::ArrayPtr<const kj::StringPtr>(words.begin(), words.size()));
  }

  idl::PeerSession::RpcResults::Reader rpc(SimBusNode& node, kj::StringPtr peer, kj::StringPtr service) {
    auto session = node.session(peer);
    auto request = session.rpcRequest();
    request.setService(service);
    last = sim.run(request.send().dropPipeline());
    return KJ_ASSERT_NONNULL(last);
  }
  kj::Maybe<capnp::Response<idl::PeerSession::RpcResults>> last;
};

bool has(kj::StringPtr text, kj::StringPtr part) {
  for (size_t i = 0; i + part.size() <= text.size(); i++) {
    if (text.slice(i).startsWith(part)) return true;
  }
  return false;
}

using Outcome = idl::PeerSession::StreamOutcome;

TEST_CASE("a note that is put at another node can be read there") {
  Fixture f;
  auto notes = f.notes();
  CHECK(f.run(notes, {"put", "shopping", "milk"}) == "ok");
  CHECK(f.run(notes, {"get", "shopping"}) == "milk");
  CHECK(f.run(notes, {"get", "nothing"}) == "notFound");
  CHECK(f.run(f.notes(), {"get", "shopping"}) == "milk");  // a second stream, the same service
}

TEST_CASE("what no rule names is denied with the id of a record that explains it") {
  Fixture f;
  auto answer = f.run(f.notes(), {"list"});
  INFO(answer.cStr());
  CHECK(has(answer, "denied: no rule of node-b allows list of rpc:notes to node-a; audit id 2 at node-b"));
  auto bus = f.b->bus();
  auto ask = bus.explainAuditRequest();
  ask.setAuditId(2);
  auto explained = f.sim.run(ask.send().dropPipeline());
  CHECK(explained.getExplanation().getReason() == idl::PolicyReason::NO_RULE);
  CHECK(has(explained.getExplanation().getToAllow(), "service = \"rpc:notes\"\noperations = [\"list\"]"));
}

TEST_CASE("a method with a capability in its schema is never offered, whatever a rule would say") {
  Fixture f;
  auto bus = f.b->bus();
  auto ask = bus.explainRequest();
  ask.setPeer("node-a");
  ask.setService("rpc:notes");
  ask.setOperation("subscribe");
  auto explained = f.sim.run(ask.send().dropPipeline());
  CHECK(explained.getExplanation().getReason() == idl::PolicyReason::NOT_OFFERED);
  CHECK(has(explained.getExplanation().getSentence(),
            "its parameters can hold a capability (listener, an interface); it offers: put, get, list"));
}

TEST_CASE("samgr is offered the same way: presence is told, everything else stays") {
  Fixture f;
  auto samgr = f.rpc(*f.a, "node-b", "samgr").getService().castAs<idl::Samgr>();
  auto request = samgr.resolveStatusRequest();
  request.setName("bundlemgrd");
  CHECK(f.sim.run(request.send().dropPipeline()).getStatus() == idl::Samgr::Status::OK);
  auto frame = samgr.osLiteRequest();
  frame.setFrame(kj::arr<kj::byte>('S', 'M'));
  auto denied = f.sim.run(frame.send().dropPipeline().then(
      [](auto&&) { return kj::str("it was called"); }, [](kj::Exception&& e) { return kj::str(e.getDescription()); }));
  CHECK(has(denied, "denied: no rule of node-b allows osLite of rpc:samgr to node-a"));
}

TEST_CASE("a service that is not offered, and a node that offers nothing, are denied with an audit id") {
  Fixture f;
  auto refused = f.rpc(*f.a, "node-b", "bundlemgr");
  CHECK(refused.getOutcome() == Outcome::DENIED);
  CHECK(refused.getAuditId() > 0);
  auto other = f.rpc(*f.b, "node-a", "notes");
  CHECK(other.getOutcome() == Outcome::DENIED);
}

TEST_CASE("both nodes may open calls of the same service at the same time, and each reference is a stream of its own") {
  Fixture f;
  kj::Vector<idl::Notes::Client> references;
  for (int i = 0; i < 16; i++) references.add(f.notes());
  auto refused = f.rpc(*f.a, "node-b", "notes");
  CHECK(refused.getOutcome() == Outcome::DENIED);  // sixteen streams of one peer
  references.clear();
  f.sim.advance(1 * kj::SECONDS);  // the other node hears of it
  CHECK(f.run(f.notes(), {"get", "nothing"}) == "notFound");
}

TEST_CASE("an ordinary stream cannot take the name of one for calls") {
  Fixture f;
  auto session = f.a->session("node-b");
  auto request = session.openStreamRequest();
  request.setName("rpc:notes#i9");
  auto failure = f.sim.run(request.send().dropPipeline().then(
      [](auto&&) { return kj::str("opened"); }, [](kj::Exception&& e) { return kj::str(e.getDescription()); }));
  CHECK(has(failure, "streams for calls are opened by rpc()"));
}

TEST_CASE("when the other node restarts, calls fail as DISCONNECTED and a new reference works") {
  Fixture f;
  auto notes = f.notes();
  CHECK(f.run(notes, {"put", "a", "1"}) == "ok");
  f.b->stop();
  f.b->start();
  auto kind = f.sim.run(notes.listRequest().send().dropPipeline().then(
      [](auto&&) { return kj::Exception::Type::FAILED; }, [](kj::Exception&& e) { return e.getType(); }));
  CHECK(kind == kj::Exception::Type::DISCONNECTED);
  CHECK(f.run(f.notes(), {"get", "a"}) == "1");  // the service was not restarted
}

}  // namespace
}  // namespace nexus
