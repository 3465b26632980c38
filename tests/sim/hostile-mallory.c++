// The hostile machine with a key that the others trust. After the handshake it may send anything: the session must end
// for what no correct peer sends, nothing that it is not allowed may be executed, and nobody else may notice.
#include "tests/sim/hostile.h"

#include <kj/debug.h>

#include "daemons/dsoftbusd/mux/mux-core.h"
#include "libs/oslite-frames/bundlemgr-frames.h"
#include "libs/oslite-frames/samgr-frames.h"

namespace nexus {

namespace {

class Mallory final : public Hostile {
 public:
  explicit Mallory(HostileMeans m) : Hostile(kj::mv(m)), own(identityOf(means.machine)) {}

  kj::Promise<void> once() override {
    auto victim = anyVictim();
    auto maybeDone = co_await shakeHands(victim, own);
    if (maybeDone == nullptr) co_return;
    auto& channel = *KJ_ASSERT_NONNULL(maybeDone).channel;
    auto reading = below(4) == 0 ? kj::Promise<void>(kj::NEVER_DONE) : answer(channel);
    auto deeds = attack(channel, victim);
    auto late = means.timer.afterDelay(12 * kj::SECONDS);
    co_await reading.exclusiveJoin(kj::mv(deeds)).exclusiveJoin(kj::mv(late));
  }

 private:
  DeviceIdentity own;

  // As a peer that is well: pongs. Responses are not looked at.
  kj::Promise<void> answer(RecordChannel& channel) {
    for (;;) {
      auto received = co_await channel.receive();
      if (!received.is<RecordChannel::Message>()) co_return;
      auto& record = received.get<RecordChannel::Message>();
      auto parsed = tryParseSessionMessage(record.type, record.body);
      KJ_IF_MAYBE (message, parsed) {
        KJ_IF_MAYBE (ping, message->tryGet<PingMessage>()) co_await channel.send(PongMessage{ping->id, ping->payload});
      }
    }
  }

  kj::Promise<void> attack(RecordChannel& channel, kj::uint victim) {
    co_await channel.send(PingMessage{1, nullptr});
    co_await means.timer.afterDelay(aWhile(300 * kj::MILLISECONDS));
    auto deeds = 1 + below(12);
    for (auto i = 0u; i < deeds; i++) {
      co_await deed(channel, victim);
      if (below(3) == 0) co_await means.timer.afterDelay(aWhile(1 * kj::SECONDS));
    }
    co_await means.timer.afterDelay(aWhile(8 * kj::SECONDS));
  }

  kj::Promise<void> deed(RecordChannel& channel, kj::uint victim) {
    switch (below(13)) {
      case 0:  // any record
        return raw(channel, 1 + below(255), noise(below(600)));
      case 1:
        return raw(channel, 1 + below(5), noise(below(40)));
      case 2:
        return raw(channel, MUX_FIRST_RECORD_TYPE + below(6), noise(below(40)));
      case 3:
        return flood(channel, victim);
      case 4:
        return call(channel, victim, FleetRight::RESOLVE);
      case 5:
        return call(channel, victim, FleetRight::LIST);
      case 6:
        return open(channel, victim);
      case 7:
        return data(channel, MUX_MAX_DATA);
      case 8:
        return data(channel, 1);
      case 9:
        return frame(channel, MuxWindowUpdate{id(), int64_t(random.next())});
      case 10:
        return raw(channel, 18, noise(RECORD_MAX_BODY));  // DATA as large as a record
      case 11:
        return pour(channel);
      default:
        return channel.send(ResponseMessage{below(8), CallStatus::OK, 1, nullptr});
    }
  }

  MuxStreamId id() { return MuxStreamId(1 + below(9)); }

  kj::Promise<void> raw(RecordChannel& channel, uint8_t type, kj::Array<kj::byte> body) {
    return channel.sendRecord(type, body);
  }
  kj::Promise<void> frame(RecordChannel& channel, const MuxFrame& frame) {
    auto encoded = encodeMuxFrame(frame);
    return channel.sendRecord(encoded.type, encoded.body);
  }

  kj::Promise<void> call(RecordChannel& channel, kj::uint victim, FleetRight right) {
    auto token = means.books.calls.attempt(means.machine, victim, right);
    auto body = right == FleetRight::LIST ? bn::encodeList() : resolveFrame(token);
    return channel.send(RequestMessage{token, fleetService(right).asArray(), body});
  }

  kj::Array<kj::byte> resolveFrame(uint64_t token) {
    auto canary = means.books.streams.canary();
    kj::Vector<char> name;
    for (auto byte : canary) name.add(char(byte));
    name.addAll(kj::arrayPtr(reinterpret_cast<const char*>(&token), sizeof(token)));
    return KJ_ASSERT_NONNULL(sm::tryEncodeResolveStatus(name));
  }

  kj::Promise<void> flood(RecordChannel& channel, kj::uint victim) {
    auto calls = 20 + below(150);
    for (auto i = 0u; i < calls; i++) co_await call(channel, victim, FleetRight::RESOLVE);
  }

  // Opens that may be allowed, that may not, and more than fit.
  kj::Promise<void> open(RecordChannel& channel, kj::uint victim) {
    if (below(4) == 0) {
      for (auto i = 0u; i < 140; i++) co_await frame(channel, MuxOpen{MuxStreamId(101 + 2 * i), 7, name()});
      co_return;
    }
    co_await frame(channel, MuxOpen{MuxStreamId(1 + 2 * below(6)), kj::byte(below(8)), name()});
  }

  kj::ArrayPtr<const char> name() {
    return below(4) == 0 ? "fleet/never"_kj.asArray() : fleetStreamName(below(FLEET_STREAM_NAMES)).asArray();
  }

  // Into one stream, which may well be allowed, more than any buffer takes.
  kj::Promise<void> pour(RecordChannel& channel) {
    auto stream = MuxStreamId(1 + 2 * below(6));
    co_await frame(channel, MuxOpen{stream, 0, fleetStreamName(below(FLEET_STREAM_NAMES)).asArray()});
    auto payload = noise(MUX_MAX_DATA);
    for (auto i = 0u; i < 9; i++) co_await frame(channel, MuxData{stream, payload});
  }

  // More than the initial credit, sooner or later.
  kj::Promise<void> data(RecordChannel& channel, size_t bytes) {
    auto stream = id();
    auto times = 1 + below(5);
    for (auto i = 0u; i < times; i++) {
      auto payload = noise(bytes);
      co_await frame(channel, MuxData{stream, payload});
    }
  }
};

}  // namespace

kj::Own<Hostile> newMallory(HostileMeans means) {
  return kj::heap<Mallory>(kj::mv(means));
}

}  // namespace nexus
