// The first byte picks who reads and whether the rest is the message itself or a mask over the true one. A message that
// is not the true one, bit by bit, is never accepted, and whoever refused it is dead.
#include <cstdlib>
#include <cstring>

#include "daemons/dsoftbusd/noise/noise-xk.h"
#include "libs/nexus-net-os/testing/fixed-entropy.h"

using namespace nexus;

namespace {

using Bytes = kj::Array<kj::byte>;

void expect(bool condition) {
  if (!condition) abort();
}

NoiseKeyPair keyPair(kj::byte fill) {
  SecretBytes secret(KEY_BYTES);
  for (auto& b : secret.expose()) b = fill;
  return NoiseKeyPair(kj::mv(secret));
}

// The true message, or what the input makes of it.
Bytes hostileMessage(const Bytes& honest, bool mask, kj::ArrayPtr<const kj::byte> input) {
  if (!mask) return kj::heapArray<kj::byte>(input);
  auto message = kj::heapArray<kj::byte>(honest.asPtr());
  for (size_t i = 0; i < kj::min(message.size(), input.size()); i++) message[i] ^= input[i];
  return message;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  int step = data[0] % 3;
  bool mask = data[0] & 0x80;
  FixedEntropy entropy(7);
  auto responderKey = keyPair(2);
  auto responderPublic = responderKey.publicKey();
  auto initiator = NoiseXk::initiator(keyPair(1), responderPublic, nullptr, entropy);
  auto responder = NoiseXk::responder(kj::mv(responderKey), nullptr, entropy);
  for (int i = 0;; i++) {
    auto& writer = i == 1 ? responder : initiator;
    auto& reader = i == 1 ? initiator : responder;
    // One payload for all inputs: with fixed ephemeral keys every other one would be a second true message.
    auto honest = writer.writeMessage("payload"_kj.asBytes()).get<Bytes>();
    if (i < step) {
      expect(reader.readMessage(honest).is<Bytes>());
      continue;
    }
    auto message = hostileMessage(honest, mask, kj::arrayPtr(data + 1, size - 1));
    bool accepted = reader.readMessage(message).is<Bytes>();
    expect(accepted == (message == honest));
    expect(reader.isDead() == !accepted);
    return 0;
  }
}
