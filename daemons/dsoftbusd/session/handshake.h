#pragma once
// The handshake of a session on a byte stream, both roles: moves the messages of NoiseXk, carries and checks the
// identity proofs, keeps the deadline. What comes out is an encrypted channel and who the peer proved to be; whether
// that peer is trusted is the caller's business, and no application byte has crossed yet. Written down for other
// implementations in docs/distributed/dsoftbus-os.md.
//
//   prologue   "nexus-net dsoftbus v1"
//   framing    u32 big-endian length, then the message
//   message 1  48 bytes, empty payload
//   message 2  144 bytes, payload: the responder's proof (96 bytes)
//   message 3  160 bytes, payload: the initiator's proof (96 bytes)
#include <kj/async-io.h>
#include <kj/timer.h>

#include "daemons/dsoftbusd/session/record-channel.h"
#include "daemons/dsoftbusd/trust/identity.h"
#include "libs/nexus-net-os/base/entropy.h"

namespace nexus {

constexpr kj::StringPtr BUS_PROLOGUE = "nexus-net dsoftbus v1"_kj;
constexpr kj::Duration HANDSHAKE_DEADLINE = 5 * kj::SECONDS;  // from the first byte to be sent or read to the last

struct HandshakeDone {
  kj::Own<RecordChannel> channel;
  PublicIdentity peer;  // proven: it holds both keys
};

struct HandshakeFailure {
  enum class Kind {
    TIMED_OUT,
    CLOSED,         // the peer ended the stream, or the stream failed
    BAD_LENGTH,     // a message of another length than that of the protocol
    NOT_AUTHENTIC,  // NoiseXk refused a message
    BAD_IDENTITY,   // the proof is wrong, or proves another device than the expected one
  };
  Kind kind;
  kj::String what;  // one clause for people

  static HandshakeFailure late();  // HANDSHAKE_DEADLINE is over
};

using HandshakeResult = kj::OneOf<HandshakeDone, HandshakeFailure>;

// Whom the initiator means to reach. Its static key is needed for the first message; the device id is checked when it
// is known.
struct ExpectedPeer {
  KeyBytes staticKey;
  kj::Maybe<kj::String> deviceId;

  static ExpectedPeer of(const PublicIdentity& identity) { return {identity.staticKey, kj::str(identity.deviceId)}; }
};

// own, timer and entropy must outlive the promise. Failures are results; the stream is then closed.
kj::Promise<HandshakeResult> initiateHandshake(kj::Own<kj::AsyncIoStream> stream, const DeviceIdentity& own,
                                               ExpectedPeer expected, kj::Timer& timer, Entropy& entropy,
                                               RecordLimits limits = {});
kj::Promise<HandshakeResult> respondToHandshake(kj::Own<kj::AsyncIoStream> stream, const DeviceIdentity& own,
                                                kj::Timer& timer, Entropy& entropy, RecordLimits limits = {});

}  // namespace nexus
