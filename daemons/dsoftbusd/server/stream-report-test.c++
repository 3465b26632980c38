#include "daemons/dsoftbusd/server/stream-report.h"

#include <capnp/message.h>
#include <doctest/doctest.h>
#include <kj/debug.h>

namespace nexus {
namespace {

using State = idl::StreamInfo::State;

struct Fixture {
  MuxCore core{MuxRole::INITIATOR, MuxSession::AUTHENTICATED};
  capnp::MallocMessageBuilder message;

  MuxStreamId open(kj::StringPtr name, kj::byte priority = 4) {
    return core.open(name.asArray(), priority).get<MuxStreamId>();
  }
  void take(const MuxFrame& frame) { KJ_ASSERT(core.ingest(frame) == nullptr); }
  void sendAll() {
    while (core.takeFrame() != nullptr) {
    }
  }
  capnp::List<idl::StreamInfo>::Reader report() {
    auto results = message.initRoot<idl::DSoftBus::StreamsResults>();
    reportStreams(core, results);
    return results.asReader().getStreams();
  }
};

TEST_CASE("a session without streams reports none") {
  CHECK(Fixture().report().size() == 0);
}

TEST_CASE("streams of both ends are told by rising id, with who opened them and whether the peer has taken them") {
  Fixture f;
  auto ours = f.open("app/sync", 2);
  f.take(MuxOpen{2, 7, "bulk"_kj.asArray()});
  auto list = f.report();
  REQUIRE(list.size() == 2);
  CHECK(list[0].getId() == ours);
  CHECK(kj::str(list[0].getName()) == "app/sync");
  CHECK(list[0].getPriority() == 2);
  CHECK(list[0].getOpenedHere());
  CHECK_FALSE(list[0].getTaken());
  CHECK(list[0].getState() == State::OPEN);
  CHECK(list[1].getId() == 2);
  CHECK(kj::str(list[1].getName()) == "bulk");
  CHECK(list[1].getPriority() == 7);
  CHECK_FALSE(list[1].getOpenedHere());
  f.sendAll();
  f.take(MuxOpenAck{ours});
  CHECK(f.report()[0].getTaken());
}

TEST_CASE("bytes are told where they are: waiting to be sent, sent, arrived and not read, read") {
  Fixture f;
  auto id = f.open("app/sync");
  auto payload = kj::heapArray<kj::byte>(1000);
  memset(payload.begin(), 1, payload.size());
  CHECK(f.core.send(id, payload).is<MuxAccepted>());
  CHECK(f.report()[0].getSendWaiting() == 1000);
  CHECK(f.report()[0].getSent() == 0);
  f.sendAll();
  f.take(MuxOpenAck{id});
  f.take(MuxData{id, payload.slice(0, 300)});
  auto now = f.report()[0];
  CHECK(now.getSendWaiting() == 0);
  CHECK(now.getSent() == 1000);
  CHECK(now.getSendCredit() == MUX_INITIAL_CREDIT - 1000);
  CHECK(now.getReceived() == 300);
  CHECK(now.getReceiveWaiting() == 300);
  CHECK(now.getReceiveCredit() == MUX_INITIAL_CREDIT - 300);
  CHECK(f.core.read(id, payload) == 300);
  CHECK(f.report()[0].getReceiveWaiting() == 0);
  CHECK(f.report()[0].getReceived() == 300);
}

TEST_CASE("bytes that are sent from where the writer has them, and received where the reader waits, count as well") {
  Fixture f;
  auto id = f.open("app/sync");
  f.sendAll();
  f.take(MuxOpenAck{id});
  auto from = kj::heapArray<kj::byte>(1000), to = kj::heapArray<kj::byte>(1000);
  memset(from.begin(), 1, from.size());
  KJ_ASSERT(f.core.offer(id, from) == nullptr);
  CHECK(f.report()[0].getSendWaiting() == 1000);
  CHECK(f.report()[0].getSent() == 0);
  f.sendAll();
  CHECK(f.report()[0].getSendWaiting() == 0);
  CHECK(f.report()[0].getSent() == 1000);
  f.core.expect(id, to);
  REQUIRE(f.core.tryPlace(id, 300).size() == 300);
  CHECK(f.report()[0].getReceived() == 300);
  CHECK(f.report()[0].getReceiveWaiting() == 300);
}

TEST_CASE("each state has its name in the schema") {
  Fixture f;
  auto live = [&](kj::StringPtr name) {
    auto id = f.open(name);
    f.sendAll();
    f.take(MuxOpenAck{id});
    return id;
  };
  auto local = live("local"), remote = live("remote"), both = live("both"), broken = live("broken");
  KJ_ASSERT(f.core.close(local) == nullptr);
  f.take(MuxClose{remote});
  KJ_ASSERT(f.core.close(both) == nullptr);
  f.take(MuxClose{both});
  KJ_ASSERT(f.core.reset(broken) == nullptr);
  auto list = f.report();
  REQUIRE(list.size() == 4);
  CHECK(list[0].getState() == State::HALF_CLOSED_LOCAL);
  CHECK(list[1].getState() == State::HALF_CLOSED_REMOTE);
  CHECK(list[2].getState() == State::CLOSED);
  CHECK(list[3].getState() == State::RESET);
}

TEST_CASE("a full session is reported whole") {
  Fixture f;
  for (int i = 0; i < 128; i++) f.open(kj::str("s/", i));
  CHECK(f.report().size() == 128);
}

}  // namespace
}  // namespace nexus
