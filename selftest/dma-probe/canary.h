#pragma once
// Two pages that the device must not reach, and their guardian. In a real probe they belong to another process
// (CanaryProcess); tests bring their own. Knows nothing of devices.
#include <kj/array.h>
#include <kj/io.h>

#include <cstdint>

namespace nexus {

class Canary {
 public:
  virtual ~Canary() noexcept(false) = default;

  // The physical address of a page that begins with the secret frame: what a device must not be able to read.
  virtual uint64_t secretAddress() = 0;

  // The physical address of a page full of PATTERN: what a device must not be able to write.
  virtual uint64_t targetAddress() = 0;

  // How many bytes of the second page are no longer PATTERN.
  virtual uint32_t changedBytes() = 0;

  static constexpr kj::byte PATTERN = 0xc5;
};

// A child process that does nothing but own the two pages, until it is dropped. To be made before the process has
// threads or an event loop. FAILED when the child cannot find out where its pages lie.
class CanaryProcess final : public Canary {
 public:
  explicit CanaryProcess(kj::ArrayPtr<const kj::byte> secretFrame);
  ~CanaryProcess() noexcept(false);
  KJ_DISALLOW_COPY_AND_MOVE(CanaryProcess);

  uint64_t secretAddress() override { return addresses.secret; }
  uint64_t targetAddress() override { return addresses.target; }
  uint32_t changedBytes() override;

 private:
  struct Addresses {
    uint64_t secret = 0;
    uint64_t target = 0;
  };

  kj::AutoCloseFd socket;
  int child;
  Addresses addresses;

  [[noreturn]] static void guard(kj::AutoCloseFd socket, kj::ArrayPtr<const kj::byte> secretFrame);
};

}  // namespace nexus
