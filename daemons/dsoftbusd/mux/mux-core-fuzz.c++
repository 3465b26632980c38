// A peer that sends any frames, and a program that does anything: no crash, every invariant of the core after each
// step, and no frame is sent that does not parse.
#include <kj/debug.h>

#include <cstdlib>

#include "daemons/dsoftbusd/mux/mux-core.h"

namespace {

using namespace nexus;

class Steps {
 public:
  explicit Steps(kj::ArrayPtr<const kj::byte> input) : left(input) {}
  bool done() const { return left.size() == 0; }
  kj::byte next() {
    if (done()) return 0;
    kj::byte b = left[0];
    left = left.slice(1, left.size());
    return b;
  }
  kj::ArrayPtr<const kj::byte> take(size_t n) {
    n = kj::min(n, left.size());
    auto result = left.slice(0, n);
    left = left.slice(n, left.size());
    return result;
  }

 private:
  kj::ArrayPtr<const kj::byte> left;
};

void program(MuxCore& core, Steps& steps, kj::ArrayPtr<kj::byte> scratch) {
  auto op = steps.next();
  MuxStreamId id = steps.next() % 16;
  size_t n = steps.next() * 160;  // up to beyond MUX_MAX_DATA
  switch (op % 11) {
    case 0:
      core.open(steps.take(1 + op / 128).asChars(), id % MUX_PRIORITIES);
      break;
    case 1:
      core.send(id, scratch.slice(0, n));
      break;
    case 2:
      core.read(id, scratch.slice(0, n));
      break;
    case 3:
      core.close(id);
      break;
    case 4:
      core.reset(id);
      break;
    case 5:
      core.accept();
      break;
    case 6:
      core.release(id);
      break;
    case 7:
      core.offer(id, scratch.slice(0, n));
      break;
    case 8:
      KJ_IF_MAYBE (stream, core.find(id)) {
        if (stream->receiveBuffered() == 0) core.expect(id, scratch.slice(0, n));
      }
      break;
    case 9:
      core.collect(id);
      break;
    case 10:
      core.giveUp(id);
      break;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Steps steps(kj::arrayPtr(data, size));
  auto scratch = kj::heapArray<kj::byte>(255 * 160);
  memset(scratch.begin(), 7, scratch.size());
  MuxCore core(MuxRole::RESPONDER, MuxSession::AUTHENTICATED, {.maxStreams = 6, .acceptBacklog = 3, .maxRefused = 4});
  while (!steps.done()) {
    auto kind = steps.next();
    if (kind < 128) {
      auto type = static_cast<uint8_t>(MUX_FIRST_RECORD_TYPE + kind % 6);
      auto body = steps.take(kind / 6);
      KJ_IF_MAYBE (frame, tryParseMuxFrame(type, body)) {
        if (frame->is<MuxData>()) {
          auto payload = muxPayload(*frame);
          auto place = core.tryPlace(streamOf(*frame), payload.size());
          if (place.size() > 0) {
            if (place.size() != payload.size()) abort();
            memcpy(place.begin(), payload.begin(), payload.size());
            core.checkInvariants();
            continue;
          }
        }
        KJ_IF_MAYBE (rejection, core.ingest(*frame)) {
          if (rejection->gravity == MuxGravity::FATAL) return 0;  // the session is over
        }
      }
    } else if (kind < 224) {
      program(core, steps, scratch);
    } else {
      KJ_IF_MAYBE (outgoing, core.takeFrame()) {
        auto encoded = encodeMuxFrame(outgoing->frame);
        if (tryParseMuxFrame(encoded.type, encoded.body) == nullptr) abort();
      }
    }
    core.checkInvariants();
  }
  return 0;
}
