#pragma once
// A first-in first-out queue of bytes, as one side of a stream keeps them: a chain of chunks. A chunk is as large as
// what came, or as what already waits (at most MAX_CHUNK), so that memory is in proportion to the bytes and not to the
// pieces, and no byte is moved once it is in; empty, it keeps none. Memory that bytes came in can become a chunk as it
// is. The bound is its owner's.
#include <kj/array.h>
#include <kj/debug.h>
#include <kj/memory.h>

#include <cstring>

namespace nexus {

class ByteQueue {
 public:
  static constexpr size_t MIN_CHUNK = 256, MAX_CHUNK = 32768;  // bytes; a larger piece has a chunk of its own

  ByteQueue() = default;
  KJ_DISALLOW_COPY_AND_MOVE(ByteQueue);
  ~ByteQueue() noexcept { clear(); }

  size_t size() const { return bytes; }

  // What its memory holds room for; less than size() + 2 * MAX_CHUNK when no piece is
  // larger than MAX_CHUNK.
  size_t capacity() const {
    size_t sum = 0;
    for (auto* c = first.get(); c != nullptr; c = c->next.get()) sum += c->limit - c->start;
    return sum;
  }

  void push(kj::ArrayPtr<const kj::byte> data) {
    if (last != nullptr) {
      size_t n = kj::min(data.size(), last->limit - last->end);
      append(data.slice(0, n));
      data = data.slice(n, data.size());
    }
    if (data.size() == 0) return;
    size_t room = kj::max(data.size(), kj::min(kj::max(bytes, MIN_CHUNK), MAX_CHUNK));
    addChunk(kj::heapArray<kj::byte>(room), 0, room);
    append(data);
  }

  // Before all others.
  void pushFront(kj::ArrayPtr<const kj::byte> data) {
    if (data.size() == 0) return;
    auto chunk = kj::heap<Chunk>();
    chunk->space = kj::heapArray(data);
    chunk->end = chunk->limit = data.size();
    chunk->next = kj::mv(first);
    first = kj::mv(chunk);
    if (last == nullptr) last = first.get();
    bytes += data.size();
  }

  // The same for bytes that lie in `memory`, which becomes a chunk without a copy.
  void push(kj::ArrayPtr<const kj::byte> data, kj::Array<kj::byte> memory) {
    if (data.size() == 0) return;
    KJ_REQUIRE(data.begin() >= memory.begin() && data.end() <= memory.end(), "the bytes are somewhere else");
    size_t from = data.begin() - memory.begin();
    addChunk(kj::mv(memory), from, from + data.size());
    last->end = last->limit;
    bytes += data.size();
  }

  // Moves min(size(), out.size()) bytes to `out` and says how many.
  size_t pop(kj::ArrayPtr<kj::byte> out) {
    size_t total = kj::min(bytes, out.size());
    for (size_t done = 0; done < total;) {
      auto ready = front();
      size_t n = kj::min(ready.size(), total - done);
      memcpy(out.begin() + done, ready.begin(), n);
      done += n;
      drop(n);
    }
    return total;
  }

  struct Piece {
    kj::Array<kj::byte> memory;
    kj::ArrayPtr<const kj::byte> bytes;  // in it
  };

  // The next min(size(), most) bytes, at least one, without a copy where they are a whole chunk.
  Piece take(size_t most) {
    size_t n = kj::min(bytes, most);
    KJ_REQUIRE(n > 0, "nothing to take");
    if (front().size() == n) {
      Piece piece{kj::mv(first->space), nullptr};
      piece.bytes = piece.memory.slice(first->begin, first->end);
      drop(n);
      return piece;
    }
    Piece piece{kj::heapArray<kj::byte>(n), nullptr};
    pop(piece.memory);
    piece.bytes = piece.memory;
    return piece;
  }

  void clear() {
    while (first.get() != nullptr) popChunk();
    bytes = 0;
  }

 private:
  struct Chunk {
    kj::Own<Chunk> next;
    kj::Array<kj::byte> space;
    size_t start = 0, limit = 0;  // of what may be in it
    size_t begin = 0, end = 0;    // of what is in it
  };
  kj::Own<Chunk> first;
  Chunk* last = nullptr;
  size_t bytes = 0;

  void addChunk(kj::Array<kj::byte> space, size_t start, size_t limit) {
    auto chunk = kj::heap<Chunk>();
    chunk->space = kj::mv(space);
    chunk->start = chunk->begin = chunk->end = start;
    chunk->limit = limit;
    auto& link = last == nullptr ? first : last->next;
    last = chunk.get();
    link = kj::mv(chunk);
  }
  void append(kj::ArrayPtr<const kj::byte> data) {
    if (data.size() > 0) memcpy(last->space.begin() + last->end, data.begin(), data.size());
    last->end += data.size();
    bytes += data.size();
  }
  kj::ArrayPtr<const kj::byte> front() const {
    return kj::arrayPtr(first->space.begin() + first->begin, first->end - first->begin);
  }
  void drop(size_t n) {
    first->begin += n;
    bytes -= n;
    if (first->begin == first->end) popChunk();
  }
  // One at a time, so that a long chain does not unwind by recursion.
  void popChunk() {
    auto next = kj::mv(first->next);
    first = kj::mv(next);
    if (first.get() == nullptr) last = nullptr;
  }
};

}  // namespace nexus
