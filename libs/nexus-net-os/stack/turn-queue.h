#pragma once
// First come, first served, for coroutines: whoever stands in line waits until those before have left it, by being done
// or by being cancelled. A member of what is waited for; Turn objects live in coroutine frames and must not outlive it.
#include <deque>

#include "libs/nexus-net-os/stack/wait-list.h"

namespace nexus {

class TurnQueue {
 public:
  class Turn {
   public:
    explicit Turn(TurnQueue& queue) : queue(queue) { queue.line.push_back(this); }
    ~Turn() noexcept(false) {
      std::erase(queue.line, this);
      queue.moved.wakeAll();
    }
    KJ_DISALLOW_COPY_AND_MOVE(Turn);

    bool isFirst() const { return queue.line.front() == this; }

    // Resolves when somebody has left; look at isFirst() again.
    kj::Promise<void> whenMoved() { return queue.moved.wait(); }

   private:
    TurnQueue& queue;
  };

  void rejectAll(const kj::Exception& reason) { moved.rejectAll(reason); }
  size_t size() const { return line.size(); }

 private:
  std::deque<Turn*> line;
  WaitList moved;
};

}  // namespace nexus
