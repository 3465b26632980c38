#pragma once
// One end of a stream of a peer session, for the steps of the selftest: bytes whose place in the stream can be told
// from their value, and the notes that both ends exchange on their control stream. Owned by a step. Whatever is not as
// it must be fails the step with what was seen.
#include <kj/async.h>
#include <kj/function.h>

#include "idl/dsoftbus.capnp.h"

namespace nexus {

// Bytes of stream content: each depends on the seed and on its place, and no short run of them repeats.
void fillPattern(uint64_t seed, uint64_t at, kj::ArrayPtr<kj::byte> out);
// Fails the step at the first byte that is another one.
void requirePattern(uint64_t seed, uint64_t at, kj::ArrayPtr<const kj::byte> bytes);

// What the two ends tell each other: 16 bytes, kind and value, little-endian.
struct MuxNote {
  enum class Kind : uint64_t {
    ECHO = 1,      // answer at once
    ECHOED = 2,    // value: how much of the step's stream the responder has read
    READ = 3,      // read `value` bytes of that stream, then answer
    READ_ALL = 4,  // read it to its end
    DONE = 5,      // value: how much there was
  };
  Kind kind;
  uint64_t value;
};

class MuxPipe final {
 public:
  static constexpr size_t CHUNK = 32768;

  explicit MuxPipe(idl::MuxStream::Client stream) : stream(kj::mv(stream)) {}
  KJ_DISALLOW_COPY(MuxPipe);
  MuxPipe(MuxPipe&&) = default;

  // Content of one seed, from the place where the last one ended. `onWritten` is called after each chunk that the
  // stream has taken.
  kj::Promise<void> writePattern(uint64_t seed, uint64_t size, kj::Function<void(size_t)> onWritten);
  kj::Promise<void> writePattern(uint64_t seed, uint64_t size) {
    return writePattern(seed, size, [](size_t) {});
  }

  // Exactly that much of it, checked byte by byte.
  kj::Promise<void> readPattern(uint64_t seed, uint64_t size);
  // Up to the peer's end of the stream; how much there was.
  kj::Promise<uint64_t> readPatternToEnd(uint64_t seed);

  kj::Promise<void> sendNote(MuxNote note);
  kj::Promise<MuxNote> receiveNote();
  // Of that kind; its value.
  kj::Promise<uint64_t> receiveNote(MuxNote::Kind kind);

  kj::Promise<void> write(kj::ArrayPtr<const kj::byte> bytes);
  kj::Promise<kj::Array<kj::byte>> read(size_t most);  // empty at the end
  kj::Promise<kj::Array<kj::byte>> readExactly(size_t size);
  kj::Promise<void> close();

 private:
  idl::MuxStream::Client stream;
  uint64_t sent = 0, received = 0;  // of the pattern
};

}  // namespace nexus
