#include "tests/interop/openssl-noise.h"

#include <kj/debug.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <sys/socket.h>

namespace nexus::interop {

namespace {

constexpr auto PROTOCOL = "Noise_XK_25519_ChaChaPoly_BLAKE2s";
constexpr size_t TAG = 16, KEY = 32;

Bytes text(kj::StringPtr s) {
  return Bytes(s.asBytes().begin(), s.size());
}

Bytes digest(const EVP_MD* type, const Bytes& data) {
  Bytes out(EVP_MD_get_size(type), 0);
  KJ_REQUIRE(EVP_Digest(data.data(), data.size(), out.data(), nullptr, type, nullptr) == 1);
  return out;
}

Bytes hash(const Bytes& data) {
  return digest(EVP_blake2s256(), data);
}

Bytes hmac(const Bytes& key, const Bytes& data) {
  Bytes out(KEY, 0);
  KJ_REQUIRE(HMAC(EVP_blake2s256(), key.data(), key.size(), data.data(), data.size(), out.data(), nullptr) != nullptr);
  return out;
}

// Noise 4.3: HKDF with two outputs.
void hkdf(const Bytes& chainingKey, const Bytes& input, Bytes& first, Bytes& second) {
  auto temp = hmac(chainingKey, input);
  first = hmac(temp, Bytes(1, 1));
  second = hmac(temp, first + Bytes(1, 2));
}

struct Key {
  explicit Key(EVP_PKEY* key) : key(key) { KJ_REQUIRE(key != nullptr); }
  ~Key() { EVP_PKEY_free(key); }
  KJ_DISALLOW_COPY_AND_MOVE(Key);
  EVP_PKEY* key;
};

Bytes publicOf(int type, const Bytes& secret) {
  Key key(EVP_PKEY_new_raw_private_key(type, nullptr, secret.data(), secret.size()));
  Bytes out(KEY, 0);
  size_t size = out.size();
  KJ_REQUIRE(EVP_PKEY_get_raw_public_key(key.key, out.data(), &size) == 1);
  return out;
}

Bytes dh(const Bytes& secret, const Bytes& remote) {
  Key own(EVP_PKEY_new_raw_private_key(EVP_PKEY_X25519, nullptr, secret.data(), secret.size()));
  Key other(EVP_PKEY_new_raw_public_key(EVP_PKEY_X25519, nullptr, remote.data(), remote.size()));
  auto context = EVP_PKEY_CTX_new(own.key, nullptr);
  KJ_DEFER(EVP_PKEY_CTX_free(context));
  Bytes out(KEY, 0);
  size_t size = out.size();
  KJ_REQUIRE(EVP_PKEY_derive_init(context) == 1 && EVP_PKEY_derive_set_peer(context, other.key) == 1 &&
             EVP_PKEY_derive(context, out.data(), &size) == 1);
  return out;
}

Bytes sign(const Bytes& seed, const Bytes& message) {
  Key key(EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, nullptr, seed.data(), seed.size()));
  auto context = EVP_MD_CTX_new();
  KJ_DEFER(EVP_MD_CTX_free(context));
  Bytes out(64, 0);
  size_t size = out.size();
  KJ_REQUIRE(EVP_DigestSignInit(context, nullptr, nullptr, nullptr, key.key) == 1 &&
             EVP_DigestSign(context, out.data(), &size, message.data(), message.size()) == 1);
  return out;
}

bool verify(const Bytes& publicKey, const Bytes& signature, const Bytes& message) {
  Key key(EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr, publicKey.data(), publicKey.size()));
  auto context = EVP_MD_CTX_new();
  KJ_DEFER(EVP_MD_CTX_free(context));
  return EVP_DigestVerifyInit(context, nullptr, nullptr, nullptr, key.key) == 1 &&
         EVP_DigestVerify(context, signature.data(), signature.size(), message.data(), message.size()) == 1;
}

// Noise 12.3: 32 zero bits, then the counter, little-endian.
Bytes nonceOf(uint64_t n) {
  Bytes nonce(12, 0);
  for (int i = 0; i < 8; i++) nonce[4 + i] = n >> 8 * i;
  return nonce;
}

Bytes seal(const Bytes& key, uint64_t n, const Bytes& ad, const Bytes& plaintext) {
  auto context = EVP_CIPHER_CTX_new();
  KJ_DEFER(EVP_CIPHER_CTX_free(context));
  Bytes out(plaintext.size() + TAG, 0);
  int size = 0;
  KJ_REQUIRE(EVP_EncryptInit_ex(context, EVP_chacha20_poly1305(), nullptr, key.data(), nonceOf(n).data()) == 1);
  EVP_EncryptUpdate(context, nullptr, &size, ad.data(), ad.size());
  EVP_EncryptUpdate(context, out.data(), &size, plaintext.data(), plaintext.size());
  EVP_EncryptFinal_ex(context, out.data() + plaintext.size(), &size);
  EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, TAG, out.data() + plaintext.size());
  return out;
}

bool open(const Bytes& key, uint64_t n, const Bytes& ad, const Bytes& sealed, Bytes& plaintext) {
  if (sealed.size() < TAG) return false;
  auto context = EVP_CIPHER_CTX_new();
  KJ_DEFER(EVP_CIPHER_CTX_free(context));
  auto tag = sealed.substr(sealed.size() - TAG);
  plaintext.assign(sealed.size() - TAG, 0);
  int size = 0;
  KJ_REQUIRE(EVP_DecryptInit_ex(context, EVP_chacha20_poly1305(), nullptr, key.data(), nonceOf(n).data()) == 1);
  EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, TAG, tag.data());
  EVP_DecryptUpdate(context, nullptr, &size, ad.data(), ad.size());
  EVP_DecryptUpdate(context, plaintext.data(), &size, sealed.data(), plaintext.size());
  return EVP_DecryptFinal_ex(context, plaintext.data() + plaintext.size(), &size) == 1;
}

}  // namespace

Keys Keys::ofTestIdentity(kj::StringPtr name) {
  Keys keys;
  keys.seed = digest(EVP_sha256(), text(kj::str("nexus-net test identity ", name)));
  keys.devicePublic = publicOf(EVP_PKEY_ED25519, keys.seed);
  keys.noisePrivate = digest(EVP_sha256(), keys.seed);
  keys.noisePublic = publicOf(EVP_PKEY_X25519, keys.noisePrivate);
  return keys;
}

// Noise 5.3, Initialize, with the name of more than 32 bytes hashed and the responder's static key as pre-message.
NoiseInitiator::NoiseInitiator(kj::AutoCloseFd socket, Keys own, Bytes responderStatic, kj::StringPtr prologue)
    : socket(kj::mv(socket)), own(kj::mv(own)), remoteStatic(kj::mv(responderStatic)), h(hash(text(PROTOCOL))), ck(h) {
  mixHash(text(prologue));
  mixHash(remoteStatic);
}

void NoiseInitiator::mixHash(const Bytes& data) {
  h = hash(h + data);
}

void NoiseInitiator::mixKey(const Bytes& secret) {
  hkdf(Bytes(ck), secret, ck, k);
  n = 0;
}

Bytes NoiseInitiator::encryptAndHash(const Bytes& plaintext) {
  auto out = seal(k, n++, h, plaintext);
  mixHash(out);
  return out;
}

bool NoiseInitiator::decryptAndHash(const Bytes& ciphertext, Bytes& plaintext) {
  if (!open(k, n++, h, ciphertext, plaintext)) return false;
  mixHash(ciphertext);
  return true;
}

Bytes NoiseInitiator::proof() const {
  return own.devicePublic + sign(own.seed, digest(EVP_sha256(), text("client-static") + own.noisePublic));
}

bool NoiseInitiator::handshake() {
  Bytes ephemeral(KEY, 0);
  KJ_REQUIRE(RAND_bytes(ephemeral.data(), ephemeral.size()) == 1);
  // -> e, es
  auto e = publicOf(EVP_PKEY_X25519, ephemeral);
  mixHash(e);
  mixKey(dh(ephemeral, remoteStatic));
  sendFrame(e + encryptAndHash({}));
  // <- e, ee, the responder's proof
  auto second = receiveFrame();
  if (second.size() != 144) return false;
  auto re = second.substr(0, KEY);
  mixHash(re);
  mixKey(dh(ephemeral, re));
  Bytes theirs;
  if (!decryptAndHash(second.substr(KEY), theirs) || theirs.size() != 96) return false;
  if (!verify(theirs.substr(0, KEY), theirs.substr(KEY), digest(EVP_sha256(), text("server-static") + remoteStatic))) {
    return false;
  }
  // -> s, se, the initiator's proof
  auto third = encryptAndHash(own.noisePublic);
  mixKey(dh(own.noisePrivate, re));
  sendFrame(third + encryptAndHash(proof()));
  hkdf(ck, {}, sendKey, receiveKey);
  return true;
}

void NoiseInitiator::sendRecord(const Bytes& plaintext) {
  sendFrame(seal(sendKey, sent++, {}, plaintext));
}

Bytes NoiseInitiator::receiveRecord() {
  auto frame = receiveFrame();
  if (frame.empty()) return {};
  Bytes plaintext;
  KJ_REQUIRE(open(receiveKey, received++, {}, frame, plaintext), "a record does not decrypt");
  return plaintext;
}

void NoiseInitiator::sendFrame(const Bytes& frame) {
  Bytes out(4, 0);
  for (int i = 0; i < 4; i++) out[i] = frame.size() >> 8 * (3 - i);
  out += frame;
  kj::FdOutputStream(socket.get()).write(out.data(), out.size());
}

// Empty at the end of the stream.
Bytes NoiseInitiator::receiveFrame() {
  auto length = receiveExactly(4);
  if (length.size() < 4) return {};
  return receiveExactly(size_t(length[0]) << 24 | length[1] << 16 | length[2] << 8 | length[3]);
}

Bytes NoiseInitiator::receiveExactly(size_t size) {
  Bytes data(size, 0);
  size_t got = 0;
  while (got < size) {
    ssize_t count = recv(socket.get(), data.data() + got, size - got, 0);
    if (count <= 0) return {};  // closed, or reset
    got += count;
  }
  return data;
}

}  // namespace nexus::interop
