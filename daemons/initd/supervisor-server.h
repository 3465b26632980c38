#pragma once
// idl Supervisor over a Supervision: what the selftest of a test guest may see and do. Owned by initd, served on a
// socket of that one user.
#include <kj/function.h>

#include "daemons/initd/supervision.h"
#include "idl/supervisor.capnp.h"
#include "libs/nexus-net-os/daemon/status-channel.h"

namespace nexus {

class SupervisorServer final : public idl::Supervisor::Server {
 public:
  // `report` takes the selftest's results.
  using Report = kj::Function<void(const StatusStep&)>;

  SupervisorServer(Supervision& supervision, Report report) : supervision(supervision), onReport(kj::mv(report)) {}

  kj::Promise<void> services(ServicesContext context) override;
  kj::Promise<void> kill(KillContext context) override;
  kj::Promise<void> whenRestarted(WhenRestartedContext context) override;
  kj::Promise<void> report(ReportContext context) override;

 private:
  Supervision& supervision;
  Report onReport;
};

}  // namespace nexus
