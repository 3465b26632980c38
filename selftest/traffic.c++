#include "selftest/traffic.h"

#include <kj/debug.h>

#include "selftest/step-runner.h"

namespace nexus {

namespace {

constexpr kj::byte PRIORITY = 5;

void fillPattern(uint64_t offset, kj::ArrayPtr<kj::byte> bytes) {
  for (kj::byte& b : bytes) {
    b = kj::byte((offset * 31) ^ (offset >> 8));
    offset++;
  }
}

// Sends back whatever comes, until the other side closes.
kj::Promise<void> echoAll(idl::MuxStream::Client stream) {
  for (;;) {
    auto request = stream.readRequest();
    request.setMaxBytes(Traffic::ROUND_BYTES);
    auto part = co_await request.send();
    if (part.getData().size() == 0) break;
    auto answer = stream.writeRequest();
    answer.setData(part.getData());
    co_await answer.send();
  }
  co_await stream.closeRequest().send();
}

// One pattern out and back.
kj::Promise<void> oneRound(idl::MuxStream::Client stream, uint64_t offset) {
  kj::byte expected[Traffic::ROUND_BYTES];
  fillPattern(offset, kj::arrayPtr(expected, sizeof(expected)));
  auto write = stream.writeRequest();
  write.setData(kj::arrayPtr(expected, sizeof(expected)));
  co_await write.send();
  for (size_t got = 0; got < sizeof(expected);) {
    auto read = stream.readRequest();
    read.setMaxBytes(uint32_t(sizeof(expected) - got));
    auto part = co_await read.send();
    auto data = part.getData();
    if (data.size() == 0) failStep("the peer closed the stream");
    if (data != kj::arrayPtr(expected + got, data.size())) failStep("other bytes came back than went");
    got += data.size();
  }
}

}  // namespace

Traffic::Traffic(kj::StringPtr own, kj::StringPtr peer, GetBus bus, GetSupervisor supervisor, kj::Timer& timer,
                 OnSoakEnd onSoakEnd)
    : own(kj::str(own)),
      peer(kj::str(peer)),
      bus(kj::mv(bus)),
      supervisor(kj::mv(supervisor)),
      timer(timer),
      onSoakEnd(kj::mv(onSoakEnd)),
      calls(own),
      tally(calls.count(), [this](const StatusChaos& message) { tell(StatusMessage(message)); }),
      tasks(*this) {}

kj::Promise<void> Traffic::run() {
  auto loops = kj::heapArrayBuilder<kj::Promise<void>>(calls.count() + 3);
  for (size_t target = 0; target < calls.count(); target++) loops.add(callLoop(target));
  loops.add(streamLoop());
  loops.add(acceptLoop());
  loops.add(heartbeatLoop());
  co_await kj::joinPromisesFailFast(loops.finish()).exclusiveJoin(orderLoop());
  echo = nullptr;
}

kj::Promise<idl::PeerSession::Client> Traffic::session() {
  auto request = bus().sessionRequest();
  request.setPeer(peer);
  auto response = co_await request.send();
  if (response.getOutcome() != idl::DSoftBus::Outcome::OK) failStep("there is no session with the peer");
  co_return response.getSession();
}

// Calls ----------------------------------------

kj::Promise<bool> Traffic::callOnce(size_t target) {
  auto to = co_await session();
  auto request = to.callRequest();
  request.setService(calls.service(target));
  request.setFrame(calls.frame(target));
  auto response = co_await request.send();
  co_return response.getStatus() == idl::CallStatus::OK&& calls.accept(target, response.getReply());
}

// One service that is slow to answer does not hold up the calls to the others, which are timed too.
kj::Promise<void> Traffic::callLoop(size_t target) {
  co_await timer.afterDelay(CALL_INTERVAL * int64_t(target));
  for (;;) {
    auto began = timer.now();
    bool ok = false;
    try {
      ok = co_await timer.timeoutAfter(CALL_LIMIT, callOnce(target));
    } catch (const kj::Exception&) {
      // Counted, and tried again: that it fails for a while is what the harness times.
    }
    tally.callDone(target, ok, began, timer.now());
    co_await timer.atTime(kj::max(timer.now(), began + CALL_INTERVAL * int64_t(calls.count())));
  }
}

// Streams ----------------------------------------

// On one stream, until it breaks.
kj::Promise<void> Traffic::rounds() {
  auto name = kj::str("traffic-", own);
  auto with = co_await session();
  auto request = with.openStreamRequest();
  request.setName(name);
  request.setPriority(PRIORITY);
  auto opened = co_await request.send();
  if (opened.getOutcome() != idl::PeerSession::StreamOutcome::OK) co_return;
  auto stream = opened.getStream();
  try {
    for (uint64_t offset = 0;; offset += ROUND_BYTES) {
      auto began = timer.now();
      co_await timer.timeoutAfter(ROUND_LIMIT, oneRound(stream, offset));
      tally.roundDone(ROUND_BYTES, began, timer.now());
      co_await timer.afterDelay(ROUND_INTERVAL);
    }
  } catch (const kj::Exception& e) {
    tally.streamBroke();
    auto why = e.getDescription();
    KJ_LOG(INFO, "the traffic's stream broke", why);
  }
}

kj::Promise<void> Traffic::streamLoop() {
  for (;;) {
    try {
      co_await rounds();
    } catch (const kj::Exception&) {
      // There is no session, or it ended meanwhile.
    }
    co_await timer.afterDelay(RETRY_INTERVAL);
  }
}

kj::Promise<void> Traffic::acceptAll() {
  auto with = co_await session();
  for (;;) {
    auto accepted = co_await with.acceptStreamRequest().send();
    if (accepted.getName() != kj::str("traffic-", peer)) continue;
    echo = echoAll(accepted.getStream()).eagerlyEvaluate([](kj::Exception&&) {});  // the peer opens another one
  }
}

kj::Promise<void> Traffic::acceptLoop() {
  for (;;) {
    try {
      co_await acceptAll();
    } catch (const kj::Exception&) {
      // As in streamLoop.
    }
    co_await timer.afterDelay(RETRY_INTERVAL);
  }
}

// The harness ----------------------------------------

kj::Promise<void> Traffic::heartbeatLoop() {
  for (;;) {
    tell(StatusMessage(tally.total()));
    co_await timer.afterDelay(HEARTBEAT);
  }
}

kj::Promise<void> Traffic::orderLoop() {
  for (uint32_t after = 0;; after++) {
    auto request = supervisor().orderRequest();
    request.setAfter(after);
    auto response = co_await request.send();
    auto order = TrafficOrder::parse(response.getOrder().asArray());
    KJ_IF_MAYBE (o, order) {
      if (o->kind == TrafficOrder::Kind::END) co_return;
      co_await obey(*o);
    }
  }
}

kj::Promise<void> Traffic::obey(TrafficOrder order) {
  switch (order.kind) {
    case TrafficOrder::Kind::SOAK_BEGIN:
      tally.beginSoak();
      break;
    case TrafficOrder::Kind::SOAK_END:
      co_await onSoakEnd(tally.soak());
      break;
    case TrafficOrder::Kind::ARM:
      tally.arm(order.event, timer.now());
      break;
    case TrafficOrder::Kind::GO:
      tally.go(order.event, timer.now());
      break;
    case TrafficOrder::Kind::END:
      break;
  }
}

void Traffic::tell(const StatusMessage& message) {
  auto request = supervisor().tellRequest();
  request.setMessage(encodeStatus(message));
  tasks.add(request.send().ignoreResult());
}

void Traffic::taskFailed(kj::Exception&& exception) {
  KJ_LOG(WARNING, "the supervisor did not take a message", exception.getDescription());
}

kj::Maybe<kj::String> soakFault(const StatusTraffic& soak) {
  if (soak.calls == 0) return kj::str("no call was answered");
  if (soak.failed > 0) return kj::str(soak.failed, " of ", soak.calls + soak.failed, " calls failed");
  if (soak.streamed == 0) return kj::str("nothing came back over a stream");
  if (soak.breaks > 0) return kj::str("a stream broke ", soak.breaks, " times");
  return nullptr;
}

kj::String trafficText(const StatusTraffic& traffic) {
  return kj::str("calls ", traffic.calls, " failed ", traffic.failed, " bytes ", traffic.streamed, " breaks ",
                 traffic.breaks);
}

}  // namespace nexus
