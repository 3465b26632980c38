#include "daemons/initd/supervisor-server.h"

#include <kj/debug.h>

namespace nexus {

kj::Promise<void> SupervisorServer::services(ServicesContext context) {
  auto snapshot = supervision.snapshot();
  auto list = context.getResults().initServices(snapshot.size());
  for (size_t i = 0; i < snapshot.size(); i++) {
    list[i].setName(snapshot[i].name);
    list[i].setPid(snapshot[i].pid);
    list[i].setStarts(snapshot[i].starts);
    list[i].setLastExit(snapshot[i].lastExit);
  }
  return kj::READY_NOW;
}

kj::Promise<void> SupervisorServer::kill(KillContext context) {
  context.getResults().setFound(supervision.kill(context.getParams().getName()));
  return kj::READY_NOW;
}

kj::Promise<void> SupervisorServer::whenRestarted(WhenRestartedContext context) {
  auto params = context.getParams();
  auto starts = co_await supervision.whenRestarted(params.getName(), params.getAfterStarts());
  context.getResults().setStarts(starts);
}

kj::Promise<void> SupervisorServer::report(ReportContext context) {
  auto params = context.getParams();
  onReport(StatusStep{kj::str(params.getStep()), params.getOk(), kj::str(params.getDetail())});
  return kj::READY_NOW;
}

}  // namespace nexus
