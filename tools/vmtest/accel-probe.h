#pragma once
// Which acceleration to use. /dev/kvm may exist and still not boot a stock kernel (nested or filtered virtualisation),
// so it is tried: the guest's own kernel must boot under KVM up to the point where it misses a root file system. The
// result is remembered per boot, QEMU and kernel.
#include <kj/async-io.h>
#include <kj/filesystem.h>
#include <kj/timer.h>

#include "tools/vmtest/options.h"
#include "tools/vmtest/qemu-command.h"

namespace nexus::vmtest {

struct AccelDecision {
  Accel accel;
  kj::String reason;
};

struct AccelProbe {
  static constexpr kj::Duration PROBE_MAX = 5 * kj::SECONDS;

  kj::StringPtr qemu, kernel;
  kj::StringPtr device = "/dev/kvm"_kj;
  kj::Maybe<const kj::Directory&> cache;  // where the result is remembered; null: nowhere
  kj::String cacheKey;                    // changes whenever an old result may be wrong

  kj::Promise<AccelDecision> decide(AccelChoice choice, kj::AsyncIoContext& io) const;
  // The result turned out wrong: the next run tries again.
  static void forget(const kj::Directory& cache);

 private:
  kj::Promise<bool> boots(kj::AsyncIoContext& io) const;
  kj::Maybe<bool> remembered() const;
  void remember(bool boots) const;
};

// Boot of this machine, and the identity of both files: what a remembered result depends on.
kj::String accelCacheKey(kj::StringPtr qemu, kj::StringPtr kernel);

}  // namespace nexus::vmtest
