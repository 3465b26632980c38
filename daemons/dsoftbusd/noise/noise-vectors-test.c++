// Runs the handshake against published test vectors in a JSON file that is not part of the project. The environment
// variable NEXUS_NOISE_VECTORS names it: { "vectors": [ { "id", "protocol", "prologue", "init_static",
// "init_ephemeral", "resp_static", "resp_ephemeral", "init_remote_static", "handshake_hash", "messages": [ { "sender",
// "payload", "ciphertext" } ], "derived" } ] }, binary values in hexadecimal. Vectors of other protocols are counted
// and left out.
#include <capnp/compat/json.h>
#include <capnp/message.h>
#include <doctest/doctest.h>
#include <kj/debug.h>
#include <kj/encoding.h>

#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>

#include "daemons/dsoftbusd/noise/noise-xk.h"

namespace nexus {
namespace {

constexpr kj::StringPtr OURS = "Noise_XK_25519_ChaChaPoly_BLAKE2s"_kj;

class OneEphemeral final : public Entropy {
 public:
  explicit OneEphemeral(kj::Array<kj::byte> bytes) : bytes(kj::mv(bytes)) {}
  void fill(kj::ArrayPtr<kj::byte> out) override {
    KJ_REQUIRE(out.size() == bytes.size());
    memcpy(out.begin(), bytes.begin(), out.size());
  }

 private:
  kj::Array<kj::byte> bytes;
};

kj::Maybe<capnp::JsonValue::Reader> tryField(capnp::JsonValue::Reader object, kj::StringPtr name) {
  KJ_REQUIRE(object.isObject(), "expected an object", name);
  for (auto field : object.getObject()) {
    if (field.getName() == name) {
      if (field.getValue().isNull()) return nullptr;
      return field.getValue();
    }
  }
  return nullptr;
}

kj::StringPtr text(capnp::JsonValue::Reader object, kj::StringPtr name) {
  return KJ_REQUIRE_NONNULL(tryField(object, name), "the vector lacks a field", name).getString();
}

kj::Array<kj::byte> hex(kj::StringPtr digits) {
  auto decoded = kj::decodeHex(digits);
  KJ_REQUIRE(!decoded.hadErrors, "not hexadecimal", digits);
  return kj::mv(decoded);
}

kj::Array<kj::byte> hex(capnp::JsonValue::Reader object, kj::StringPtr name) {
  return hex(text(object, name));
}

NoiseKeyPair keyPair(capnp::JsonValue::Reader vector, kj::StringPtr name) {
  return NoiseKeyPair(SecretBytes::copyOf(hex(vector, name)));
}

void checkHash(capnp::JsonValue::Reader object, const NoiseTransport& transport) {
  auto expected = tryField(object, "handshake_hash");
  KJ_IF_MAYBE (e, expected) CHECK(toHex(transport.handshakeHash) == e->getString());
}

void checkTransport(NoiseTransport& sender, NoiseTransport& receiver, capnp::JsonValue::Reader message) {
  auto payload = hex(message, "payload");
  auto sealed = KJ_ASSERT_NONNULL(sender.send.tryEncrypt(nullptr, payload));
  CHECK(kj::encodeHex(sealed) == text(message, "ciphertext"));
  auto opened = KJ_ASSERT_NONNULL(receiver.receive.tryDecrypt(nullptr, sealed));
  CHECK(opened == payload);
}

// Some sources leave it out: then the responder's own key says it.
KeyBytes remoteStatic(capnp::JsonValue::Reader vector) {
  auto given = tryField(vector, "init_remote_static");
  KJ_IF_MAYBE (g, given) return keyBytes(hex(g->getString()));
  return keyPair(vector, "resp_static").publicKey();
}

void runVector(capnp::JsonValue::Reader vector) {
  OneEphemeral initiatorEntropy(hex(vector, "init_ephemeral")), responderEntropy(hex(vector, "resp_ephemeral"));
  auto prologue = hex(vector, "prologue");
  auto initiator = NoiseXk::initiator(keyPair(vector, "init_static"), remoteStatic(vector), prologue, initiatorEntropy);
  auto responder = NoiseXk::responder(keyPair(vector, "resp_static"), prologue, responderEntropy);
  auto messages = KJ_REQUIRE_NONNULL(tryField(vector, "messages")).getArray();
  REQUIRE(messages.size() > 3);
  for (kj::uint i = 0; i < 3; i++) {
    bool fromInitiator = i != 1;
    CHECK(text(messages[i], "sender") == (fromInitiator ? "initiator" : "responder"));
    auto payload = hex(messages[i], "payload");
    auto written = (fromInitiator ? initiator : responder).writeMessage(payload);
    REQUIRE(written.is<kj::Array<kj::byte>>());
    CHECK(kj::encodeHex(written.get<kj::Array<kj::byte>>()) == text(messages[i], "ciphertext"));
    auto read = (fromInitiator ? responder : initiator).readMessage(written.get<kj::Array<kj::byte>>());
    REQUIRE(read.is<kj::Array<kj::byte>>());
    CHECK(read.get<kj::Array<kj::byte>>() == payload);
  }
  auto a = KJ_ASSERT_NONNULL(initiator.finish()), b = KJ_ASSERT_NONNULL(responder.finish());
  CHECK(a.handshakeHash == b.handshakeHash);
  checkHash(vector, a);
  auto derived = tryField(vector, "derived");
  KJ_IF_MAYBE (d, derived) checkHash(*d, b);
  for (kj::uint i = 3; i < messages.size(); i++) {
    bool fromInitiator = text(messages[i], "sender") == "initiator";
    checkTransport(fromInitiator ? a : b, fromInitiator ? b : a, messages[i]);
  }
}

TEST_CASE("the handshake agrees with every published vector of its protocol") {
  const char* path = getenv("NEXUS_NOISE_VECTORS");
  if (path == nullptr) FAIL("NEXUS_NOISE_VECTORS is not set: give --test_env=NEXUS_NOISE_VECTORS=FILE");
  std::ifstream file(path);
  std::stringstream content;
  content << file.rdbuf();
  if (!file) FAIL("cannot read ", path);

  capnp::MallocMessageBuilder message;
  auto root = message.initRoot<capnp::JsonValue>();
  capnp::JsonCodec codec;
  auto json = content.str();
  codec.decodeRaw(kj::arrayPtr(json.data(), json.size()), root);
  int ran = 0, others = 0;
  for (auto vector : KJ_REQUIRE_NONNULL(tryField(root, "vectors")).getArray()) {
    if (text(vector, "protocol") != OURS) {
      others++;
      continue;
    }
    std::string id = text(vector, "id").cStr();
    CAPTURE(id);
    runVector(vector);
    ran++;
  }
  MESSAGE("vectors of this protocol: ", ran, ", of others: ", others);
  CHECK(ran > 0);
}

}  // namespace
}  // namespace nexus
