#include "tests/sim/fleet-app.h"

#include <kj/debug.h>

#include "libs/oslite-frames/bundlemgr-frames.h"
#include "libs/oslite-frames/samgr-frames.h"

namespace nexus {

namespace {

constexpr kj::Duration PATIENCE = 3 * kj::SECONDS;  // for a session to come

// A name to resolve that carries the canary and the token.
kj::Array<kj::byte> resolveFrame(kj::ArrayPtr<const kj::byte> canary, uint64_t token) {
  auto name = kj::heapArray<char>(canary.size() + sizeof(token));
  memcpy(name.begin(), canary.begin(), canary.size());
  memcpy(name.begin() + canary.size(), &token, sizeof(token));
  return KJ_ASSERT_NONNULL(sm::tryEncodeResolveStatus(name));
}

}  // namespace

FleetApp::FleetApp(kj::uint machine, idl::DSoftBus::Client bus, kj::Timer& timer, uint64_t seed, FleetBooks& books,
                   const FleetAppOptions& options)
    : machine(machine), bus(kj::mv(bus)), timer(timer), random(seed), books(books), options(options), tasks(*this) {
  for (kj::uint peer = 0; peer < books.honest; peer++) {
    if (peer != machine) tasks.add(acceptLoop(peer));
  }
  if (!options.restless) return;
  tasks.add(callLoop());
  tasks.add(openLoop());
}

FleetApp::~FleetApp() noexcept(false) = default;

// A session or stream that ends is expected at any time; a program sees it as DISCONNECTED, too much as OVERLOADED.
void FleetApp::expectGone(kj::StringPtr what, const kj::Exception& exception) {
  auto type = exception.getType();
  if (type == kj::Exception::Type::DISCONNECTED || type == kj::Exception::Type::OVERLOADED) return;
  books.trace.violation(kj::str("machine ", machine, ": ", what, " failed: ", exception.getDescription()));
}

template <typename T>
kj::Promise<kj::Maybe<T>> FleetApp::ifItLives(kj::StringPtr what, kj::Promise<T> promise) {
  return promise.then([](T&& result) -> kj::Maybe<T> { return kj::mv(result); },
                      [this, what](kj::Exception&& exception) -> kj::Maybe<T> {
                        expectGone(what, exception);
                        return nullptr;
                      });
}

kj::uint FleetApp::anyOther() {
  auto other = below(books.honest - 1);
  return other < machine ? other : other + 1;
}

kj::Promise<kj::Maybe<idl::PeerSession::Client>> FleetApp::sessionWith(kj::uint peer) {
  using Response = capnp::Response<idl::DSoftBus::SessionResults>;
  auto request = bus.sessionRequest();
  request.setPeer(machineName(peer));
  auto asked = ifItLives<Response>("session", request.send());
  auto late = timer.afterDelay(PATIENCE).then([]() -> kj::Maybe<Response> { return nullptr; });
  auto maybeResponse = co_await asked.exclusiveJoin(kj::mv(late));
  KJ_IF_MAYBE (response, maybeResponse) {
    if (response->getOutcome() == idl::DSoftBus::Outcome::OK) co_return response->getSession();
    bool isUnknown = response->getOutcome() == idl::DSoftBus::Outcome::UNKNOWN_PEER;
    if (isUnknown && !books.rights.hasRevoked(machine, peer)) {
      books.trace.violation(kj::str("machine ", machine, " does not know its peer ", peer));
    }
  }
  co_return nullptr;
}

// ---- calls

kj::Promise<void> FleetApp::callLoop() {
  for (;;) {
    co_await timer.afterDelay(aWhile(options.pause));
    auto right = below(2) == 0 ? FleetRight::RESOLVE : FleetRight::LIST;
    co_await call(anyOther(), right);
  }
}

kj::Promise<kj::Maybe<bool>> FleetApp::call(kj::uint callee, FleetRight right) {
  using Response = capnp::Response<idl::PeerSession::CallResults>;
  auto maybeSession = co_await sessionWith(callee);
  if (maybeSession == nullptr) co_return nullptr;
  auto& session = KJ_ASSERT_NONNULL(maybeSession);
  auto token = books.calls.attempt(machine, callee, right);
  auto request = session.callRequest();
  request.setService(fleetService(right));
  request.setFrame(right == FleetRight::LIST ? bn::encodeList() : resolveFrame(books.streams.canary(), token));
  auto maybeResponse = co_await ifItLives<Response>("call", request.send());
  KJ_IF_MAYBE (response, maybeResponse) {
    using idl::CallStatus;
    auto status = response->getStatus();
    books.calls.answered(token, status == CallStatus::OK, status == CallStatus::DENIED);
    if (status == CallStatus::OK) co_return true;
    if (status == CallStatus::DENIED) co_return false;
  }
  co_return nullptr;
}

void FleetApp::rush(kj::uint callee, kj::uint calls) {
  constexpr kj::uint AT_ONCE = 50;
  for (auto i = 0u; i < AT_ONCE; i++) tasks.add(callAgain(callee, calls / AT_ONCE));
}

kj::Promise<void> FleetApp::callAgain(kj::uint callee, kj::uint calls) {
  for (auto i = 0u; i < calls; i++) co_await call(callee, FleetRight::RESOLVE);
}

// ---- streams that this machine opens

kj::Promise<void> FleetApp::openLoop() {
  for (;;) {
    co_await timer.afterDelay(aWhile(options.pause));
    auto peer = anyOther();
    auto name = kj::uint(below(FLEET_STREAM_NAMES));
    auto bytes = below(below(8) == 0 ? options.largest * 8 : options.largest);
    auto manner = below(8) == 0 ? Manner::RESET : below(8) == 0 ? Manner::DROP : Manner::CLOSE;
    tasks.add(openOne(peer, name, bytes, manner, below(3) == 0).ignoreResult());
  }
}

kj::Promise<kj::Maybe<uint64_t>> FleetApp::stream(kj::uint acceptor, kj::uint name, size_t bytes) {
  return openOne(acceptor, name, bytes, Manner::CLOSE, false);
}

kj::Promise<kj::Maybe<uint64_t>> FleetApp::openOne(kj::uint peer, kj::uint name, size_t bytes, Manner manner,
                                                   bool slow) {
  using Response = capnp::Response<idl::PeerSession::OpenStreamResults>;
  auto maybeSession = co_await sessionWith(peer);
  if (maybeSession == nullptr) co_return nullptr;
  auto& session = KJ_ASSERT_NONNULL(maybeSession);
  auto id = books.streams.open(machine, peer, name);
  auto request = session.openStreamRequest();
  request.setName(fleetStreamName(name));
  request.setPriority(below(8));
  auto maybeResponse = co_await ifItLives<Response>("openStream", request.send());
  KJ_DEFER(books.streams.left(id, 0));
  if (maybeResponse == nullptr) co_return nullptr;
  auto& response = KJ_ASSERT_NONNULL(maybeResponse);
  bool ok = response.getOutcome() == idl::PeerSession::StreamOutcome::OK;
  books.streams.opened(id, ok);
  if (!ok) co_return nullptr;
  auto both = kj::heapArrayBuilder<kj::Promise<void>>(2);
  both.add(writeAll(response.getStream(), id, 0, kj::max(bytes, StreamLedger::BLOCK), manner, slow));
  if (manner != Manner::DROP) both.add(readAll(response.getStream(), id, 1, slow));
  maybeResponse = nullptr;  // now the two halves hold the stream, and nobody else
  co_await kj::joinPromises(both.finish());
  co_return id;
}

kj::Promise<void> FleetApp::writeAll(idl::MuxStream::Client stream, uint64_t id, kj::uint direction, size_t bytes,
                                     Manner manner, bool slow) {
  while (bytes > 0) {
    if (slow) co_await timer.afterDelay(aWhile(300 * kj::MILLISECONDS));
    auto n = kj::min(bytes, 1 + below(slow ? 2000 : 20000));
    auto request = stream.writeRequest();
    request.setData(books.streams.next(id, direction, n));
    auto done = co_await ifItLives<capnp::Response<idl::MuxStream::WriteResults>>("write", request.send());
    if (done == nullptr) co_return;
    bytes -= n;
  }
  if (manner == Manner::RESET) {
    co_await ifItLives<capnp::Response<idl::MuxStream::ResetResults>>("reset", stream.resetRequest().send());
    co_return;
  }
  books.streams.closed(id, direction);
  if (manner == Manner::DROP) co_return;  // which is a close too
  co_await ifItLives<capnp::Response<idl::MuxStream::CloseResults>>("close", stream.closeRequest().send());
}

kj::Promise<void> FleetApp::readAll(idl::MuxStream::Client stream, uint64_t id, kj::uint direction, bool slow) {
  for (;;) {
    if (slow) co_await timer.afterDelay(aWhile(200 * kj::MILLISECONDS));
    auto request = stream.readRequest();
    request.setMaxBytes(1 + below(20000));
    auto got = co_await ifItLives<capnp::Response<idl::MuxStream::ReadResults>>("read", request.send());
    KJ_IF_MAYBE (response, got) {
      if (response->getData().size() == 0) {
        books.streams.ended(id, direction);
        co_return;
      }
      books.streams.received(id, direction, response->getData());
    } else {
      co_return;
    }
  }
}

// ---- streams that others open

kj::Promise<void> FleetApp::acceptLoop(kj::uint peer) {
  for (;;) {
    auto maybeSession = co_await sessionWith(peer);
    KJ_IF_MAYBE (session, maybeSession) co_await acceptOn(*session, peer);
    co_await timer.afterDelay(100 * kj::MILLISECONDS);
  }
}

kj::Promise<void> FleetApp::acceptOn(idl::PeerSession::Client session, kj::uint peer) {
  using Response = capnp::Response<idl::PeerSession::AcceptStreamResults>;
  for (;;) {
    auto maybeResponse = co_await ifItLives<Response>("acceptStream", session.acceptStreamRequest().send());
    KJ_IF_MAYBE (response, maybeResponse) {
      tasks.add(serve(response->getStream(), peer, kj::str(response->getName())));
      // Now and then the next ones have to wait.
      if (options.restless && below(4) == 0) co_await timer.afterDelay(aWhile(1 * kj::SECONDS));
    } else {
      co_return;
    }
  }
}

kj::Promise<void> FleetApp::serve(idl::MuxStream::Client stream, kj::uint peer, kj::String name) {
  // The first block tells which stream this is.
  kj::Vector<kj::byte> head;
  while (head.size() < StreamLedger::BLOCK) {
    auto request = stream.readRequest();
    request.setMaxBytes(StreamLedger::BLOCK - head.size());
    auto got = co_await ifItLives<capnp::Response<idl::MuxStream::ReadResults>>("read", request.send());
    if (got == nullptr || KJ_ASSERT_NONNULL(got).getData().size() == 0) co_return;  // it ended before it said anything
    head.addAll(KJ_ASSERT_NONNULL(got).getData());
  }
  auto id = books.streams.accepted(head, peer, machine, name);
  if (id == 0) co_return;
  KJ_DEFER(books.streams.left(id, 1));
  books.streams.received(id, 0, head);
  bool slow = options.restless && below(4) == 0;
  bool resets = options.restless && below(16) == 0;
  auto both = kj::heapArrayBuilder<kj::Promise<void>>(2);
  auto bytes = below(2) == 0 ? 0 : below(options.largest);
  both.add(writeAll(stream, id, 1, bytes, resets ? Manner::RESET : Manner::CLOSE, slow));
  both.add(readAll(kj::mv(stream), id, 0, slow));
  co_await kj::joinPromises(both.finish());
}

void FleetApp::taskFailed(kj::Exception&& exception) {
  books.trace.violation(kj::str("a program of machine ", machine, " failed: ", exception.getDescription()));
}

}  // namespace nexus
