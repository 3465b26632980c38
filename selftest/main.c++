#include "idl/config.capnp.h"
#include "selftest/selftest.h"

int main(int argc, char* argv[]) {
  using nexus::config::Selftest;
  return nexus::daemonMain<Selftest>(
      argc, argv, {"selftest", "Tries, from inside a test guest, what the node must be able to do."},
      [](nexus::DaemonContext& context, Selftest::Reader config) -> kj::Promise<void> {
        nexus::Selftest selftest(context, config);
        auto failures = co_await selftest.run();
        if (failures > 0) nexus::failStep(kj::str(failures, failures == 1 ? " step" : " steps", " failed"));
      });
}
