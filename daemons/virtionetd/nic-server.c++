#include "daemons/virtionetd/nic-server.h"

#include <kj/debug.h>
#include <kj/vector.h>

#include "libs/nexus-net-os/rpc/fd-cap.h"

namespace nexus {

namespace {

constexpr size_t ETHERNET_HEADER = 14;     // bytes
constexpr size_t MAX_STATUS_WAITERS = 64;  // calls of linkStatus that wait; one more is OVERLOADED

class AttachmentImpl final : public idl::Attachment::Server {
 public:
  explicit AttachmentImpl(kj::Own<LinkAttachment> attachment) : attachment(kj::mv(attachment)) {}
  ~AttachmentImpl() noexcept(false) { attachment->drop(); }

  kj::Promise<void> memory(MemoryContext context) override {
    auto fds = session().attachmentFds();
    auto results = context.getResults();
    results.setBuffers(newFdCap(kj::mv(fds.buffers)));
    results.setRings(newFdCap(kj::mv(fds.rings)));
    results.setToStack(newFdCap(kj::mv(fds.toStackListen)));
    results.setToDriver(newFdCap(kj::mv(fds.toDriverRing)));
    return kj::READY_NOW;
  }

  kj::Promise<void> start(StartContext) override {
    session().start();
    return kj::READY_NOW;
  }

  kj::Promise<void> closed(ClosedContext context) override {
    auto reason = co_await attachment->whenClosed();
    context.getResults().setReason(reason);
  }

 private:
  kj::Own<LinkAttachment> attachment;

  LinkSession& session() {
    KJ_IF_MAYBE (s, attachment->session()) return *s;
    kj::throwFatalException(KJ_EXCEPTION(DISCONNECTED, "the attachment is over"));
  }
};

class NicImpl final : public idl::Nic::Server {
 public:
  explicit NicImpl(NicLink& link) : link(link) {}

  kj::Promise<void> transmit(TransmitContext context) override {
    auto frame = context.getParams().getFrame();
    size_t most = ETHERNET_HEADER + link.status().state.mtu;
    KJ_REQUIRE(frame.size() >= ETHERNET_HEADER && frame.size() <= most, "a frame is 14 to mtu+14 bytes long",
               frame.size(), most);
    link.directPath().transmit(frame);
    return kj::READY_NOW;
  }

  kj::Promise<void> receive(ReceiveContext context) override {
    auto frame = co_await link.directPath().receive();
    context.getResults().setFrame(frame);
  }

  kj::Promise<void> macAddress(MacAddressContext context) override {
    auto mac = link.macAddress();
    context.getResults().setAddress(kj::arrayPtr(mac.bytes.data(), mac.bytes.size()));
    return kj::READY_NOW;
  }

  kj::Promise<void> linkStatus(LinkStatusContext context) override {
    auto known = context.getParams().getKnown();
    if (known == link.status().generation && link.statusWaiterCount() >= MAX_STATUS_WAITERS) {
      kj::throwFatalException(KJ_EXCEPTION(OVERLOADED, "too many calls wait for a change of the link already"));
    }
    co_await link.whenStatusDiffers(known);
    auto& now = link.status();
    auto status = context.getResults().initStatus();
    status.setGeneration(now.generation);
    status.setUp(now.state.up);
    status.setMtu(now.state.mtu);
    status.setReason(now.state.reason);
  }

  kj::Promise<void> attach(AttachContext context) override {
    context.getResults().setAttachment(kj::heap<AttachmentImpl>(link.attach()));
    return kj::READY_NOW;
  }

  kj::Promise<void> statistics(StatisticsContext context) override {
    auto totals = linkCounters(link);
    auto list = context.getResults().initCounters(static_cast<kj::uint>(totals.size()));
    for (kj::uint i = 0; i < totals.size(); i++) {
      list[i].setName(totals[i].name);
      list[i].setValue(totals[i].value);
    }
    return kj::READY_NOW;
  }

 private:
  NicLink& link;
};

}  // namespace

kj::Array<NamedCounter> linkCounters(NicLink& link) {
  auto totals = link.counters();
  auto& direct = link.directPath().counters();
  kj::Vector<NamedCounter> all;
  all.add(NamedCounter{"link.rxFrames"_kj, totals.frames.received});
  all.add(NamedCounter{"link.rxBytes"_kj, totals.frames.receivedBytes});
  all.add(NamedCounter{"link.txFrames"_kj, totals.frames.transmitted});
  all.add(NamedCounter{"link.txBytes"_kj, totals.frames.transmittedBytes});
  all.add(NamedCounter{"link.txHeld"_kj, totals.frames.held});
  all.add(NamedCounter{"link.deviceFailures"_kj, totals.deviceFailures});
  all.add(NamedCounter{"link.openFailures"_kj, totals.openFailures});
  all.add(NamedCounter{"attach.made"_kj, totals.attachments});
  all.add(NamedCounter{"attach.faults"_kj, totals.attachmentFaults});
  all.add(NamedCounter{"direct.rxFrames"_kj, direct.received});
  all.add(NamedCounter{"direct.txFrames"_kj, direct.transmitted});
  all.add(NamedCounter{"direct.dropQueueFull"_kj, direct.droppedQueueFull});
  all.add(NamedCounter{"direct.dropAttached"_kj, direct.droppedAttached});
  link.linkBackend().forEachCounter([&](kj::StringPtr name, uint64_t value) { all.add(NamedCounter{name, value}); });
  return all.releaseAsArray();
}

idl::Nic::Client newNicServer(NicLink& link) {
  return kj::heap<NicImpl>(link);
}

}  // namespace nexus
