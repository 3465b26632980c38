#pragma once
// A first-in first-out queue of bytes, as one side of a stream keeps them. Small pieces grow together, so that its
// memory is in proportion to the bytes and not to the pieces; empty, it keeps none. The bound is its owner's.
#include <kj/debug.h>
#include <kj/vector.h>

#include <cstring>

namespace nexus {

class ByteQueue {
 public:
  size_t size() const { return bytes.size() - head; }

  void push(kj::ArrayPtr<const kj::byte> data) { bytes.addAll(data); }

  // Moves min(size(), out.size()) bytes to `out` and says how many.
  size_t pop(kj::ArrayPtr<kj::byte> out) {
    size_t n = kj::min(size(), out.size());
    if (n == 0) return 0;
    memcpy(out.begin(), bytes.begin() + head, n);
    head += n;
    if (head == bytes.size()) {
      clear();
    } else if (head >= bytes.size() / 2) {  // each byte is moved at most once on average
      size_t rest = size();
      memmove(bytes.begin(), bytes.begin() + head, rest);
      bytes.truncate(rest);
      head = 0;
    }
    return n;
  }

  void clear() {
    bytes = kj::Vector<kj::byte>();
    head = 0;
  }

 private:
  kj::Vector<kj::byte> bytes;
  size_t head = 0;  // of them are gone
};

}  // namespace nexus
