#pragma once
// A second implementation of the handshake and the records of a bus session, initiator's side, over OpenSSL alone:
// written from docs/distributed/dsoftbus-os.md and the Noise specification (revision 34) without a line of the first
// one. Test only: it shows that the documented profile is enough. Blocking, over a connected socket; secrets are not
// wiped.
#include <kj/array.h>
#include <kj/io.h>
#include <kj/string.h>

#include <string>

namespace nexus::interop {

using Bytes = std::basic_string<unsigned char>;

// The keys of a test identity: Ed25519 seed = SHA-256("nexus-net test identity " + name).
struct Keys {
  Bytes seed, devicePublic, noisePrivate, noisePublic;

  static Keys ofTestIdentity(kj::StringPtr name);
};

class NoiseInitiator {
 public:
  NoiseInitiator(kj::AutoCloseFd socket, Keys own, Bytes responderStatic, kj::StringPtr prologue);

  // All three messages. False: the responder closed the connection instead of answering, or its proof is wrong.
  bool handshake();

  void sendRecord(const Bytes& plaintext);
  // Empty when the connection was closed.
  Bytes receiveRecord();

 private:
  kj::AutoCloseFd socket;
  Keys own;
  Bytes remoteStatic, h, ck, k;
  uint64_t n = 0;
  Bytes sendKey, receiveKey;
  uint64_t sent = 0, received = 0;

  void mixHash(const Bytes& data);
  void mixKey(const Bytes& secret);
  Bytes encryptAndHash(const Bytes& plaintext);
  bool decryptAndHash(const Bytes& ciphertext, Bytes& plaintext);
  void sendFrame(const Bytes& frame);
  Bytes receiveFrame();
  Bytes receiveExactly(size_t size);
  Bytes proof() const;
};

}  // namespace nexus::interop
