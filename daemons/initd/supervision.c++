#include "daemons/initd/supervision.h"

#include <kj/debug.h>
#include <sys/wait.h>

namespace nexus {

ExitStatus ExitStatus::fromWait(int waitStatus) {
  if (WIFSIGNALED(waitStatus)) return {true, WTERMSIG(waitStatus)};
  return {false, WEXITSTATUS(waitStatus)};
}

kj::String ExitStatus::text() const {
  return kj::str(signaled ? "signal " : "exit ", number);
}

// One whenRestarted(). If its caller gives up, the destructor unlinks it.
struct Supervision::Waiter {
  Waiter(kj::PromiseFulfiller<uint32_t>& fulfiller, Supervision& owner, State& state, uint32_t afterStarts);
  ~Waiter() noexcept(false);

  kj::PromiseFulfiller<uint32_t>& fulfiller;
  Supervision& owner;
  State& state;
  uint32_t afterStarts;
  kj::ListLink<Waiter> link;
};

struct Supervision::State {
  const Service& service;
  pid_t pid = 0;
  uint32_t starts = 0;
  bool once = false;
  kj::String lastExit;
  kj::TimePoint startedAt = kj::origin<kj::TimePoint>();
  kj::Duration nextDelay;
  kj::List<Waiter, &Waiter::link> waiters;

  State(const Service& service, kj::Duration firstDelay) : service(service), nextDelay(firstDelay) {}
};

Supervision::Waiter::Waiter(kj::PromiseFulfiller<uint32_t>& fulfiller, Supervision& owner, State& state,
                            uint32_t afterStarts)
    : fulfiller(fulfiller), owner(owner), state(state), afterStarts(afterStarts) {
  state.waiters.add(*this);
  owner.waiters++;
}

Supervision::Waiter::~Waiter() noexcept(false) {
  if (!link.isLinked()) return;
  state.waiters.remove(*this);
  owner.waiters--;
}

Supervision::Supervision(kj::Timer& timer, ServiceHost& host, SupervisionObserver& observer,
                         kj::ArrayPtr<const Service> services)
    : Supervision(timer, host, observer, services, Policy()) {}

Supervision::Supervision(kj::Timer& timer, ServiceHost& host, SupervisionObserver& observer,
                         kj::ArrayPtr<const Service> services, Policy policy)
    : timer(timer), host(host), observer(observer), policy(policy), tasks(*this) {
  for (auto& service : services) states.add(kj::heap<State>(service, policy.firstDelay));
}

Supervision::~Supervision() noexcept(false) = default;

Supervision::State* Supervision::find(kj::StringPtr name) {
  for (auto& state : states) {
    if (state->service.name == name) return state.get();
  }
  return nullptr;
}

void Supervision::startAll() {
  for (auto& state : states) start(*state);
}

void Supervision::start(State& state) {
  auto result = host.start(state.service);
  KJ_SWITCH_ONEOF(result) {
    KJ_CASE_ONEOF(refused, StartRefused) {
      observer.refused(state.service, refused.reason);
      state.lastExit = kj::str("refused: ", refused.reason);
      startLater(state, false);
    }
    KJ_CASE_ONEOF(pid, pid_t) {
      state.pid = pid;
      state.starts++;
      state.startedAt = timer.now();
      observer.started(state.service, pid, state.starts);
      for (auto& waiter : state.waiters) {
        if (state.starts <= waiter.afterStarts) continue;
        state.waiters.remove(waiter);
        waiters--;
        waiter.fulfiller.fulfill(kj::cp(state.starts));
      }
    }
  }
}

void Supervision::startLater(State& state, bool livedLongEnough) {
  if (stopping) return;
  auto delay = 0 * kj::SECONDS;
  if (livedLongEnough) {
    state.nextDelay = policy.firstDelay;
  } else {
    delay = state.nextDelay;
    state.nextDelay = kj::min(delay * 2, policy.maxDelay);
    observer.waiting(state.service, delay);
  }
  tasks.add(delayedStart(state, delay));
}

kj::Promise<void> Supervision::delayedStart(State& state, kj::Duration delay) {
  if (delay > 0 * kj::SECONDS) co_await timer.afterDelay(delay);
  if (!stopping) start(state);
}

bool Supervision::exited(pid_t pid, const ExitStatus& status) {
  for (auto& state : states) {
    if (state->pid != pid || pid == 0) continue;
    state->pid = 0;
    state->lastExit = status.text();
    observer.exited(state->service, status);
    if (!state->service.oneShot && !state->once)
      startLater(*state, timer.now() - state->startedAt >= policy.stableAfter);
    return true;
  }
  return false;
}

bool Supervision::kill(kj::StringPtr name) {
  auto* state = find(name);
  if (state == nullptr) return false;
  if (state->pid != 0) host.kill(state->pid);
  return true;
}

bool Supervision::leaveEnded(kj::StringPtr name) {
  auto* state = find(name);
  if (state != nullptr) state->once = true;
  return state != nullptr;
}

void Supervision::stopAll() {
  stopping = true;
  for (auto& state : states) {
    if (state->pid != 0) host.kill(state->pid);
  }
}

kj::Promise<uint32_t> Supervision::whenRestarted(kj::StringPtr name, uint32_t afterStarts) {
  auto* state = find(name);
  KJ_REQUIRE(state != nullptr, "no such service", name);
  if (state->starts > afterStarts) return state->starts;
  if (waiters >= policy.maxWaiters)
    return KJ_EXCEPTION(OVERLOADED, "too many calls wait for a restart", policy.maxWaiters);
  return kj::newAdaptedPromise<uint32_t, Waiter>(*this, *state, afterStarts);
}

kj::Array<Supervision::Snapshot> Supervision::snapshot() const {
  return KJ_MAP(state, states)->Snapshot {
    return {state->service.name, state->pid, state->starts, state->lastExit};
  };
}

void Supervision::taskFailed(kj::Exception&& exception) {
  KJ_LOG(ERROR, "a service could not be started", exception);
}

}  // namespace nexus
