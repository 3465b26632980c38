// The hostile machines that have no trusted key.
#include "tests/sim/hostile.h"

#include <kj/debug.h>

#include "daemons/dsoftbusd/discovery/announce-packet.h"
#include "daemons/dsoftbusd/mux/mux-frame.h"

namespace nexus {

namespace {

constexpr uint16_t DISCOVERY_PORT = 37020;

// Its handshake is sound; everything after it must be refused, and nothing executed.
class Stranger final : public Hostile {
 public:
  explicit Stranger(HostileMeans m)
      : Hostile(kj::mv(m)), own(DeviceIdentity::forTest(kj::str("stranger ", means.seed))) {}

  kj::Promise<void> once() override {
    auto victim = anyVictim();
    auto maybeDone = co_await shakeHands(victim, own);
    if (maybeDone == nullptr) co_return;
    auto& channel = *KJ_ASSERT_NONNULL(maybeDone).channel;
    co_await sayOne(channel, victim);
    if (below(2) == 0) co_await sayOne(channel, victim);
    co_await listen(channel);
  }

 private:
  DeviceIdentity own;

  kj::Promise<void> sayOne(RecordChannel& channel, kj::uint victim) {
    switch (below(4)) {
      case 0:
        return channel.send(PingMessage{1, nullptr});
      case 1: {
        auto frame = noise(below(64));
        return channel.send(RequestMessage{2, fleetService(FleetRight::LIST).asArray(), frame}).attach(kj::mv(frame));
      }
      case 2: {
        auto open = encodeMuxFrame(MuxOpen{1, 0, fleetStreamName(0).asArray()});
        return channel.sendRecord(open.type, open.body);
      }
      default: {
        auto body = noise(below(300));
        return channel.sendRecord(1 + below(30), body);
      }
    }
  }

  // It must not be answered with anything but a refusal.
  kj::Promise<void> listen(RecordChannel& channel) {
    for (;;) {
      auto received = co_await channel.receive();
      if (!received.is<RecordChannel::Message>()) co_return;
      auto& record = received.get<RecordChannel::Message>();
      auto parsed = tryParseSessionMessage(record.type, record.body);
      KJ_IF_MAYBE (message, parsed) {
        KJ_IF_MAYBE (response, message->tryGet<ResponseMessage>()) {
          if (response->status == CallStatus::UNAUTHENTICATED) continue;
        }
        if (message->is<CloseMessage>()) co_return;
      }
      means.books.trace.violation(kj::str("a stranger was answered with a record of type ", record.type));
    }
  }
};

class Replayer final : public Hostile {
 public:
  using Hostile::Hostile;

  kj::Promise<void> once() override {
    auto& recordings = means.wire.recordings();
    if (recordings.empty()) co_return;
    auto at = recordings.begin();
    std::advance(at, below(recordings.size()));
    if (at->second.to >= means.books.honest) co_return;  // it went to one of us
    auto bytes = kj::heapArray(at->second.bytes.asPtr());
    auto victim = below(8) == 0 ? anyVictim() : at->second.to;
    auto most = below(2) == 0 ? bytes.size() : below(bytes.size() + 1);
    auto maybeStream = co_await dial(victim);
    KJ_IF_MAYBE (stream, maybeStream) {
      co_await (*stream)->write(bytes.begin(), most);
      co_await means.timer.afterDelay(aWhile(6 * kj::SECONDS));
    }
  }
};

class Announcer final : public Hostile {
 public:
  explicit Announcer(HostileMeans m) : Hostile(kj::mv(m)) {}

  kj::Duration pause() override { return aWhile(below(4) == 0 ? 3 * kj::SECONDS : 20 * kj::MILLISECONDS); }

  kj::Promise<void> once() override {
    if (socket == nullptr) {
      auto request = means.net.createUdpSocketRequest();
      request.initLocal().initAddress().setAny();
      socket = (co_await request.send()).getSocket();
    }
    auto packet = choose();
    auto request = KJ_ASSERT_NONNULL(socket).sendToRequest();
    auto everyone = IpAddress::v4(239, 42, 0, 1);
    SocketAddress to{below(2) == 0 ? everyone : FleetWire::addressOf(anyVictim()), DISCOVERY_PORT};
    to.toIdl(request.initTo());
    request.setData(packet);
    co_await request.send();
  }

 private:
  kj::Maybe<idl::UdpSocket::Client> socket;

  kj::Array<kj::byte> choose() {
    auto someone = knownOf(anyVictim()).clone();
    KeyBytes wrong;
    random.fill(kj::arrayPtr(wrong.data(), wrong.size()));
    switch (below(5)) {
      case 0:  // a trusted device with another key
        return encode({kj::mv(someone.deviceId), 34567, wrong, nullptr});
      case 1:  // a trusted device, at this machine
        return encode({kj::mv(someone.deviceId), uint16_t(1 + below(65535)), someone.staticKey, nullptr});
      case 2: {  // a device that nobody knows
        auto services = kj::heapArrayBuilder<kj::String>(1);
        services.add(kj::str("free-money"));
        return encode({kj::str("device-", random.next()), 1, wrong, services.finish()});
      }
      case 3:
        return noise(1 + below(1200));
      default: {  // one that is cut, or changed in one place
        auto packet = encode({kj::mv(someone.deviceId), 34567, someone.staticKey, nullptr});
        packet[below(packet.size())] ^= 1 << below(8);
        return kj::heapArray<kj::byte>(packet.slice(0, 1 + below(packet.size())));
      }
    }
  }

  static kj::Array<kj::byte> encode(const Announce& announce) {
    auto encoded = encodeAnnounce(announce);
    return kj::mv(encoded.get<kj::Array<kj::byte>>());
  }
};

// Connections that cost a place each and come to nothing.
class HalfOpener final : public Hostile {
 public:
  explicit HalfOpener(HostileMeans m) : Hostile(kj::mv(m)) {}

  kj::Duration pause() override { return aWhile(60 * kj::MILLISECONDS); }

  kj::Promise<void> once() override {
    // One victim at a time, so that it has more of them than it may keep.
    if (open.size() > 60) {
      open.clear();
      victim = anyVictim();
    }
    auto maybeStream = co_await dial(victim);
    KJ_IF_MAYBE (stream, maybeStream) {
      auto half = noise(below(30));
      if (half.size() >= 4) half[0] = half[1] = half[2] = 0, half[3] = 48;
      if (half.size() > 0) co_await (*stream)->write(half.begin(), half.size());
      open.add(kj::mv(*stream));
    }
  }

 private:
  kj::uint victim = 0;
  kj::Vector<kj::Own<kj::AsyncIoStream>> open;
};

class Slow final : public Hostile {
 public:
  explicit Slow(HostileMeans m) : Hostile(kj::mv(m)) {}

  kj::Promise<void> once() override {
    auto maybeStream = co_await dial(anyVictim());
    KJ_IF_MAYBE (stream, maybeStream) {
      auto bytes = noise(52);
      bytes[0] = bytes[1] = bytes[2] = 0, bytes[3] = 48;
      for (auto& byte : bytes) {
        co_await (*stream)->write(&byte, 1);
        co_await means.timer.afterDelay(aWhile(400 * kj::MILLISECONDS));
      }
    }
  }
};

}  // namespace

kj::Own<Hostile> newStranger(HostileMeans means) {
  return kj::heap<Stranger>(kj::mv(means));
}
kj::Own<Hostile> newReplayer(HostileMeans means) {
  return kj::heap<Replayer>(kj::mv(means));
}
kj::Own<Hostile> newAnnouncer(HostileMeans means) {
  return kj::heap<Announcer>(kj::mv(means));
}
kj::Own<Hostile> newHalfOpener(HostileMeans means) {
  return kj::heap<HalfOpener>(kj::mv(means));
}
kj::Own<Hostile> newSlow(HostileMeans means) {
  return kj::heap<Slow>(kj::mv(means));
}

}  // namespace nexus
