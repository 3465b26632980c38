#include "selftest/bus-steps.h"

#include <kj/debug.h>

#include "libs/oslite-frames/bundlemgr-frames.h"
#include "libs/oslite-frames/samgr-frames.h"
#include "selftest/step-runner.h"

namespace nexus {

namespace {

constexpr size_t PING_BYTES = 64;
constexpr kj::StringPtr RESOLVED = "bundlemgrd"_kj;
constexpr kj::StringPtr FORBIDDEN = "keystored"_kj;  // no rule of a test image names it
constexpr kj::StringPtr UNKNOWN = "does.not.exist"_kj;
constexpr uint16_t BUNDLES = 1;
constexpr kj::Duration AUDIT_INTERVAL = 200 * kj::MILLISECONDS;

kj::Array<kj::byte> resolveFrame() {
  return KJ_ASSERT_NONNULL(sm::tryEncodeResolveStatus(RESOLVED.asArray()));
}

void requireCallOk(idl::CallStatus status, kj::StringPtr what) {
  if (status != idl::CallStatus::OK) failStep(kj::str(what, ": the peer answered ", statusName(status)));
}

}  // namespace

BusSteps::BusSteps(GetNet net, GetBus bus, kj::Timer& timer, Entropy& entropy)
    : net(kj::mv(net)),
      bus(kj::mv(bus)),
      timer(timer),
      entropy(entropy),
      own(DeviceIdentity::forTest("selftest")),
      stranger(DeviceIdentity::forTest("stranger")) {}

kj::Promise<void> BusSteps::connect(kj::StringPtr name, SocketAddress address) {
  auto peer = DeviceIdentity::forTest(name).publicIdentity();
  auto result = co_await BusClient::connect(net(), address, own, ExpectedPeer::of(peer), timer, entropy, {});
  KJ_IF_MAYBE (failure, result.tryGet<BusClient::Failure>()) failStep(failure->reason);
  client = kj::mv(result.get<kj::Own<BusClient>>());
}

kj::Promise<void> BusSteps::ping() {
  if (client == nullptr) failStep("there is no session to ping through");
  auto& session = *KJ_ASSERT_NONNULL(client);
  auto payload = kj::heapArray<kj::byte>(PING_BYTES);
  entropy.fill(payload);
  auto answer = co_await session.ping(payload);
  if (answer != payload) failStep("another payload came back");
}

kj::Promise<idl::PeerSession::Client> BusSteps::session(kj::String peer) {
  auto request = bus().sessionRequest();
  request.setPeer(peer);
  auto response = co_await request.send();
  switch (response.getOutcome()) {
    case idl::DSoftBus::Outcome::OK:
      co_return response.getSession();
    case idl::DSoftBus::Outcome::UNKNOWN_PEER:
      failStep(kj::str(peer, " is in no trust table"));
    case idl::DSoftBus::Outcome::NOT_TRUSTED:
      failStep(kj::str(peer, " is not trusted, or does not trust us"));
    case idl::DSoftBus::Outcome::UNREACHABLE:
      failStep(kj::str(peer, " cannot be reached"));
  }
  failStep("an outcome that this version does not know");
}

kj::Promise<BusSteps::Reply> BusSteps::call(kj::String peer, kj::String service, kj::Array<kj::byte> frame) {
  auto target = co_await session(kj::mv(peer));
  auto request = target.callRequest();
  request.setService(service);
  request.setFrame(frame);
  auto response = co_await request.send();
  co_return Reply{response.getStatus(), response.getAuditId(), kj::heapArray<kj::byte>(response.getReply())};
}

kj::Promise<kj::Array<kj::byte>> BusSteps::reply(kj::StringPtr peer, kj::StringPtr serviceName,
                                                 kj::Array<kj::byte> frame) {
  auto service = kj::str(serviceName);
  auto answer = co_await call(kj::str(peer), kj::str(service), kj::mv(frame));
  requireCallOk(answer.status, service);
  co_return kj::mv(answer.frame);
}

kj::Promise<void> BusSteps::remoteResolve(kj::StringPtr peer) {
  auto answer = co_await call(kj::str(peer), kj::str("samgrd"), resolveFrame());
  requireCallOk(answer.status, "samgrd");
  auto reply = sm::decodeReply(answer.frame, sm::Op::RESOLVE_STATUS);
  KJ_IF_MAYBE (r, reply) {
    if (r->status != sm::Status::OK) failStep(kj::str("nobody serves ", RESOLVED, " there"));
    co_return;
  }
  failStep("samgrd: the reply is not one");
}

kj::Promise<void> BusSteps::remoteQuery(kj::StringPtr peer) {
  auto answer = co_await call(kj::str(peer), kj::str("bundlemgrd"), bn::encodeList());
  requireCallOk(answer.status, "bundlemgrd");
  auto reply = bn::decodeListReply(answer.frame);
  KJ_IF_MAYBE (r, reply) {
    if (r->status != bn::Status::OK || r->count != BUNDLES)
      failStep(kj::str("LIST: status ", kj::uint(r->status), ", ", r->count, " bundles, expected ", BUNDLES));
    co_return;
  }
  failStep("bundlemgrd: the reply is not one");
}

kj::Promise<idl::Samgr::Status> BusSteps::resolve(idl::Samgr::Client samgr, kj::StringPtr name) {
  auto request = samgr.resolveStatusRequest();
  request.setName(name);
  return request.send().then([](auto&& response) { return response.getStatus(); });
}

kj::Promise<void> BusSteps::remoteRpc(kj::StringPtr peerName) {
  auto opening = (co_await session(kj::str(peerName))).rpcRequest();
  opening.setService("samgr");
  auto opened = co_await opening.send();
  if (opened.getOutcome() != idl::PeerSession::StreamOutcome::OK)
    failStep(kj::str("the peer refused calls to samgr, outcome ", uint16_t(opened.getOutcome())));
  auto samgr = opened.getService().castAs<idl::Samgr>();
  if (co_await resolve(samgr, RESOLVED) != idl::Samgr::Status::OK) failStep(kj::str("nobody serves ", RESOLVED));
  if (co_await resolve(samgr, UNKNOWN) != idl::Samgr::Status::NOT_FOUND) failStep("a name that nobody has was found");
  auto forbidden = samgr.registerRequest();
  forbidden.setName("intruder");
  auto refusal = co_await forbidden.send().then([](auto&&) { return kj::String(); },
                                                [](kj::Exception&& e) { return kj::str(e.getDescription()); });
  if (strstr(refusal.cStr(), "audit id") == nullptr)
    failStep(kj::str("register was not refused with an audit id: ", refusal.size() == 0 ? "it was done"_kj : refusal));
}

kj::Promise<void> BusSteps::remoteDenied(kj::StringPtr peerName) {
  auto peer = kj::str(peerName);
  auto answer = co_await call(kj::str(peer), kj::str(FORBIDDEN), resolveFrame());
  if (answer.status != idl::CallStatus::DENIED)
    failStep(kj::str("a call to ", FORBIDDEN, " was answered ", statusName(answer.status), ", not denied"));
  if (answer.auditId == 0) failStep("the refusal names no audit record");
  if (answer.frame.size() > 0) failStep("a refusal carried a reply");
  co_await strangerIsRefused(kj::mv(peer));
}

kj::Promise<SocketAddress> BusSteps::addressOf(kj::String peer) {
  auto response = co_await bus().peersRequest().send();
  for (auto entry : response.getPeers()) {
    if (entry.getName() == peer) co_return SocketAddress::fromIdl(entry.getAddress());
  }
  failStep(kj::str(peer, " is not in the table of peers"));
}

// Somebody with a good key that the peer does not know gets its handshake, but no call.
kj::Promise<void> BusSteps::strangerIsRefused(kj::String peer) {
  auto address = co_await addressOf(kj::str(peer));
  auto expected = ExpectedPeer::of(DeviceIdentity::forTest(peer).publicIdentity());
  auto result =
      co_await BusClient::connect(net(), address, stranger, kj::mv(expected), timer, entropy, {.greet = false});
  KJ_IF_MAYBE (failure, result.tryGet<BusClient::Failure>())
    failStep(kj::str("the stranger could not even connect: ", failure->reason));
  auto frame = resolveFrame();
  auto reply = co_await result.get<kj::Own<BusClient>>()->call("samgrd", frame);
  if (reply.status != CallStatus::UNAUTHENTICATED)
    failStep(kj::str("a stranger's call was answered ", statusName(reply.status), ", not unauthenticated"));
}

kj::Promise<void> BusSteps::sawPeersCalls(kj::StringPtr peerName) {
  auto peer = kj::str(peerName);
  bool resolved = false, queried = false, denied = false, unauthenticated = false;
  uint64_t after = 0;
  for (;;) {
    auto request = bus().auditRequest();
    request.setAfter(after);
    auto response = co_await request.send();
    for (auto record : response.getRecords()) {
      after = record.getId();
      bool ok = record.getVerdict() == idl::CallStatus::OK;
      bool fromPeer = record.getPeer() == peer;
      resolved = resolved || (ok && fromPeer && record.getService() == "samgrd");
      queried = queried || (ok && fromPeer && record.getService() == "bundlemgrd");
      denied = denied || (fromPeer && record.getVerdict() == idl::CallStatus::DENIED);
      unauthenticated = unauthenticated || record.getVerdict() == idl::CallStatus::UNAUTHENTICATED;
    }
    if (resolved && queried && denied && unauthenticated) co_return;
    co_await timer.afterDelay(AUDIT_INTERVAL);
  }
}

}  // namespace nexus
