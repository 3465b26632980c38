#pragma once
// For the benchmarks of this folder: two nodes in two threads, each with an event loop of its own, as two processes
// have; pairs of connected byte streams between them (kernel loopback, or one netstackd); and medians. Knows nothing of
// what is measured.
#include <kj/async-io.h>
#include <kj/function.h>
#include <kj/thread.h>
#include <kj/vector.h>

#include "daemons/dsoftbusd/session/handshake.h"
#include "daemons/dsoftbusd/session/session.h"
#include "daemons/netstackd/network-manager.h"

namespace nexus {

// Lets the peer do everything: what is measured is the way, not the policy.
class OpenDoor final : public RequestHandler {
 public:
  kj::Promise<RemoteReply> handle(kj::ArrayPtr<const char>, kj::ArrayPtr<const kj::byte> frame) override {
    return RemoteReply{CallStatus::OK, 1, kj::heapArray(frame)};
  }
  MuxAdmission admitStream(kj::StringPtr) override { return {true, 0}; }
};

// Where a pair of streams comes from. connect() is called in one thread and accept() in the other, once each for every
// pair; the streams live in their thread.
class Link {
 public:
  virtual ~Link() noexcept(false) = default;
  virtual kj::StringPtr name() const = 0;
  virtual kj::Own<kj::AsyncIoStream> connect(kj::AsyncIoContext& io) = 0;
  virtual kj::Own<kj::AsyncIoStream> accept(kj::AsyncIoContext& io) = 0;

  // CPU time so far of whoever carries the bytes beside the two threads and the kernel, seconds: one for each process.
  virtual kj::Array<double> ownCpuSeconds() { return nullptr; }
};

// TCP of the kernel on 127.0.0.1, and a Unix socketpair.
kj::Own<Link> newKernelTcpLink();
kj::Own<Link> newSocketPairLink();

// TCP of one netstackd, whose stack runs in a third thread and which both ends reach as processes do: through a socket,
// with send and recv calls, or with the descriptor of openStream.
enum class Bytes { CALLS, DESCRIPTOR };
kj::Own<Link> newNetstackLink(Bytes bytes);

// A live session over one end, at either side.
struct LiveSession {
  kj::Own<Session> session;
  kj::Promise<void> running = nullptr;
};
LiveSession startSession(kj::AsyncIoContext& io, kj::Own<kj::AsyncIoStream> stream, MuxRole role, OpenDoor& door);

// Runs `far` in a thread with the accepted end, `near` here with the connected end.
using NodeWork = kj::Function<void(kj::AsyncIoContext& io, kj::Own<kj::AsyncIoStream> stream)>;
void runPair(Link& link, NodeWork near, NodeWork far);

// Whether a target is met, told when it is not. A benchmark reports: machines are shared and noisy, so a missed target
// makes it fail only when NEXUS_BENCHMARK_GATE is set in the environment. For CHECK().
bool isMet(bool met, kj::StringPtr wanted);

double secondsOf(kj::FunctionParam<void()> work);     // by the wall
double cpuSecondsOf(kj::FunctionParam<void()> work);  // of this thread

// What a transfer took: by the wall, and the processor time of its ends and of each stack between them. On a machine
// that is shared with others only the processor time says what the work costs. Two nodes are two machines: dsoftbusd
// and netstackd have a core each, so a transfer takes as long as the busiest of them. (Here all share the cores of one
// machine; that is what the wall says.)
struct Effort {
  double wall = 0, near = 0, far = 0;
  kj::Array<double> stacks;
  double busiest() const;
};

// Of several runs.
struct Spread {
  double median = 0, least = 0, most = 0;
  static Spread of(kj::ArrayPtr<const double> runs);
};
kj::String KJ_STRINGIFY(const Spread& spread);

}  // namespace nexus
