#include "daemons/dsoftbusd/pairing/pairing-exchange.h"

#include <doctest/doctest.h>
#include <kj/debug.h>
#include <kj/encoding.h>
#include <kj/vector.h>

#include "libs/nexus-net-os/testing/fixed-entropy.h"

namespace nexus {
namespace {

using Role = PairingExchange::Role;
using Bytes = kj::Array<kj::byte>;

// One end with its own keys and randomness.
struct End {
  DeviceIdentity own;
  FixedEntropy entropy;
  PairingExchange exchange;

  End(Role role, kj::StringPtr identity, uint64_t seed)
      : own(DeviceIdentity::forTest(identity)), entropy(seed), exchange(role, own, entropy) {}

  Bytes body() {
    auto frame = KJ_ASSERT_NONNULL(exchange.nextFrame());
    KJ_ASSERT(frame.size() == 4u + (size_t(frame[2]) << 8 | frame[3]));
    return kj::heapArray(frame.slice(4, frame.size()).asConst());
  }
  kj::Maybe<PairingError> take(kj::ArrayPtr<const kj::byte> body) { return exchange.take(body); }
  void takes(kj::ArrayPtr<const kj::byte> body) { REQUIRE(take(body) == nullptr); }
  kj::StringPtr code() { return KJ_ASSERT_NONNULL(exchange.code()); }
};

struct Pair {
  End i, r;
  kj::Vector<kj::String> wire;

  explicit Pair(uint64_t seed = 1) : i(Role::INITIATOR, "node-a", seed), r(Role::RESPONDER, "node-b", seed + 100) {}

  // Frames in their order: R, I, R, I, R, I, R.
  End& sender() { return wire.size() % 2 == 0 ? r : i; }
  End& receiver() { return wire.size() % 2 == 0 ? i : r; }
  void run(int steps = 7) {
    for (int step = 0; step < steps; step++) {
      auto body = sender().body();
      receiver().takes(body);
      wire.add(kj::encodeHex(body));
    }
  }
};

kj::ArrayPtr<const kj::byte> bodyOf(const Bytes& frame) {
  return frame.slice(4, frame.size());
}

bool is(kj::Maybe<PairingError> error, PairingError expected) {
  return error.map([&](PairingError e) { return e == expected; }).orDefault(false);
}

TEST_CASE("both ends come to the same seven digits and know each other's identity") {
  Pair p;
  p.run(6);
  CHECK(p.r.exchange.code() == nullptr);  // its nonce is not out yet
  p.run(1);
  CHECK(p.i.code() == p.r.code());
  CHECK(p.i.code().size() == PAIRING_CODE_DIGITS + 1);
  CHECK(p.i.exchange.peer().deviceId == p.r.own.deviceId());
  CHECK(p.r.exchange.peer().deviceId == p.i.own.deviceId());
  CHECK(p.r.exchange.peer().staticKey == p.i.own.noiseKeys().publicKey());
  CHECK(p.i.exchange.nextFrame() == nullptr);
}

// Of the test identities node-a (initiator) and node-b, with FixedEntropy 1 and 101.
constexpr kj::StringPtr GOLDEN[] = {
    "e4279b2fdbf02a64ce7f1f79e733eb9da8304bd2c28c7a6bcb974a8a85295822"_kj,
    "b1ddbb57c52187fde70291e1745e001bb3066cc76e8cf832d39c8def9df2c221072bfd818d525b3c6208db98bc94d499"_kj,
    "ed29180b38eba8c22f195bf1f4f6ef97cac3c8744e39885aef4566b30498bd5d01e3628d89ff9deaa548684a1cc492a0f93f"
    "d9a9aadbd06ab28a2082f660360fae4fa3827129ad39893daa8f04ec554cb20b6b72bb3c03ae7deaaefb8248181129fa3d4f"
    "c713e70fdd980a4c187ac9c7151f175550bb234852d3fe8625805082291cf48fcf2fb856dbd2f78dde18870a"_kj,
    "7fdcc6b125b3d883a6c623784f83b05be9dad5fa58dde2a155d6bb4ef8a6c845e6d898cb28e111cdf10e6078aa2a745b5bec"
    "d52af0e7d10911d9a81af3f1b69f3054001e7cf20ff695aca0216efb9a8a19b9e346f79264b4d1a4aad8982ea1484d2e7f03"
    "6e0c11af6c2cb6d228171bdcafd820cb32013181c8272c87280802ca12c6b9dcebd21cd3964fd3d850e6e013c95dc88613da"
    "001abee5ac3ced03717e"_kj,
    "32b1ea5c5825ab749f5836d54e833ddfc0678ebc0d2dc40b86704f4a606850b46990fc8f8366eef582e7d39dbed6f153"_kj,
    "7176503b02be783573ed1d9f6d39eb8faa3ded481d04960b092649ccdcb515b0e4f123610bb63d78f075188d9ddc8923"_kj,
    "839e6da3c4d0b2b897bc6a34401da41d7af9ab8e974f16210497d3aa0b062d4f945764bdea5e563a42493c150118883e"_kj};

TEST_CASE("the bytes on the wire are these") {
  Pair p;
  p.run();
  REQUIRE(p.wire.size() == kj::size(GOLDEN));
  for (auto i : kj::indices(GOLDEN)) CHECK(p.wire[i] == GOLDEN[i]);
  CHECK(p.i.code() == "211-1533");
  CHECK(kj::encodeHex(p.i.exchange.decide(true)) == "000000113b301cae8e4a8b6615641429de2633a03b");
}

TEST_CASE("decisions cross in either order, and each is made once") {
  Pair p;
  p.run();
  auto yes = p.i.exchange.decide(true);
  CHECK(yes.size() == 4 + 17);
  CHECK(p.r.exchange.peerDecision() == nullptr);
  p.r.takes(bodyOf(yes));
  CHECK(KJ_ASSERT_NONNULL(p.r.exchange.peerDecision()));
  CHECK_THROWS(p.i.exchange.decide(true));
  auto no = p.r.exchange.decide(false);
  p.i.takes(bodyOf(no));
  CHECK_FALSE(KJ_ASSERT_NONNULL(p.i.exchange.peerDecision()));
  CHECK(is(p.i.take(bodyOf(no)), PairingError::OUT_OF_ORDER));  // a second one
}

TEST_CASE("nothing can be decided before there is a code") {
  Pair p;
  for (int step = 0; step < 7; step++) {
    CHECK_THROWS(p.i.exchange.decide(true));
    CHECK_THROWS(p.r.exchange.decide(true));
    CHECK(p.i.exchange.code() == nullptr);
    p.run(1);
  }
  CHECK(p.i.exchange.decide(true).size() > 0);
}

TEST_CASE("a changed byte in any frame ends the exchange, and nothing brings it back") {
  for (int step = 0; step < 7; step++) {
    CAPTURE(step);
    Pair p;
    p.run(step);
    End& to = p.receiver();
    auto good = p.sender().body();
    auto bad = kj::heapArray(good.asPtr().asConst());
    bad[bad.size() / 2] ^= 1;
    auto error = to.take(bad);
    if (step == 0) {
      // Another static key for R: message 1 is for somebody else, and R refuses it.
      REQUIRE(error == nullptr);
      CHECK(is(p.r.take(p.i.body()), PairingError::NOT_AUTHENTIC));
      continue;
    }
    CHECK(error != nullptr);
    CHECK(to.exchange.isDead());
    CHECK(to.exchange.code() == nullptr);
    CHECK(to.exchange.nextFrame() == nullptr);
    CHECK(is(to.take(good), PairingError::DEAD));
  }
}

TEST_CASE("a frame of another length is refused before it is looked at") {
  for (int step = 0; step < 7; step++) {
    for (int delta : {-1, 1}) {
      CAPTURE(step);
      Pair p;
      p.run(step);
      End& to = p.receiver();
      auto good = p.sender().body();
      CHECK(KJ_ASSERT_NONNULL(to.exchange.expectedBytes()) == good.size());
      auto bad = kj::heapArray<kj::byte>(good.size() + delta);
      memcpy(bad.begin(), good.begin(), kj::min(good.size(), bad.size()));
      CHECK(is(to.take(bad), PairingError::BAD_LENGTH));
    }
  }
}

// Randomness that differs in its first bytes, the nonce, and is the same after that: the keys.
class OtherNonce final : public Entropy {
 public:
  explicit OtherNonce(uint64_t seed) : rest(seed) {}
  void fill(kj::ArrayPtr<kj::byte> out) override {
    rest.fill(out);
    if (first) out[0] ^= 1;
    first = false;
  }

 private:
  FixedEntropy rest;
  bool first = true;
};

TEST_CASE("the opened nonce must be the one that was committed to") {
  Pair p;
  // A second R with the same keys and another nonce, who hears the same.
  OtherNonce entropy(101);
  PairingExchange other(Role::RESPONDER, p.r.own, entropy);
  (void)other.nextFrame();
  p.run(2);
  REQUIRE(other.take(kj::decodeHex(p.wire[1])) == nullptr);
  (void)other.nextFrame();
  p.run(2);
  REQUIRE(other.take(kj::decodeHex(p.wire[3])) == nullptr);
  (void)other.nextFrame();
  p.run(2);
  REQUIRE(other.take(kj::decodeHex(p.wire[5])) == nullptr);
  auto opened = KJ_ASSERT_NONNULL(other.nextFrame());
  CHECK(is(p.i.take(bodyOf(opened)), PairingError::BAD_COMMITMENT));
  CHECK(p.i.exchange.code() == nullptr);
}

TEST_CASE("a static key that is no key ends the exchange before anything is sealed with it") {
  Pair p;
  KeyBytes zeros{};
  p.i.takes(asBytes(zeros));
  CHECK(p.i.exchange.nextFrame() == nullptr);
  CHECK(p.i.exchange.isDead());
}

TEST_CASE("frames of another run are not taken") {
  Pair earlier(1), now(2);
  earlier.run();
  for (int step = 1; step < 7; step++) {
    CAPTURE(step);
    Pair p(2);
    p.run(step);
    End& to = p.receiver();
    auto old = kj::decodeHex(earlier.wire[step]);
    auto error = to.take(old);
    if (step == 1) {
      // The first message of the initiator is not bound to this run yet; R's answer is for somebody else.
      REQUIRE(error == nullptr);
      (void)p.r.body();
      CHECK(is(p.r.take(kj::decodeHex(earlier.wire[3])), PairingError::NOT_AUTHENTIC));
      continue;
    }
    CHECK(is(kj::mv(error), PairingError::NOT_AUTHENTIC));
  }
}

TEST_CASE("a node does not pair with itself, and its own frames that come back are not authentic") {
  End i(Role::INITIATOR, "node-a", 1), r(Role::RESPONDER, "node-a", 2);
  CHECK(is(i.take(r.body()), PairingError::OURSELVES));

  for (int step : {2, 4, 6}) {
    Pair p;
    p.run(step - 1);
    auto own = p.i.body();
    auto back = kj::heapArray<kj::byte>(KJ_ASSERT_NONNULL(p.i.exchange.expectedBytes()));
    memset(back.begin(), 0, back.size());
    memcpy(back.begin(), own.begin(), kj::min(own.size(), back.size()));
    CHECK(is(p.i.take(back), PairingError::NOT_AUTHENTIC));
  }
}

// Two honest ends with a relay that has an exchange of its own with each of them.
TEST_CASE("with somebody in between the two codes differ, whatever it does in whatever order") {
  size_t equal = 0;
  for (uint64_t seed = 1; seed <= 200; seed++) {
    End a(Role::INITIATOR, "node-a", seed), b(Role::RESPONDER, "node-b", seed + 1000);
    End mallory1(Role::RESPONDER, "mallory", seed + 2000), mallory2(Role::INITIATOR, "mallory", seed + 3000);
    auto pass = [](End& from, End& to) { to.takes(from.body()); };
    for (int step = 0; step < 7; step++) {
      if (step % 2 == 0) {
        pass(mallory1, a), pass(b, mallory2);
      } else {
        pass(a, mallory1), pass(mallory2, b);
      }
    }
    equal += a.code() == b.code() ? 1 : 0;
    CHECK(a.exchange.peer().deviceId == mallory1.own.deviceId());
  }
  CHECK(equal == 0);
}

TEST_CASE("a relay cannot wait for the honest nonce before it fixes its own") {
  // As responder towards a it has to send its commitment before a sends its nonce.
  End a(Role::INITIATOR, "node-a", 1), mallory(Role::RESPONDER, "mallory", 2);
  for (int step = 0; step < 4; step++) {
    if (step % 2 == 0)
      a.takes(mallory.body());
    else
      mallory.takes(a.body());
  }
  CHECK(a.exchange.nextFrame() == nullptr);  // no nonce without a commitment
  // As initiator towards b it has to send its nonce before b opens its own.
  End b(Role::RESPONDER, "node-b", 3), mallory2(Role::INITIATOR, "mallory", 4);
  for (int step = 0; step < 5; step++) {
    if (step % 2 == 0)
      mallory2.takes(b.body());
    else
      b.takes(mallory2.body());
  }
  CHECK(b.exchange.nextFrame() == nullptr);
}

TEST_CASE("the codes of many exchanges are spread over all seven digits") {
  kj::uint leading[10] = {};
  for (uint64_t seed = 1; seed <= 500; seed++) {
    Pair p(seed);
    p.run();
    CHECK(p.i.code() == p.r.code());
    leading[p.i.code()[0] - '0']++;
  }
  for (auto n : leading) CHECK(n > 20);
}

}  // namespace
}  // namespace nexus
