#include "libs/nexus-net-os/virtio/virtio-handshake.h"

#include <kj/debug.h>
#include <kj/vector.h>

namespace nexus {

namespace {

kj::Promise<void> reset(VirtioTransport& transport, kj::Timer& timer) {
  auto deadline = timer.now() + RESET_DEADLINE;
  transport.writeStatus(virtio::status::RESET);
  while (transport.readStatus() != virtio::status::RESET) {
    KJ_REQUIRE(timer.now() < deadline, "the virtio device does not reset");
    co_await timer.afterDelay(RESET_PERIOD);
  }
}

kj::StringPtr remedyFor(uint64_t missing) {
  if (missing & virtio::feature::ACCESS_PLATFORM) {
    return "; without ACCESS_PLATFORM the device bypasses the IOMMU: in QEMU give it iommu_platform=on"_kj;
  }
  if (missing & virtio::feature::VERSION_1)
    return "; legacy devices are not driven: in QEMU give it disable-legacy=on"_kj;
  return ""_kj;
}

}  // namespace

kj::String featureNames(uint64_t features) {
  struct Name {
    uint64_t bit;
    kj::StringPtr name;
  };
  static constexpr Name NAMES[] = {
      {virtio::feature::NET_MAC, "MAC"_kj},         {virtio::feature::NET_MRG_RXBUF, "MRG_RXBUF"_kj},
      {virtio::feature::NET_STATUS, "STATUS"_kj},   {virtio::feature::RING_EVENT_IDX, "EVENT_IDX"_kj},
      {virtio::feature::VERSION_1, "VERSION_1"_kj}, {virtio::feature::ACCESS_PLATFORM, "ACCESS_PLATFORM"_kj}};
  kj::Vector<kj::StringPtr> found;
  for (auto& entry : NAMES) {
    if (features & entry.bit) found.add(entry.name);
  }
  return kj::strArray(found, ", ");
}

kj::Promise<uint64_t> negotiateFeatures(VirtioTransport& transport, kj::Timer& timer, uint64_t required,
                                        uint64_t wanted) {
  namespace status = virtio::status;
  co_await reset(transport, timer);                             // step 1
  transport.writeStatus(status::ACKNOWLEDGE);                   // step 2
  transport.writeStatus(status::ACKNOWLEDGE | status::DRIVER);  // step 3

  uint64_t offered = transport.deviceFeatures();  // step 4
  uint64_t missing = required & ~offered;
  KJ_REQUIRE(missing == 0, kj::str("the virtio device does not offer ", featureNames(missing), remedyFor(missing)));

  uint64_t accepted = offered & (required | wanted);
  transport.acceptFeatures(accepted);
  transport.writeStatus(status::ACKNOWLEDGE | status::DRIVER | status::FEATURES_OK);  // step 5
  KJ_REQUIRE((transport.readStatus() & status::FEATURES_OK) != 0,                     // step 6
             "the virtio device refuses the features it offered", featureNames(accepted));
  co_return accepted;
}

}  // namespace nexus
