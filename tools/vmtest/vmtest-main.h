#pragma once
// main() of a program that runs one of `profiles`: the only place that reads the process's environment.
#include "tools/vmtest/ladder.h"

namespace nexus::vmtest {

// The built guest, as runfiles: paths from the workspace's root.
struct GuestArtifacts {
  kj::StringPtr kernel, initrd, kernelVersion;
};

int vmtestMain(int argc, char** argv, kj::StringPtr program, kj::ArrayPtr<const Profile* const> profiles,
               const GuestArtifacts& artifacts);

}  // namespace nexus::vmtest
