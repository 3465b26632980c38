#include "daemons/dsoftbusd/crypto-check.h"

#include <kj/debug.h>

#include "daemons/dsoftbusd/noise/noise-xk.h"
#include "daemons/dsoftbusd/trust/identity.h"

namespace nexus {

namespace {

using Bytes = kj::Array<kj::byte>;

void cross(NoiseXk& from, NoiseXk& to, kj::ArrayPtr<const kj::byte> payload) {
  auto written = from.writeMessage(payload);
  KJ_REQUIRE(written.is<Bytes>(), "the cryptographic library does not work: a handshake message cannot be written");
  auto read = to.readMessage(written.get<Bytes>());
  KJ_REQUIRE(read.is<Bytes>() && read.get<Bytes>() == payload,
             "the cryptographic library does not work: a handshake message cannot be read back");
}

}  // namespace

void checkCryptography(Entropy& entropy) {
  SecretBytes seed(SEED_BYTES);
  entropy.fill(seed.expose());
  DeviceIdentity identity(seed);
  auto initiator = NoiseXk::initiator(identity.noiseKeys().clone(), identity.noiseKeys().publicKey(), nullptr, entropy);
  auto responder = NoiseXk::responder(identity.noiseKeys().clone(), nullptr, entropy);
  cross(initiator, responder, nullptr);
  cross(responder, initiator, identity.prove(ProofRole::SERVER));
  auto proof = identity.prove(ProofRole::CLIENT);
  cross(initiator, responder, proof);
  auto proven = verifyProof(proof, ProofRole::CLIENT, KJ_ASSERT_NONNULL(responder.remoteStatic()));
  KJ_REQUIRE(proven.is<PublicIdentity>(), "the cryptographic library does not work: a signature does not verify");
  auto a = KJ_ASSERT_NONNULL(initiator.finish());
  auto b = KJ_ASSERT_NONNULL(responder.finish());
  auto sealed = KJ_ASSERT_NONNULL(a.send.tryEncrypt(nullptr, proof));
  auto opened = b.receive.tryDecrypt(nullptr, sealed);
  KJ_REQUIRE(opened.map([&](Bytes& bytes) { return bytes == proof; }).orDefault(false),
             "the cryptographic library does not work: a record cannot be read back");
}

}  // namespace nexus
