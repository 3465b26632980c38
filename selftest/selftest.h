#pragma once
// The ladder of one node of a test guest: which steps run, in which order, with which deadlines. Owned by main. Gets
// its capabilities from outside; prints markers and reports each result to the supervisor.
#include <kj/async.h>

#include "idl/config.capnp.h"
#include "idl/supervisor.capnp.h"
#include "libs/nexus-net-os/daemon/daemon-main.h"
#include "selftest/bus-steps.h"
#include "selftest/mux-steps.h"
#include "selftest/net-steps.h"
#include "selftest/remote-steps.h"
#include "selftest/step-runner.h"

namespace nexus {

class Selftest final : private StepSink {
 public:
  Selftest(DaemonContext& context, config::Selftest::Reader config);
  KJ_DISALLOW_COPY_AND_MOVE(Selftest);

  // Runs the ladder; how many steps failed.
  kj::Promise<kj::uint> run();

 private:
  DaemonContext& context;
  config::Selftest::Reader config;
  NetSteps net;
  BusSteps bus;
  StepRunner runner;
  kj::Maybe<const Marker&> alsoFails;  // printed with each step that fails meanwhile

  kj::Promise<bool> iface();
  kj::Promise<void> runQemuTest();
  kj::Promise<void> runInitiator(kj::StringPtr peer);
  kj::Promise<void> runAcceptor(kj::StringPtr peer);
  kj::Promise<void> remoteFiles(kj::StringPtr peer);
  kj::Promise<void> keepTrafficUp(kj::StringPtr own, kj::StringPtr peer);

  // Of one step each, in the order of MuxSteps, and the one that tells of any failure.
  struct MuxMarkers {
    const Marker &up, &data, &priority, &bulk, &backpressure, &fail;
  };
  static const MuxMarkers LOCAL_MUX, CROSSVM_MUX;

  // ends: one of a node, or both when this program is at both ends.
  kj::Promise<void> mux(kj::Array<kj::Own<MuxSteps>> ends, const MuxMarkers& markers);
  kj::Promise<void> end();

  // A step whose body is attempted again until ATTEMPTS_LIMIT is over.
  kj::Promise<bool> attempts(const Marker& marker, StepRunner::Body body);

  template <typename T>
  typename T::Client get(kj::StringPtr name) {
    return context.import(name).get<T>();
  }

  // implements StepSink ----------------------------------------
  kj::Promise<void> passed(const Marker& marker, kj::StringPtr detail) override;
  kj::Promise<void> failed(const Marker& marker, kj::StringPtr reason) override;
  kj::Promise<void> report(const Marker& marker, bool ok, kj::String detail);
};

}  // namespace nexus
