// A sender, a hostile wire and a receiver: the input says what is sent, changed, lost, repeated and how the stream is
// cut. Whatever happens to the wire, the receiver delivers what was sent, in order, from the first record on, or
// nothing more at all.
#include <kj/vector.h>

#include <cstdlib>

#include "daemons/dsoftbusd/noise/record.h"

using namespace nexus;

namespace {

constexpr RecordLimits LIMITS{.maxRecords = 4};
constexpr size_t MAX_WIRE = 1 << 16;

void expect(bool condition) {
  if (!condition) abort();
}

NoiseCipher cipher() {
  return NoiseCipher(SecretBytes(32));
}

class Run {
 public:
  explicit Run(kj::ArrayPtr<const kj::byte> script) : script(script) {}

  void all() {
    while (script.size() > 0) step(take());
    deliver(wire.size());
  }

 private:
  kj::ArrayPtr<const kj::byte> script;
  RecordSender sender{cipher(), kj::origin<kj::TimePoint>(), LIMITS};
  RecordReceiver receiver{cipher(), LIMITS};
  kj::Vector<kj::Array<kj::byte>> sent;  // type and body
  size_t delivered = 0;
  kj::Vector<kj::byte> wire;  // not yet delivered
  bool touched = false, failed = false;

  kj::byte take() {
    if (script.size() == 0) return 0;
    kj::byte b = script[0];
    script = script.slice(1, script.size());
    return b;
  }

  void step(kj::byte command) {
    switch (command >> 5) {
      case 0:
      case 1:
        return send(command);
      case 2:
        return deliver(command & 31);
      case 3:
        return change(take(), kj::byte(1) << (command & 7));
      case 4:
        return lose(command & 31);
      case 5:
        return repeat(command & 31);
      case 6:
        return insert(take());
      default:
        return deliver(wire.size());
    }
  }

  void send(size_t size) {
    if (wire.size() > MAX_WIRE) return;
    auto body = script.slice(0, kj::min(size, script.size()));
    script = script.slice(body.size(), script.size());
    uint8_t type = 1 + size % 5;
    kj::Vector<kj::byte> record;
    record.add(type);
    record.addAll(body);
    sent.add(record.releaseAsArray());
    auto sealed = sender.trySeal(type, body, kj::origin<kj::TimePoint>());
    KJ_IF_MAYBE (bytes, sealed)
      wire.addAll(*bytes);
    else
      abort();
  }

  void change(kj::byte at, kj::byte bits) {
    if (wire.size() == 0) return;
    wire[at % wire.size()] ^= bits;
    touched = true;
  }

  void lose(size_t count) {
    size_t keep = wire.size() - kj::min(count, wire.size());
    if (keep < wire.size()) touched = true;
    wire.truncate(keep);
  }

  void repeat(size_t count) {
    kj::Vector<kj::byte> again;
    again.addAll(wire.asPtr().slice(0, kj::min(count, wire.size())));
    wire.addAll(again);
    touched = touched || again.size() > 0;
  }

  void insert(kj::byte b) {
    wire.add(b);
    touched = true;
  }

  void deliver(size_t count) {
    count = kj::min(count, wire.size());
    receiver.feed(wire.asPtr().slice(0, count));
    kj::Vector<kj::byte> rest;
    rest.addAll(wire.asPtr().slice(count, wire.size()));
    wire = kj::mv(rest);
    drain();
  }

  void drain() {
    for (;;) {
      auto next = receiver.next();
      if (next == nullptr) break;
      KJ_IF_MAYBE (result, next) {
        if (result->is<RecordError>()) {
          expect(touched);
          failed = true;
          break;
        }
        auto& record = result->get<Record>();
        expect(!failed && delivered < sent.size());
        auto& original = sent[delivered++];
        expect(record.type == original[0] && record.body == original.slice(1, original.size()).asConst());
      }
    }
    if (!touched && wire.size() == 0) expect(delivered == sent.size() && receiver.pendingBytes() == 0);
    expect(receiver.isPoisoned() == failed);
    expect(receiver.pendingBytes() < RECORD_HEADER_BYTES + RECORD_MAX_CIPHERTEXT);
  }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Run(kj::arrayPtr(data, size)).all();
  return 0;
}
