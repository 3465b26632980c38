#pragma once
// Received bytes of one connection that nobody has taken yet: a queue of pbufs. Small pieces that pile up are copied
// together, so that a peer who sends single bytes cannot make the stack hold a frame for each. Owned by TcpConn; knows
// nothing of windows or promises.
#include <kj/array.h>

#include <deque>

struct pbuf;

namespace nexus {

class RecvQueue {
 public:
  // Pieces up to this size are joined when others wait before them.
  static constexpr size_t SMALL = 512;
  static constexpr size_t JOINED = 2048;

  RecvQueue() = default;
  ~RecvQueue();
  KJ_DISALLOW_COPY_AND_MOVE(RecvQueue);

  // Takes over a chain.
  void push(::pbuf* chain);

  // The first contiguous bytes, valid until consume() or push(); empty when there is nothing.
  kj::ArrayPtr<const kj::byte> front() const;

  // The first bytes in as many pieces as there are and fit into `out`; returns how many. Each stays valid until it is
  // consumed.
  size_t pieces(kj::ArrayPtr<kj::ArrayPtr<const kj::byte>> out) const;

  // Frees the first `count` bytes; at most size().
  void consume(size_t count);

  size_t size() const { return bytes; }
  size_t buffers() const { return queue.size(); }
  void clear();

 private:
  struct Item {
    ::pbuf* buffer;
    size_t offset;
    size_t room;  // unused bytes behind the pbuf's end, for joining
  };
  std::deque<Item> queue;
  size_t bytes = 0;

  void pushOne(::pbuf* buffer);
};

}  // namespace nexus
