// Deny by default is data, and this walks all of it: every peer, every service and names that are none, every op byte
// of every protocol in every version, under a policy that allows all that is offered and under each policy that allows
// one tuple alone. What reaches a backend, what is answered and what is recorded is compared with a table that is
// written down here once more, apart from the code.
#include <doctest/doctest.h>
#include <kj/debug.h>
#include <kj/vector.h>

#include <map>
#include <string>

#include "daemons/dsoftbusd/remote/remote-proxy.h"
#include "libs/nexus-net-os/testing/sim-clock.h"
#include "libs/oslite-frames/bundlemgr-frames.h"
#include "libs/oslite-frames/packagefs-frames.h"
#include "libs/oslite-frames/samgr-frames.h"
#include "libs/oslite-frames/statefs-gate.h"

namespace nexus {
namespace {

using Bytes = kj::Array<kj::byte>;

enum class Protocol { SM, BN, PK, SF };
constexpr Protocol PROTOCOLS[] = {Protocol::SM, Protocol::BN, Protocol::PK, Protocol::SF};

// The documented operations of each protocol. OFFERED: a rule may allow it. HERE: allowed or not, it stays on this
// node.
enum class Offer { OFFERED, HERE };
struct KnownOp {
  Protocol protocol;
  kj::byte op;
  kj::StringPtr name;
  Offer offer;
};
constexpr KnownOp KNOWN[] = {
    {Protocol::SM, 1, "register"_kj, Offer::HERE},
    {Protocol::SM, 2, "lookup"_kj, Offer::HERE},
    {Protocol::SM, 3, "ping-cap-move"_kj, Offer::HERE},
    {Protocol::SM, 4, "sender-pid"_kj, Offer::HERE},
    {Protocol::SM, 5, "sender-service-id"_kj, Offer::HERE},
    {Protocol::SM, 6, "resolve-status"_kj, Offer::OFFERED},
    {Protocol::BN, 1, "list"_kj, Offer::OFFERED},
    {Protocol::BN, 2, "route-status"_kj, Offer::HERE},
    {Protocol::BN, 3, "fetch-image"_kj, Offer::OFFERED},
    {Protocol::BN, 16, "query"_kj, Offer::OFFERED},
    {Protocol::PK, 1, "stat"_kj, Offer::OFFERED},
    {Protocol::PK, 2, "open"_kj, Offer::OFFERED},
    {Protocol::PK, 3, "read"_kj, Offer::OFFERED},
    {Protocol::PK, 4, "close"_kj, Offer::OFFERED},
    {Protocol::SF, 1, "put"_kj, Offer::OFFERED},
    {Protocol::SF, 2, "get"_kj, Offer::OFFERED},
    {Protocol::SF, 3, "del"_kj, Offer::OFFERED},
    {Protocol::SF, 4, "list"_kj, Offer::OFFERED},
    {Protocol::SF, 5, "sync"_kj, Offer::OFFERED},
    {Protocol::SF, 6, "reopen"_kj, Offer::HERE},
};

kj::StringPtr serviceOf(Protocol protocol) {
  switch (protocol) {
    case Protocol::SM:
      return "samgrd"_kj;
    case Protocol::BN:
      return "bundlemgrd"_kj;
    case Protocol::PK:
      return "packagefsd"_kj;
    case Protocol::SF:
      return "statefsd"_kj;
  }
  KJ_UNREACHABLE;
}

constexpr kj::StringPtr SERVICES[] = {"samgrd"_kj,  "bundlemgrd"_kj, "packagefsd"_kj, "statefsd"_kj,
                                      ""_kj,        "policyd"_kj,    "packagefs"_kj,  "SAMGRD"_kj,
                                      "samgrd "_kj, "stream:x"_kj,   "rpc:samgr"_kj};

// In the trust table and authenticated; in it, but the proof is missing; known to nobody.
struct Peer {
  kj::StringPtr name;
  bool authenticated;
};
constexpr Peer PEERS[] = {
    {"node-a"_kj, true}, {"node-b"_kj, true}, {"node-a"_kj, false}, {"stranger:0123"_kj, false}, {""_kj, true}};

const KnownOp* known(Protocol protocol, kj::uint op) {
  for (auto& k : KNOWN) {
    if (k.protocol == protocol && k.op == op) return &k;
  }
  return nullptr;
}

struct Frame {
  Protocol protocol;
  kj::uint version, op;
  Bytes bytes;
  bool sound;  // a request of its protocol, if version and op are known
};

// A body with which the op, if it is one, is a sound request.
Bytes bodyOf(Protocol protocol, kj::uint op, kj::uint version) {
  kj::Vector<kj::byte> body;
  auto text = [&](kj::StringPtr s) { body.addAll(s.asBytes()); };
  auto zeros = [&](size_t n) {
    while (n-- > 0) body.add(0);
  };
  if (protocol == Protocol::SF && version == 2) zeros(8);
  auto path = "pkg:/system/1.0.0/x"_kj, key = "/state/shared/x"_kj;
  switch (protocol) {
    case Protocol::SM:
      if (op == 1) body.add(1), zeros(8), text("x");
      if (op == 2 || op == 6) body.add(1), text("x");
      if (op == 4) zeros(4);
      break;
    case Protocol::BN:
      if (op == 2 || op == 16) body.add(1), text("x");
      break;
    case Protocol::PK:
      if (op == 1 || op == 2) body.add(path.size()), body.add(0), text(path);
      if (op == 3) body.add(1), zeros(7), body.add(16), body.add(0);
      if (op == 4) body.add(1), zeros(3);
      break;
    case Protocol::SF:
      if (op == 1) body.add(key.size()), zeros(1), body.add(1), zeros(3), text(key), text("v");
      if (op == 2 || op == 3) body.add(key.size()), zeros(1), text(key);
      if (op == 4) body.add(key.size()), zeros(1), body.add(5), zeros(1), text(key);
      break;
  }
  return body.releaseAsArray();
}

kj::StringPtr magicOf(Protocol protocol) {
  constexpr kj::StringPtr MAGIC[] = {"SM"_kj, "BN"_kj, "PK"_kj, "SF"_kj};
  return MAGIC[int(protocol)];
}

Frame frameOf(Protocol protocol, kj::uint version, kj::uint op, bool sound) {
  kj::Vector<kj::byte> bytes;
  bytes.addAll(magicOf(protocol).asBytes());
  bytes.add(version), bytes.add(op);
  bytes.addAll(bodyOf(protocol, op, version));
  if (!sound) bytes.add(0x5a);  // one byte too many is a fault of every op
  return {protocol, version, op, bytes.releaseAsArray(), sound};
}

// A sound reply to whatever is forwarded, so that the proxy has no reason of its own to keep it back.
Bytes replyTo(Protocol protocol, kj::ArrayPtr<const kj::byte> frame) {
  switch (protocol) {
    case Protocol::SM:
      return sm::encodeReply(sm::Op::RESOLVE_STATUS, sm::Status::OK);
    case Protocol::BN:
      return frame[3] == 1 ? bn::encodeListReply(1) : bn::encodeQueryReply(1, "1"_kj.asArray());
    case Protocol::PK:
      if (frame[3] == 1) return pk::encodeStatReply(1, 0);
      if (frame[3] == 2) return pk::encodeOpenReply(1);
      if (frame[3] == 3) return pk::encodeReadReply("x"_kj.asBytes());
      return pk::encodeStatus(pk::Op::CLOSE, pk::Status::OK);
    case Protocol::SF: {
      auto nonce = KJ_ASSERT_NONNULL(sf::decodeHead(frame)).nonce;
      if (frame[3] == 2) return sf::encodeGetReply(nonce, "v"_kj.asBytes());
      if (frame[3] == 4) return sf::encodeListReply(nonce, nullptr, 512);
      return sf::encodeStatusReply(sf::Op(frame[3]), nonce, sf::Status::OK);
    }
  }
  KJ_UNREACHABLE;
}

class WatchedBackend final : public ServiceBackend {
 public:
  WatchedBackend(Protocol protocol, kj::Vector<Bytes>& forwarded) : protocol(protocol), forwarded(forwarded) {}
  kj::Promise<Bytes> call(const RemoteCaller& caller, Bytes frame) override {
    CHECK(caller.authenticated);
    auto reply = replyTo(protocol, frame);
    forwarded.add(kj::mv(frame));
    return kj::mv(reply);
  }

 private:
  Protocol protocol;
  kj::Vector<Bytes>& forwarded;
};

struct Tuple {
  kj::StringPtr peer, service, operation;
};

struct Expected {
  CallStatus wire;   // what the caller is told
  CallStatus audit;  // what is recorded
  kj::StringPtr operation;
  bool forwarded;
};

Expected refused(CallStatus status, kj::StringPtr operation = nullptr) {
  return {status, status, operation, false};
}

Expected expect(const Peer& peer, kj::StringPtr service, const Frame& frame, kj::ArrayPtr<const Tuple> policy) {
  if (!peer.authenticated) return refused(CallStatus::UNAUTHENTICATED);
  bool exists = false;
  for (auto protocol : PROTOCOLS) exists = exists || serviceOf(protocol) == service;
  if (!exists) return refused(CallStatus::DENIED);
  auto* op = known(frame.protocol, frame.op);
  bool versionKnown = frame.version == 1 || (frame.version == 2 && frame.protocol == Protocol::SF);
  if (serviceOf(frame.protocol) != service || !versionKnown || op == nullptr) return refused(CallStatus::MALFORMED);
  // PK and SF say in their own words what is wrong with a request; for the other two it is no request at all. SM takes
  // any length of its op 3.
  bool ownWords = frame.protocol == Protocol::PK || frame.protocol == Protocol::SF;
  bool anyLength = frame.protocol == Protocol::SM && op->op == 3;
  if (!frame.sound && !ownWords && !anyLength) return refused(CallStatus::MALFORMED);
  bool allowed = false;
  for (auto& t : policy) {
    allowed = allowed || (t.peer == peer.name && t.service == service && t.operation == op->name);
  }
  if (op->offer == Offer::HERE || !allowed) return refused(CallStatus::DENIED, op->name);
  bool overStream = frame.protocol == Protocol::BN && op->op == 3;
  if (!frame.sound || overStream) return {CallStatus::OK, CallStatus::REFUSED, op->name, false};
  return {CallStatus::OK, CallStatus::OK, op->name, true};
}

struct Walk {
  SimClock sim;
  AuditLog audit{sim.timer, 8};
  RateLimiter rate{1000000000, 1000000000};
  RemoteProxyObserver observer;
  kj::Vector<Bytes> forwarded;
  std::map<std::string, kj::uint> forwardedTuples;
  uint64_t calls = 0;

  void run(kj::ArrayPtr<const Tuple> tuples, kj::ArrayPtr<const Frame> frames) {
    LivePolicy policy(rulesOf(tuples));
    auto backends = kj::heapArrayBuilder<RemoteProxy::Backend>(4);
    for (auto p : PROTOCOLS) {
      backends.add(RemoteProxy::Backend{serviceOf(p), kj::heap<WatchedBackend>(p, forwarded)});
    }
    RemoteProxy proxy(sim.timer, policy, rate, audit, observer, backends.finish());
    for (auto& peer : PEERS) {
      for (auto service : SERVICES) {
        for (auto& frame : frames) step(proxy, peer, service, frame, tuples);
      }
    }
  }

  static kj::Array<PolicyRule> rulesOf(kj::ArrayPtr<const Tuple> tuples) {
    return KJ_MAP(t, tuples) {
      return PolicyRule{kj::str(t.peer), kj::str(t.service), kj::arr(kj::str(t.operation))};
    };
  }

  // Says so only when something is wrong: there are hundreds of thousands.
  void step(RemoteProxy& proxy, const Peer& peer, kj::StringPtr service, const Frame& frame,
            kj::ArrayPtr<const Tuple> tuples) {
    calls++;
    auto before = audit.lastId();
    auto forwardedBefore = forwarded.size();
    auto expected = expect(peer, service, frame, tuples);
    auto reply = sim.run(proxy.handle({peer.authenticated, peer.name}, service.asArray(), frame.bytes));
    kj::uint records = 0;
    bool recordFits = false;
    audit.forEachAfter(before, [&](const AuditEntry& e) {
      records++;
      recordFits = e.id == reply.auditId && e.verdict == expected.audit && e.peer == peer.name &&
                   e.service == service && e.operation == expected.operation && e.requestBytes == frame.bytes.size();
    });
    bool reached = forwarded.size() > forwardedBefore;
    bool intact = !reached || (forwarded.size() == forwardedBefore + 1 && forwarded.back() == frame.bytes);
    bool right = reply.status == expected.wire && records == 1 && recordFits && reached == expected.forwarded && intact;
    // A refusal in the service's own words has bytes, every other one has none.
    bool bytesFit = (reply.reply.size() > 0) == (expected.wire == CallStatus::OK);
    if (reached) {
      forwardedTuples[kj::str(peer.name, ' ', service, ' ', expected.operation).cStr()]++;
      forwarded.clear();
    }
    if (right && bytesFit) return;
    auto who = std::string(peer.name.cStr()),
         asked = std::string(service.cStr()) + " " + magicOf(frame.protocol).cStr();
    CAPTURE(who);
    CAPTURE(asked);
    CAPTURE(frame.version);
    CAPTURE(frame.op);
    CAPTURE(frame.sound);
    CAPTURE(records);
    CHECK(std::string(statusName(reply.status).cStr()) == statusName(expected.wire).cStr());
    CHECK(reached == expected.forwarded);
    CHECK(recordFits);
    CHECK(bytesFit);
    FAIL("the walk met a step that is not as documented");
  }
};

kj::Vector<Frame> everyFrame() {
  kj::Vector<Frame> frames;
  for (auto protocol : PROTOCOLS) {
    for (kj::uint version : {0, 1, 2, 3, 255}) {
      for (kj::uint op = 0; op < 256; op++) {
        for (bool sound : {true, false}) frames.add(frameOf(protocol, version, op, sound));
      }
    }
  }
  return frames;
}

kj::Vector<Tuple> everyOffer(kj::StringPtr peer) {
  kj::Vector<Tuple> tuples;
  for (auto& k : KNOWN) {
    if (k.offer == Offer::OFFERED) tuples.add(Tuple{peer, serviceOf(k.protocol), k.name});
  }
  return tuples;
}

TEST_CASE("the operations that are offered are those of the documentation, and no others") {
  size_t offered = 0;
  for (auto& service : remoteServices()) {
    offered += service.offered.size();
    for (auto operation : service.offered) {
      bool documented = false;
      for (auto& k : KNOWN) {
        documented =
            documented || (serviceOf(k.protocol) == service.name && k.name == operation && k.offer == Offer::OFFERED);
      }
      CHECK(documented);
    }
  }
  CHECK(offered == everyOffer("").size());
  CHECK(remoteServices().size() == 4);
}

TEST_CASE("with nothing in the policy nothing is forwarded, whoever asks for whatever") {
  Walk walk;
  walk.run(nullptr, everyFrame());
  CHECK(walk.forwardedTuples.empty());
  CHECK(walk.calls == 5 * 11 * 4 * 5 * 256 * 2);
}

TEST_CASE("with everything in the policy exactly what is offered is forwarded, to that peer alone") {
  Walk walk;
  auto tuples = everyOffer("node-a");
  // Rules that the configuration would not take: they change nothing.
  for (auto& k : KNOWN) {
    if (k.offer == Offer::HERE) tuples.add(Tuple{"node-a"_kj, serviceOf(k.protocol), k.name});
  }
  tuples.add(Tuple{"node-a"_kj, "policyd"_kj, "list"_kj});
  walk.run(tuples, everyFrame());
  CHECK(walk.forwardedTuples.size() == 12);  // fetch-image has no frame that is forwarded
  for (auto& entry : walk.forwardedTuples) CHECK(entry.first.rfind("node-a ", 0) == 0);
}

TEST_CASE("with one tuple in the policy exactly that one is forwarded") {
  kj::Vector<Frame> frames;
  for (auto protocol : PROTOCOLS) {
    for (kj::uint version : {1, 2}) {
      for (kj::uint op = 0; op < 256; op++) {
        if (known(protocol, op) != nullptr || op % 16 == 0) frames.add(frameOf(protocol, version, op, true));
      }
    }
  }
  for (auto peer : {"node-a"_kj, "node-b"_kj}) {
    for (auto& tuple : everyOffer(peer)) {
      Walk walk;
      walk.run(kj::arrayPtr(&tuple, 1), frames);
      auto only = kj::str(tuple.peer, ' ', tuple.service, ' ', tuple.operation);
      if (tuple.operation == "fetch-image") {
        CHECK(walk.forwardedTuples.empty());
      } else {
        REQUIRE(walk.forwardedTuples.size() == 1);
        CHECK(walk.forwardedTuples.begin()->first == only.cStr());
      }
    }
  }
}

TEST_CASE("no stream is let in that no rule names, whatever its name") {
  SimClock sim;
  AuditLog audit(sim.timer);
  RateLimiter rate(1000000, 1000000);
  RemoteProxyObserver observer;
  kj::Vector<PolicyRule> rules;
  rules.add(PolicyRule{kj::str("node-a"), kj::str("stream:app/sync"), kj::arr(kj::str("open"))});
  LivePolicy policy(rules.releaseAsArray());
  RemoteProxy proxy(sim.timer, policy, rate, audit, observer, nullptr);
  for (auto& peer : PEERS) {
    for (auto name : {"app/sync"_kj, "app"_kj, "app/sync2"_kj, "stream:app/sync"_kj, "samgrd"_kj, "APP/SYNC"_kj}) {
      auto before = audit.lastId();
      auto decision = proxy.mayOpenStream({peer.authenticated, peer.name}, name);
      CHECK(decision.allowed == (peer.authenticated && peer.name == "node-a" && name == "app/sync"));
      CHECK(audit.lastId() == before + 1);
      CHECK(decision.auditId == audit.lastId());
    }
  }
}

}  // namespace
}  // namespace nexus
