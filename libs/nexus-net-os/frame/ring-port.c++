#include "libs/nexus-net-os/frame/ring-port.h"

#include <kj/debug.h>

#include "libs/nexus-net-os/frame/ring-stack-end.h"
#include "libs/nexus-net-os/rpc/fd-cap.h"

namespace nexus {

namespace {

constexpr size_t ETHERNET_HEADER = 14;
constexpr size_t VLAN_TAG = 4;
constexpr size_t MAX_MEMORY = 64 * 1024 * 1024;  // bytes of either memory: well above what the largest geometry needs
constexpr kj::StringPtr AWAY = "the driver is away"_kj;
constexpr kj::StringPtr NO_CARRIER = "the driver reports the link down"_kj;

SharedMemory mapAll(kj::AutoCloseFd fd) {
  size_t size = memorySize(fd);
  KJ_REQUIRE(size > 0 && size <= MAX_MEMORY, "the driver offers memory of an impossible size", size);
  return SharedMemory::map(kj::mv(fd), size);
}

}  // namespace

struct RingPort::Session {
  idl::Nic::Client nic;
  idl::Attachment::Client attachment;
  MacAddress mac;
  LinkState link;
  bool granted = false;  // transmit buffers, the first: what is sent as soon as the link is up needs them
  uint32_t generation = 0;
  kj::TimePoint since;
  kj::Own<RingStackEnd> end;
  DoorbellListener bell;

  Session(idl::Nic::Client nic, idl::Attachment::Client attachment, kj::TimePoint since, kj::Own<RingStackEnd> end,
          kj::UnixEventPort& eventPort, kj::AutoCloseFd bellFd)
      : nic(kj::mv(nic)),
        attachment(kj::mv(attachment)),
        since(since),
        end(kj::mv(end)),
        bell(eventPort, kj::mv(bellFd)) {}
  ~Session() noexcept(false) { end->end(); }
  KJ_DISALLOW_COPY_AND_MOVE(Session);

  void update(idl::LinkStatus::Reader status) {
    generation = status.getGeneration();
    link = {status.getUp(), status.getMtu(), status.getUp() ? ""_kj : NO_CARRIER};
  }
};

RingPort::RingPort(CapReconnect& nic, kj::UnixEventPort& eventPort, kj::Timer& timer)
    : RingPort(nic, eventPort, timer, Backoff{}) {}

RingPort::RingPort(CapReconnect& nic, kj::UnixEventPort& eventPort, kj::Timer& timer, Backoff backoff)
    : nic(nic), eventPort(eventPort), timer(timer), backoff(backoff), nextDelay(backoff.first) {}

RingPort::~RingPort() noexcept(false) = default;

// Attaching ----------------------------------------

kj::Promise<kj::Own<RingPort::Session>> RingPort::open() {
  auto client = nic.get<idl::Nic>();
  auto address = co_await client.macAddressRequest().send();
  auto linkRequest = client.linkStatusRequest();
  linkRequest.setKnown(0);
  auto link = co_await linkRequest.send();
  auto attached = co_await client.attachRequest().send();
  auto attachment = attached.getAttachment();

  auto memory = co_await attachment.memoryRequest().send();
  auto buffersFd = co_await takeFd(memory.getBuffers());
  auto ringsFd = co_await takeFd(memory.getRings());
  auto toStackBell = co_await takeFd(memory.getToStack());
  auto toDriverBell = co_await takeFd(memory.getToDriver());

  // Map before start, because nobody can make a writable mapping afterwards; read only after it, because the memory may
  // vanish before.
  auto rings = mapAll(kj::mv(ringsFd));
  auto bufferMemory = mapAll(kj::mv(buffersFd));
  co_await attachment.startRequest().send();
  rings.requireSealed();
  bufferMemory.requireSealed();
  auto geometry = readRingControl(rings.bytes());
  BufferPool buffers(kj::mv(bufferMemory), geometry);

  auto end = kj::refcounted<RingStackEnd>(kj::mv(buffers), kj::mv(rings), Doorbell(kj::mv(toDriverBell)));
  auto result =
      kj::heap<Session>(kj::mv(client), kj::mv(attachment), timer.now(), kj::mv(end), eventPort, kj::mv(toStackBell));
  result->update(link.getStatus());
  result->mac = MacAddress::fromBytes(address.getAddress());
  co_return kj::mv(result);
}

kj::Promise<void> RingPort::pause() {
  auto delay = nextDelay;
  nextDelay = kj::min(nextDelay * 2, backoff.most);
  return timer.afterDelay(delay);
}

kj::Promise<void> RingPort::attach() {
  bool told = false;  // once per outage, not at every try
  while (session == nullptr) {
    // The failure is kept outside the handler, because there is no waiting inside one.
    auto opened = co_await open().then([](kj::Own<Session> s) -> kj::Maybe<kj::Own<Session>> { return kj::mv(s); },
                                       [this](kj::Exception&& exception) -> kj::Maybe<kj::Own<Session>> {
                                         reason = kj::str(exception.getDescription());
                                         return nullptr;
                                       });
    KJ_IF_MAYBE (s, opened) {
      totals.attached++;
      mac = (*s)->mac;
      session = kj::mv(*s);
    } else {
      totals.failed++;
      if (!told) KJ_LOG(WARNING, "no driver to attach to yet, trying on", reason);
      told = true;
      co_await pause();
    }
  }
}

// Receiving ----------------------------------------

kj::Promise<void> RingPort::receiveLoop(Receiver& receiver) {
  for (;;) {
    co_await attach();
    auto& present = *KJ_ASSERT_NONNULL(session);
    reason = co_await sessionLoop(present, receiver).catch_([](kj::Exception&& exception) {
      return kj::str(exception.getDescription());
    });
    KJ_LOG(WARNING, "detached from the driver", reason);
    totals.lost++;
    if (timer.now() - present.since >= backoff.most) nextDelay = backoff.first;  // it was worth something
    session = nullptr;
    receiver.linkChanged();
    co_await pause();
  }
}

kj::Promise<kj::String> RingPort::sessionLoop(Session& present, Receiver& receiver) {
  auto closed = present.attachment.closedRequest().send().then(
      [](auto&& response) { return kj::str("the driver ended the attachment: ", response.getReason()); });
  auto lost = nic.whenLost().then([] { return kj::str("the connection to the driver was lost"); });
  return frameLoop(present, receiver)
      .exclusiveJoin(linkLoop(present, receiver))
      .exclusiveJoin(kj::mv(closed))
      .exclusiveJoin(kj::mv(lost));
}

kj::Promise<kj::String> RingPort::frameLoop(Session& present, Receiver& receiver) {
  auto& end = *present.end;
  for (;;) {
    auto before = end.deliveredCount();
    auto count = end.poll(receiver);
    totals.received += end.deliveredCount() - before;
    if (count > 0) receiver.batchDone();
    if (!present.granted && end.freeTransmitCount() > 0) {
      present.granted = true;
      receiver.linkChanged();
    }
    end.flush();
    if (end.fault().size() > 0) co_return kj::str("the driver broke the ring: ", end.fault());
    if (count == RingStackEnd::BATCH) {
      co_await kj::evalLast([] {});  // everybody else first
    } else if (end.prepareSleep()) {
      co_await present.bell.whenRung();
      end.awake();
    }
  }
}

kj::Promise<kj::String> RingPort::linkLoop(Session& present, Receiver& receiver) {
  for (;;) {
    auto request = present.nic.linkStatusRequest();
    request.setKnown(present.generation);
    auto response = co_await request.send();
    present.update(response.getStatus());
    receiver.linkChanged();
  }
}

// implements FramePort ----------------------------------------

MacAddress RingPort::macAddress() {
  return KJ_REQUIRE_NONNULL(mac, "not attached yet: the address is the driver's to say");
}

LinkState RingPort::linkState() {
  KJ_IF_MAYBE (s, session) {
    if ((*s)->granted) return (*s)->link;
  }
  return {false, LinkState{}.mtu, AWAY};
}

bool RingPort::transmit(kj::ArrayPtr<const kj::ArrayPtr<const kj::byte>> pieces, const FrameMeta& meta) {
  KJ_IF_MAYBE (s, session) {
    size_t length = 0;
    for (auto& piece : pieces) length += piece.size();
    if (length < ETHERNET_HEADER || length > ETHERNET_HEADER + VLAN_TAG + (*s)->link.mtu) {
      totals.droppedSize++;
      return false;
    }
    if ((*s)->end->transmit(pieces, meta)) {
      totals.transmitted++;
      return true;
    }
    totals.droppedFull++;
    return false;
  }
  totals.droppedAway++;
  return false;
}

void RingPort::flush() {
  KJ_IF_MAYBE (s, session) (*s)->end->flush();
}

}  // namespace nexus
