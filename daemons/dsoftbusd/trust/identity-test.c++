#include "daemons/dsoftbusd/trust/identity.h"

#include <doctest/doctest.h>
#include <kj/debug.h>
#include <kj/encoding.h>

#include "libs/nexus-net-os/testing/fixed-entropy.h"

namespace nexus {
namespace {

IdentityError errorOf(const Proven& proven) {
  REQUIRE(proven.is<IdentityError>());
  return proven.get<IdentityError>();
}

TEST_CASE("test identities are the golden keys") {
  auto a = DeviceIdentity::forTest("node-a"), b = DeviceIdentity::forTest("node-b");
  CHECK(a.deviceId() == "e9f593f7c3cd67840a6791dd82b41701a79118e9312e64cc354a60781c15290d");
  CHECK(toHex(a.verifyingKey()) == "08957d31d8870d8df0f2e5e01a7e3566ee8d7b23126cfcab61de42c6a63fcde9");
  CHECK(toHex(a.noiseKeys().publicKey()) == "c3aa73fb114a9de27e06d4ce86f7e9a1af92e63619ee129145cd287d10377b26");
  CHECK(b.deviceId() == "0e6e38473bb6404b02defe9695dd5a5dfb98946cb27e8981810785fab2dee38d");
  CHECK(toHex(b.noiseKeys().publicKey()) == "e4279b2fdbf02a64ce7f1f79e733eb9da8304bd2c28c7a6bcb974a8a85295822");
  CHECK(isDeviceId(a.deviceId()));
}

TEST_CASE("the proofs are the golden bytes") {
  auto a = DeviceIdentity::forTest("node-a");
  auto key = "08957d31d8870d8df0f2e5e01a7e3566ee8d7b23126cfcab61de42c6a63fcde9"_kj;
  CHECK(kj::encodeHex(a.prove(ProofRole::SERVER)) ==
        kj::str(key, "05936ff22dabf6f575bea3f425a4079503b3fa7023cb88037e55202a48ca32fe",
                "37ea2b7bb65895ab7df6579c6a29fedda144cdefbcbc2aa3a8be314db8388f0b"));
  CHECK(kj::encodeHex(a.prove(ProofRole::CLIENT)) ==
        kj::str(key, "b5888f3a89a0902a3a9917642f918a4af9b8188ddea3cd52c5648ce546a5c895",
                "76bcfe43392d1209c8bebb8154f1ad24e961a57fa4a14e43804554ae662c5a0d"));
}

TEST_CASE("a proof gives the device id of its key") {
  auto a = DeviceIdentity::forTest("node-a");
  for (auto role : {ProofRole::SERVER, ProofRole::CLIENT}) {
    auto proven = verifyProof(a.prove(role), role, a.noiseKeys().publicKey());
    REQUIRE(proven.is<PublicIdentity>());
    CHECK(proven.get<PublicIdentity>().deviceId == a.deviceId());
    CHECK(proven.get<PublicIdentity>().staticKey == a.noiseKeys().publicKey());
    CHECK(checkBinding(proven.get<PublicIdentity>(), a.publicIdentity()) == nullptr);
  }
}

TEST_CASE("a proof is worth nothing in the other role or for another static key") {
  auto a = DeviceIdentity::forTest("node-a"), b = DeviceIdentity::forTest("node-b");
  auto proof = a.prove(ProofRole::CLIENT);
  CHECK(errorOf(verifyProof(proof, ProofRole::SERVER, a.noiseKeys().publicKey())) == IdentityError::BAD_SIGNATURE);
  CHECK(errorOf(verifyProof(proof, ProofRole::CLIENT, b.noiseKeys().publicKey())) == IdentityError::BAD_SIGNATURE);
}

TEST_CASE("a proof of another length or with any bit changed is refused") {
  auto a = DeviceIdentity::forTest("node-a");
  auto proof = a.prove(ProofRole::CLIENT);
  auto verify = [&](kj::ArrayPtr<const kj::byte> p) {
    return verifyProof(p, ProofRole::CLIENT, a.noiseKeys().publicKey());
  };
  for (size_t size = 0; size < PROOF_BYTES; size++) {
    CHECK(errorOf(verify(proof.slice(0, size))) == IdentityError::BAD_LENGTH);
  }
  CHECK(errorOf(verify(kj::heapArray<kj::byte>(PROOF_BYTES + 1))) == IdentityError::BAD_LENGTH);
  for (size_t bit = 0; bit < PROOF_BYTES * 8; bit++) {
    CAPTURE(bit);
    proof[bit / 8] ^= 1 << bit % 8;
    CHECK(errorOf(verify(proof)) == IdentityError::BAD_SIGNATURE);
    proof[bit / 8] ^= 1 << bit % 8;
  }
}

TEST_CASE("a proof under a low-order key is refused") {
  kj::byte proof[PROOF_BYTES] = {1};  // the neutral element signs anything when it is not refused
  proof[KEY_BYTES] = 1;
  CHECK(errorOf(verifyProof(kj::arrayPtr(proof, PROOF_BYTES), ProofRole::CLIENT, KeyBytes{})) ==
        IdentityError::BAD_SIGNATURE);
}

TEST_CASE("binding fails when device id or static key is not the expected one") {
  auto a = DeviceIdentity::forTest("node-a").publicIdentity(), b = DeviceIdentity::forTest("node-b").publicIdentity();
  PublicIdentity otherDevice{kj::heapString(b.deviceId), a.staticKey},
      otherKey{kj::heapString(a.deviceId), b.staticKey};
  CHECK(checkBinding(a, a) == nullptr);
  CHECK(KJ_ASSERT_NONNULL(checkBinding(a, otherDevice)) == IdentityError::DEVICE_ID_MISMATCH);
  CHECK(KJ_ASSERT_NONNULL(checkBinding(a, otherKey)) == IdentityError::STATIC_KEY_MISMATCH);
  CHECK(checkBinding(a, b) != nullptr);
}

TEST_CASE("the proofs travel in messages 2 and 3 of a handshake and bind both ends") {
  auto client = DeviceIdentity::forTest("node-a"), server = DeviceIdentity::forTest("node-b");
  FixedEntropy entropy(5);
  auto initiator = NoiseXk::initiator(client.noiseKeys().clone(), server.noiseKeys().publicKey(), nullptr, entropy);
  auto responder = NoiseXk::responder(server.noiseKeys().clone(), nullptr, entropy);
  using Bytes = kj::Array<kj::byte>;
  responder.readMessage(initiator.writeMessage().get<Bytes>());

  auto second = responder.writeMessage(server.prove(ProofRole::SERVER)).get<Bytes>();
  CHECK(second.size() == 48 + PROOF_BYTES);
  auto serverProof = initiator.readMessage(second).get<Bytes>();
  auto provenServer =
      verifyProof(serverProof, ProofRole::SERVER, KJ_ASSERT_NONNULL(initiator.remoteStatic())).get<PublicIdentity>();
  CHECK(checkBinding(provenServer, server.publicIdentity()) == nullptr);

  auto clientProof =
      responder.readMessage(initiator.writeMessage(client.prove(ProofRole::CLIENT)).get<Bytes>()).get<Bytes>();
  auto provenClient =
      verifyProof(clientProof, ProofRole::CLIENT, KJ_ASSERT_NONNULL(responder.remoteStatic())).get<PublicIdentity>();
  CHECK(checkBinding(provenClient, client.publicIdentity()) == nullptr);
}

TEST_CASE("an identity file is 64 hexadecimal digits and white space around them") {
  auto digits = kj::str(kj::repeat('0', 62), "aF");
  auto seed = KJ_ASSERT_NONNULL(tryParseSeed(kj::str(" \n", digits, "\r\n").asArray()));
  CHECK(seed.expose()[31] == 0xaf);
  CHECK(tryParseSeed(""_kj) == nullptr);
  CHECK(tryParseSeed(digits.slice(1)) == nullptr);
  CHECK(tryParseSeed(kj::str(digits, '0').asArray()) == nullptr);
  CHECK(tryParseSeed(kj::str(digits.slice(1), 'x').asArray()) == nullptr);
}

TEST_CASE("a device id is 64 lowercase hexadecimal digits") {
  CHECK(isDeviceId(kj::str(kj::repeat('a', 64))));
  CHECK_FALSE(isDeviceId(kj::str(kj::repeat('a', 63))));
  CHECK_FALSE(isDeviceId(kj::str(kj::repeat('a', 65))));
  CHECK_FALSE(isDeviceId(kj::str(kj::repeat('A', 64))));
  CHECK_FALSE(isDeviceId(kj::str(kj::repeat('a', 63), 'g')));
  CHECK_FALSE(isDeviceId("node-a"));
}

TEST_CASE("a seed of another length is refused") {
  CHECK_THROWS(DeviceIdentity(SecretBytes(31)));
}

}  // namespace
}  // namespace nexus
