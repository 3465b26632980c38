// What a handshake costs beside the public-key work that it cannot do without, in one run and by processor time: both
// ends in one thread, on a pipe in memory. A handshake has, at both ends together: 2 ephemeral key pairs and 3
// Diffie-Hellman results twice (8 X25519), and a proof that each end signs and the other checks (2 Ed25519 signatures,
// 2 verifications). Everything else (hashes, AEAD, framing, promises) is what the ratio shows.
#include <doctest/doctest.h>
#include <kj/debug.h>
#include <sodium.h>

#include <cstdio>

#include "daemons/dsoftbusd/benchmark/benchmark-support.h"
#include "libs/nexus-net-os/daemon/system-entropy.h"
#include "libs/nexus-net-os/testing/sim-clock.h"

namespace nexus {
namespace {

constexpr int RUNS = 7, HANDSHAKES = 200;

// Microseconds of processor for the public-key operations of one handshake at both ends.
double rawMicros() {
  kj::byte secret[32] = {1}, point[32], shared[32];
  kj::byte publicKey[32], signKey[64], signature[64], message[96] = {2};
  crypto_scalarmult_base(point, secret);
  crypto_sign_keypair(publicKey, signKey);
  return cpuSecondsOf([&] {
           for (int i = 0; i < HANDSHAKES; i++) {
             for (int k = 0; k < 2; k++) KJ_ASSERT(crypto_scalarmult_base(shared, secret) == 0);
             for (int k = 0; k < 6; k++) KJ_ASSERT(crypto_scalarmult(shared, secret, point) == 0);
             for (int k = 0; k < 2; k++) {
               crypto_sign_detached(signature, nullptr, message, sizeof(message), signKey);
               KJ_ASSERT(crypto_sign_verify_detached(signature, message, sizeof(message), publicKey) == 0);
             }
           }
         }) /
         HANDSHAKES * 1e6;
}

double handshakeMicros() {
  SimClock sim;
  SystemEntropy entropy;
  auto client = DeviceIdentity::forTest("client"), server = DeviceIdentity::forTest("server");
  return cpuSecondsOf([&] {
           for (int i = 0; i < HANDSHAKES; i++) {
             auto pipe = kj::newTwoWayPipe();
             auto responding = respondToHandshake(kj::mv(pipe.ends[1]), server, sim.timer, entropy);
             auto done = sim.run(initiateHandshake(kj::mv(pipe.ends[0]), client,
                                                   ExpectedPeer::of(server.publicIdentity()), sim.timer, entropy));
             KJ_ASSERT(done.is<HandshakeDone>());
             KJ_ASSERT(sim.run(kj::mv(responding)).is<HandshakeDone>());
           }
         }) /
         HANDSHAKES * 1e6;
}

TEST_CASE("a handshake costs little more than its X25519 and Ed25519 operations") {
  KJ_ASSERT(sodium_init() >= 0);
  double raw[RUNS], whole[RUNS];
  for (int run = 0; run < RUNS; run++) {
    raw[run] = rawMicros();
    whole[run] = handshakeMicros();
  }
  auto r = Spread::of(raw), w = Spread::of(whole);
  printf("processor us for one handshake, both ends, median (least-most) of %d runs of %d\n", RUNS, HANDSHAKES);
  printf("%-46s %28s\n", "8 X25519, 2 Ed25519 signatures, 2 checks", kj::str(r).cStr());
  printf("%-46s %28s  ratio %.2f, %.0f handshakes/s on one core\n", "handshake", kj::str(w).cStr(), w.median / r.median,
         1e6 / w.median);
  CHECK(isMet(w.median / r.median <= 1.5, "a ratio of at most 1.5"));
}

}  // namespace
}  // namespace nexus
