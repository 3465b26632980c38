#pragma once
// The file steps of the selftest: what a node does with the statefs and the packagefs of its peer through the bus. Each
// method is the body of one step and fails with what was seen instead; it may be run again after a failure. Owned by
// Selftest; the call itself is handed in. Knows nothing of sessions.
#include <kj/async.h>
#include <kj/function.h>

#include "libs/oslite-frames/packagefs-frames.h"
#include "libs/oslite-frames/statefs-frames.h"

namespace nexus {

class RemoteSteps final {
 public:
  // Sends a frame to a service of the peer; the reply of a call that was let through. A refusal is an exception.
  using Call = kj::Function<kj::Promise<kj::Array<kj::byte>>(kj::StringPtr service, kj::Array<kj::byte> frame)>;

  static constexpr kj::StringPtr STATE_KEY = "/state/shared/selftest/remote-rw"_kj;
  static constexpr kj::StringPtr STATE_VALUE = "remote-statefs-rw-v1"_kj;
  static constexpr kj::StringPtr PACKAGE_PATH = "pkg:/system/build.prop"_kj;
  static constexpr kj::StringPtr PACKAGE_CONTENT = "ro.nexus.build=dev\n"_kj;
  static constexpr uint16_t PACKAGE_READ = 64;

  explicit RemoteSteps(Call call) : call(kj::mv(call)) {}
  KJ_DISALLOW_COPY_AND_MOVE(RemoteSteps);

  // Put, get and compare, delete; then there is nothing to get.
  kj::Promise<void> statefs();

  // One flow in five steps: kind and size; a handle; the bytes; the handle is gone; all of it was as it must be.
  kj::Promise<void> packageStat();
  kj::Promise<void> packageOpen();
  kj::Promise<void> packageRead();
  kj::Promise<void> packageClose();
  kj::Promise<void> packageFlow();

 private:
  Call call;
  uint64_t nonce = 0;
  kj::Maybe<uint32_t> handle;
  kj::Maybe<kj::String> content;
  bool stated = false, closed = false;

  kj::Promise<sf::Status> state(sf::Op op, sf::Request request);
  kj::Array<kj::byte> readFrame();
};

}  // namespace nexus
