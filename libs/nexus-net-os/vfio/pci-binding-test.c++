#include "libs/nexus-net-os/vfio/pci-binding.h"

#include <doctest/doctest.h>
#include <kj/debug.h>

#include <cstring>
#include <map>
#include <string>
#include <vector>

namespace nexus {
namespace {

// A PCI bus whose driver core works: probing binds a device to its override, unless vfio-pci is not loaded.
class FakeSysfs final : public Sysfs {
 public:
  bool vfioLoaded = true;
  std::string writes;  // in order

  void add(const char* address, const char* vendor, const char* device, const char* driver, const char* group) {
    auto folder = std::string("/sys/bus/pci/devices/") + address;
    files[folder + "/vendor"] = vendor;
    files[folder + "/device"] = device;
    if (driver != nullptr) links[folder + "/driver"] = driver;
    if (group != nullptr) links[folder + "/iommu_group"] = group;
    names.push_back(address);
  }

  kj::Maybe<kj::String> read(kj::StringPtr path) override { return find(files, path); }
  kj::Maybe<kj::String> linkName(kj::StringPtr path) override { return find(links, path); }

  void write(kj::StringPtr path, kj::StringPtr text) override {
    std::string at = path.cStr();
    writes += at.substr(at.rfind('/') + 1) + "=" + text.cStr() + " ";
    files[at] = text.cStr();
    if (at.ends_with("/driver/unbind")) links.erase(at.substr(0, at.size() - strlen("/unbind")));
    if (at == "/sys/bus/pci/drivers_probe") {
      auto folder = std::string("/sys/bus/pci/devices/") + text.cStr();
      auto driver = files[folder + "/driver_override"];
      if (vfioLoaded && links.count(folder + "/driver") == 0) links[folder + "/driver"] = driver;
    }
  }

  kj::Array<kj::String> list(kj::StringPtr) override {
    return KJ_MAP(name, names) {
      return kj::heapString(name.c_str());
    };
  }

 private:
  std::map<std::string, std::string> files, links;
  std::vector<std::string> names;

  static kj::Maybe<kj::String> find(const std::map<std::string, std::string>& in, kj::StringPtr path) {
    auto it = in.find(path.cStr());
    if (it == in.end()) return nullptr;
    return kj::heapString(it->second.c_str());
  }
};

constexpr const char* ADDRESS = "0000:00:01.0";

TEST_CASE("only virtio network devices are found, each with its driver and group") {
  FakeSysfs sysfs;
  sysfs.add("0000:00:00.0", "0x8086", "0x29c0", nullptr, "0");
  sysfs.add(ADDRESS, "0x1af4", "0x1041", nullptr, "1");
  sysfs.add("0000:00:02.0", "0x1af4", "0x1042", "virtio-pci", "2");  // a disk
  sysfs.add("0000:00:03.0", "0x1af4", "0x1000", "virtio-pci", nullptr);
  auto nics = findVirtioNics(sysfs);
  REQUIRE(nics.size() == 2);
  CHECK(nics[0].address == ADDRESS);
  CHECK(nics[0].driver == nullptr);
  CHECK(KJ_ASSERT_NONNULL(nics[0].group) == "1");
  CHECK(KJ_ASSERT_NONNULL(nics[1].driver) == "virtio-pci");
  CHECK(nics[1].group == nullptr);
}

TEST_CASE("a free device is bound") {
  FakeSysfs sysfs;
  sysfs.add(ADDRESS, "0x1af4", "0x1041", nullptr, "1");
  bindToVfio(sysfs, ADDRESS);
  CHECK(sysfs.writes == "driver_override=vfio-pci drivers_probe=0000:00:01.0 ");
  bindToVfio(sysfs, ADDRESS);  // and stays so
  CHECK(sysfs.writes == "driver_override=vfio-pci drivers_probe=0000:00:01.0 ");
}

TEST_CASE("a device with another driver is taken from it, once nothing else can claim it") {
  FakeSysfs sysfs;
  sysfs.add(ADDRESS, "0x1af4", "0x1041", "virtio-pci", "1");
  bindToVfio(sysfs, ADDRESS);
  CHECK(sysfs.writes == "driver_override=vfio-pci unbind=0000:00:01.0 drivers_probe=0000:00:01.0 ");
}

TEST_CASE("what cannot be bound is refused with what to do") {
  FakeSysfs sysfs;
  kj::StringPtr expected;
  SUBCASE("no such device") {
    expected = "there is no PCI device"_kj;
  }
  SUBCASE("no IOMMU") {
    sysfs.add(ADDRESS, "0x1af4", "0x1041", nullptr, nullptr);
    expected = "-device intel-iommu"_kj;
  }
  SUBCASE("vfio-pci is not loaded") {
    sysfs.add(ADDRESS, "0x1af4", "0x1041", nullptr, "1");
    sysfs.vfioLoaded = false;
    expected = "load the modules"_kj;
  }
  auto failure = kj::runCatchingExceptions([&]() { bindToVfio(sysfs, ADDRESS); });
  CHECK(strstr(KJ_ASSERT_NONNULL(failure).getDescription().cStr(), expected.cStr()) != nullptr);
}

}  // namespace
}  // namespace nexus
