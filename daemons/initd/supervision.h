#pragma once
// Decides when which service of a node is started, started again or left alone. Owned by initd. Knows neither processes
// nor descriptors: a ServiceHost starts and kills, initd reports what it reaped, a timer counts. So all of it runs on
// virtual time in tests.
//
// A service that dies is started again: at once if it had lived long enough (Policy.stableAfter), else after a delay
// that doubles with each early death up to a limit. A service whose start is refused counts as one that died early.
#include <kj/async.h>
#include <kj/list.h>
#include <kj/map.h>
#include <kj/one-of.h>
#include <kj/timer.h>
#include <kj/vector.h>
#include <sys/types.h>

#include "daemons/initd/service.h"

namespace nexus {

// How a process ended.
struct ExitStatus {
  bool signaled;
  int number;

  static ExitStatus fromWait(int waitStatus);
  bool ok() const { return !signaled && number == 0; }
  kj::String text() const;  // "exit 3", "signal 9"
};

struct StartRefused {
  kj::String reason;
};

// What supervision needs of the operating system.
class ServiceHost {
 public:
  virtual kj::OneOf<pid_t, StartRefused> start(const Service& service) = 0;
  virtual void kill(pid_t pid) = 0;  // SIGKILL; the end is reported through Supervision::exited
};

class SupervisionObserver {
 public:
  virtual void started(const Service& service, pid_t pid, uint32_t starts) = 0;
  virtual void refused(const Service& service, kj::StringPtr reason) = 0;
  virtual void exited(const Service& service, const ExitStatus& status) = 0;
  virtual void waiting(const Service& service, kj::Duration delay) = 0;  // before the next start
};

class Supervision final : private kj::TaskSet::ErrorHandler {
 public:
  struct Policy {
    kj::Duration stableAfter = 1 * kj::SECONDS;
    kj::Duration firstDelay = 100 * kj::MILLISECONDS;
    kj::Duration maxDelay = 10 * kj::SECONDS;
    kj::uint maxWaiters = 16;  // of whenRestarted
  };

  struct Snapshot {
    kj::StringPtr name;
    pid_t pid;  // 0 while it is not running
    uint32_t starts;
    kj::StringPtr lastExit;  // empty while it has not ended
  };

  Supervision(kj::Timer& timer, ServiceHost& host, SupervisionObserver& observer, kj::ArrayPtr<const Service> services);
  Supervision(kj::Timer& timer, ServiceHost& host, SupervisionObserver& observer, kj::ArrayPtr<const Service> services,
              Policy policy);
  ~Supervision() noexcept(false);
  KJ_DISALLOW_COPY_AND_MOVE(Supervision);

  // Starts everything, in the table's order.
  void startAll();

  // The process was reaped. False when it is none of ours (an orphan that PID 1 inherited).
  bool exited(pid_t pid, const ExitStatus& status);

  // False when there is no such service. One that is not running stays as it is.
  bool kill(kj::StringPtr name);

  // The service is not started again after its next end: a fault for tests. False when there is no such service.
  bool leaveEnded(kj::StringPtr name);

  // Kills everything and starts nothing any more.
  void stopAll();

  // Resolves with the count of starts as soon as it is above `afterStarts`. FAILED when there is no such service,
  // OVERLOADED when too many wait.
  kj::Promise<uint32_t> whenRestarted(kj::StringPtr name, uint32_t afterStarts);

  kj::Array<Snapshot> snapshot() const;

 private:
  struct State;
  struct Waiter;
  kj::Timer& timer;
  ServiceHost& host;
  SupervisionObserver& observer;
  Policy policy;
  bool stopping = false;
  kj::uint waiters = 0;
  kj::Vector<kj::Own<State>> states;
  kj::TaskSet tasks;

  State* find(kj::StringPtr name);
  void start(State& state);
  void startLater(State& state, bool livedLongEnough);
  kj::Promise<void> delayedStart(State& state, kj::Duration delay);
  void taskFailed(kj::Exception&& exception) override;  // a start failed in a way nobody foresaw: logged
};

}  // namespace nexus
