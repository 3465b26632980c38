// One end of a pairing against a peer whose frames are honest, cut or changed as the input says: whatever comes, the
// exchange either goes on as specified or is dead for good, and no code is shown unless every frame was honest.
#include <kj/debug.h>

#include <cstdlib>
#include <cstring>

#include "daemons/dsoftbusd/pairing/pairing-exchange.h"
#include "libs/nexus-net-os/testing/fixed-entropy.h"

namespace {

using Role = nexus::PairingExchange::Role;

const nexus::DeviceIdentity& identity(const char* name) {
  static const auto a = nexus::DeviceIdentity::forTest("node-a"), b = nexus::DeviceIdentity::forTest("node-b");
  return name[0] == 'a' ? a : b;
}

}  // namespace

// Each input byte rules one frame: 0 honest, 1 a byte changed, 2 cut, 3 longer, 4 the input itself, 5 another's.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  nexus::FixedEntropy ours(1), theirs(2);
  nexus::PairingExchange initiator(Role::INITIATOR, identity("a"), ours);
  nexus::PairingExchange responder(Role::RESPONDER, identity("b"), theirs);
  bool honest = true;
  for (size_t step = 0; step < 7; step++) {
    auto& from = step % 2 == 0 ? responder : initiator;
    auto& to = step % 2 == 0 ? initiator : responder;
    auto frame = from.nextFrame();
    if (frame == nullptr) break;  // only somebody who was lied to stops
    auto& whole = KJ_ASSERT_NONNULL(frame);
    auto body = kj::heapArray(whole.slice(4, whole.size()).asConst());
    uint8_t rule = step < size ? data[step] : 0;
    switch (rule % 6) {
      case 1:
        body[rule % body.size()] ^= 1;
        break;
      case 2:
        body = kj::heapArray(body.slice(0, body.size() - 1).asConst());
        break;
      case 3: {
        auto longer = kj::heapArray<kj::byte>(body.size() + 1);
        memset(longer.begin(), rule, longer.size());
        body = kj::mv(longer);
        break;
      }
      case 4:
        memset(body.begin(), 0, body.size());
        memcpy(body.begin(), data, size < body.size() ? size : body.size());
        break;
      case 5:
        body = kj::heapArray<kj::byte>(data, size);
        break;
    }
    honest = honest && rule % 6 == 0;
    auto error = to.take(body);
    if ((error != nullptr) != to.isDead()) abort();
    if (to.isDead() && (to.code() != nullptr || to.expectedBytes() != nullptr || to.nextFrame() != nullptr)) abort();
    if (to.isDead()) break;
  }
  auto a = initiator.code(), b = responder.code();
  if (honest && (a == nullptr || b == nullptr || KJ_ASSERT_NONNULL(a) != KJ_ASSERT_NONNULL(b))) abort();
  if (!honest && a != nullptr) abort();  // the initiator sees the last frame: it shows nothing after a lie
  return 0;
}
