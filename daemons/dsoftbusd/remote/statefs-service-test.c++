#include "daemons/dsoftbusd/remote/statefs-service.h"

#include <doctest/doctest.h>
#include <kj/debug.h>
#include <kj/vector.h>

#include "libs/oslite-frames/statefs-gate.h"

namespace nexus {
namespace {

using Bytes = kj::Array<kj::byte>;
using Body = decltype(sf::Request::body);

const auto KEY = "/state/shared/selftest/remote-rw"_kj;

template <typename T>
Bytes frameOf(T&& body, sf::Nonce nonce = nullptr) {
  return KJ_ASSERT_NONNULL(sf::tryEncodeRequest(sf::Request{nonce, Body(kj::mv(body))}));
}

Bytes put(kj::StringPtr key = KEY, sf::Nonce nonce = nullptr) {
  return frameOf(sf::Put{key.asArray(), "value"_kj.asBytes()}, nonce);
}
Bytes get(sf::Nonce nonce = nullptr) {
  return frameOf(sf::Get{KEY.asArray()}, nonce);
}
Bytes list(uint16_t limit) {
  return frameOf(sf::List{"/state/shared/a"_kj.asArray(), limit});
}

kj::String operation(kj::ArrayPtr<const kj::byte> frame) {
  return kj::str(statefsOperation(frame).orDefault("none"_kj));
}

kj::String line(kj::ArrayPtr<const kj::byte> frame, kj::Maybe<ReplyVerdict> verdict) {
  return statefsAuditLine(frame, verdict).orDefault([] { return kj::str("none"); });
}

TEST_CASE("the operation is told by the op byte, in both versions, and reopen is offered to nobody") {
  CHECK(operation(put()) == "put");
  CHECK(operation(put("/etc/passwd")) == "put");
  CHECK(operation(get(7)) == "get");
  CHECK(operation(frameOf(sf::Del{KEY.asArray()})) == "del");
  CHECK(operation(list(1)) == "list");
  CHECK(operation(frameOf(sf::Sync{}, 1)) == "sync");
  CHECK(operation(frameOf(sf::Reopen{})) == "reopen");
  for (auto offered : statefsOperations()) CHECK(offered != "reopen");
  CHECK(statefsOperations().size() == 5);
  for (kj::uint version : {1, 2}) {
    for (kj::uint op = 0; op < 256; op++) {
      kj::byte frame[12] = {'S', 'F', kj::byte(version), kj::byte(op)};
      CHECK((operation(frame) == "none") == (op < 1 || op > 6));
    }
  }
  CHECK(operation(get(7).slice(0, 11)) == "none");  // version 2 without its nonce
}

TEST_CASE("the gate's rules are answered here: prefix, escape, size, an empty value") {
  CHECK(statefsRefusal(put()) == nullptr);
  CHECK(statefsRefusal(get(9)) == nullptr);
  auto status = [](kj::ArrayPtr<const kj::byte> frame) {
    return sf::Status(KJ_ASSERT_NONNULL(statefsRefusal(frame))[4]);
  };
  CHECK(status(put("/state/private/x")) == sf::Status::ACCESS_DENIED);
  CHECK(status(put("/state/shared/../private")) == sf::Status::INVALID_KEY);
  CHECK(status(put(kj::str("/state/shared/", kj::repeat('k', 83)))) == sf::Status::VALUE_TOO_LARGE);
  CHECK(status(put().slice(0, 12)) == sf::Status::MALFORMED);
}

TEST_CASE("a reply crosses only with the op, the version and the nonce of its request") {
  auto ok = [](sf::Nonce nonce) { return sf::encodeGetReply(nonce, "value"_kj.asBytes()); };
  CHECK(judgeStatefsReply(get(), ok(nullptr)) == ReplyVerdict::OK);
  CHECK(judgeStatefsReply(get(7), ok(7)) == ReplyVerdict::OK);
  CHECK(judgeStatefsReply(get(7), ok(8)) == ReplyVerdict::NOT_A_REPLY);
  CHECK(judgeStatefsReply(get(7), ok(nullptr)) == ReplyVerdict::NOT_A_REPLY);
  CHECK(judgeStatefsReply(get(), ok(7)) == ReplyVerdict::NOT_A_REPLY);
  CHECK(judgeStatefsReply(put(), ok(nullptr)) == ReplyVerdict::NOT_A_REPLY);
  CHECK(judgeStatefsReply(get(), ok(nullptr).slice(0, 10)) == ReplyVerdict::NOT_A_REPLY);
  CHECK(judgeStatefsReply(get(), sf::encodeStatusReply(sf::Op::GET, nullptr, sf::Status::NOT_FOUND)) ==
        ReplyVerdict::SAID_NO);
  CHECK(judgeStatefsReply(put(), sf::encodeStatusReply(sf::Op::PUT, nullptr, sf::Status::IO_ERROR)) ==
        ReplyVerdict::SAID_NO);
}

TEST_CASE("a list with a key outside of what was asked for, or with too many, stays here") {
  auto reply = [](std::initializer_list<kj::StringPtr> keys) {
    kj::Vector<sf::Key> all;
    for (auto key : keys) all.add(key.asArray());
    return sf::encodeListReply(nullptr, all, 512);
  };
  CHECK(judgeStatefsReply(list(2), reply({})) == ReplyVerdict::OK);
  CHECK(judgeStatefsReply(list(2), reply({"/state/shared/a", "/state/shared/ab"})) == ReplyVerdict::OK);
  CHECK(judgeStatefsReply(list(1), reply({"/state/shared/a", "/state/shared/ab"})) == ReplyVerdict::NOT_A_REPLY);
  CHECK(judgeStatefsReply(list(2), reply({"/state/shared/a", "/state/private/a"})) == ReplyVerdict::NOT_A_REPLY);
  CHECK(judgeStatefsReply(list(2), reply({"/state/shared/b"})) == ReplyVerdict::NOT_A_REPLY);
}

TEST_CASE("changes are told by name and outcome, never by key") {
  CHECK(line(put(), ReplyVerdict::OK) == "dsoftbusd: audit remote statefs put allow");
  CHECK(line(put(), ReplyVerdict::SAID_NO) == "dsoftbusd: audit remote statefs put reject status");
  CHECK(line(put("/etc/x"), nullptr) == "dsoftbusd: audit remote statefs put reject outside_acl");
  CHECK(line(frameOf(sf::Del{KEY.asArray()}), ReplyVerdict::OK) == "dsoftbusd: audit remote statefs delete allow");
  CHECK(line(get(), ReplyVerdict::OK) == "none");
  CHECK(line(list(1), ReplyVerdict::OK) == "none");
}

}  // namespace
}  // namespace nexus
