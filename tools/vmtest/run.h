#pragma once
// One run of a profile: checks the host, starts the guests, feeds the run state, and leaves the reports. All decisions
// are the run state's and the diagnosis'; this class moves bytes and time.
#include <kj/async-io.h>

#include "tools/vmtest/accel-probe.h"
#include "tools/vmtest/guest-link.h"
#include "tools/vmtest/guest-node.h"
#include "tools/vmtest/host-peers.h"
#include "tools/vmtest/options.h"
#include "tools/vmtest/run-folder.h"
#include "tools/vmtest/screen.h"

namespace nexus::vmtest {

// What the process was given besides its options.
struct RunEnvironment {
  kj::String searchPath;                // PATH
  kj::String tempDir;                   // where fresh run folders go
  kj::Maybe<kj::String> testOutputs;    // TEST_UNDECLARED_OUTPUTS_DIR: instead of a fresh folder
  kj::Maybe<kj::String> xmlOutput;      // XML_OUTPUT_FILE: a second junit.xml
  kj::Maybe<kj::String> cacheDir;       // for the acceleration probe
  kj::String kernel, initrd;            // files
  kj::Maybe<kj::String> kernelVersion;  // file: package version and release
  bool redraw = false, color = false, github = false;
  int out = 1, err = 2;
};

class Run final : private GuestListener, private kj::TaskSet::ErrorHandler {
 public:
  Run(kj::AsyncIoContext& io, const Options& options, const RunEnvironment& environment);
  KJ_DISALLOW_COPY_AND_MOVE(Run);

  // The exit code. `interrupt`: resolves when the user wants to stop.
  kj::Promise<int> execute(kj::Promise<void> interrupt);

 private:
  // The exit code when the run is over before any guest starts.
  kj::Maybe<int> preflight();
  int reportPreflight(int exit, kj::StringPtr message);
  int reportBuilt();
  int reportSkip(kj::StringPtr reason);
  kj::Promise<void> prepare();
  void readKernelVersion();
  kj::Promise<kj::String> qemuVersion();
  void launch();
  kj::Vector<kj::String> guestWords(kj::byte node);
  kj::Promise<void> watch();
  void obey();
  void lookHeld();
  kj::Promise<void> settle();
  kj::Promise<void> whenGuestsEnded(kj::Duration limit);
  int report();
  void noteFailedLaunch(const Failure& failure);
  kj::String writeReports(kj::Maybe<const Diagnosis&> verdict);  // the summary, for standard output
  kj::Vector<kj::String> verdictText(kj::Maybe<const Diagnosis&> verdict);
  void header();
  kj::TimePoint now() { return io.provider->getTimer().now(); }
  kj::Array<const Capture*> captures();

  void onConsoleLine(kj::byte node, kj::StringPtr line, kj::uint number) override;
  void onStatusLine(kj::byte node, kj::StringPtr line) override;
  void onExited(kj::byte node, kj::StringPtr how) override;
  void taskFailed(kj::Exception&& exception) override;

  kj::AsyncIoContext& io;
  const Options& options;
  const RunEnvironment& env;
  const Profile& profile;
  Screen screen;
  RunFacts facts;
  kj::String qemu;  // path
  Accel accel = Accel::TCG;
  kj::Maybe<kj::String> kernelRelease;
  RunFolder folder;
  kj::Maybe<kj::Own<const kj::Directory>> cache;  // of the acceleration probe
  kj::Maybe<kj::Exception> taskFailure;
  kj::Maybe<kj::Own<HostPeers>> peers;
  kj::Maybe<RunState> runState;
  uint64_t launchStamp = 0;  // nanoseconds since 1970
  kj::Maybe<GuestLink> link;
  kj::Vector<kj::Own<GuestNode>> guests;
  kj::uint ended = 0;
  HeldTime held;
  kj::TimePoint heldLooked = kj::origin<kj::TimePoint>();
  kj::TaskSet tasks;
};

}  // namespace nexus::vmtest
