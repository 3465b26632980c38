#include "daemons/dsoftbusd/remote/statefs-service.h"

#include <kj/debug.h>

#include "libs/oslite-frames/statefs-gate.h"

namespace nexus {

namespace {

constexpr kj::StringPtr OPERATIONS[] = {"put"_kj, "get"_kj, "del"_kj, "list"_kj, "sync"_kj, "reopen"_kj};
constexpr size_t OFFERED = 5;  // all but reopen

bool isWithin(sf::Key key, sf::Key prefix) {
  return key.size() >= prefix.size() && key.slice(0, prefix.size()) == prefix;
}

bool isListed(const sf::List& asked, const sf::Reply& reply) {
  if (reply.keys.size() > asked.limit) return false;
  for (auto& key : reply.keys) {
    if (!isWithin(key, asked.prefix)) return false;
  }
  return true;
}

}  // namespace

kj::ArrayPtr<const kj::StringPtr> statefsOperations() {
  return kj::arrayPtr(OPERATIONS, OFFERED);
}

kj::Maybe<kj::StringPtr> statefsOperation(kj::ArrayPtr<const kj::byte> frame) {
  KJ_IF_MAYBE (head, sf::decodeHead(frame)) {
    if (head->op >= uint8_t(sf::Op::PUT) && head->op <= uint8_t(sf::Op::REOPEN)) {
      return OPERATIONS[head->op - uint8_t(sf::Op::PUT)];
    }
  }
  return nullptr;
}

kj::Maybe<kj::Array<kj::byte>> statefsRefusal(kj::ArrayPtr<const kj::byte> frame) {
  auto checked = sf::checkRemote(true, frame);
  if (checked.is<sf::GateReject>()) return sf::encodeReject(frame, checked.get<sf::GateReject>());
  return nullptr;
}

ReplyVerdict judgeStatefsReply(kj::ArrayPtr<const kj::byte> frame, kj::ArrayPtr<const kj::byte> bytes) {
  auto head = sf::decodeHead(frame);
  auto checked = sf::checkRemote(true, frame);
  if (head == nullptr || !checked.is<sf::Request>()) return ReplyVerdict::NOT_A_REPLY;
  auto& request = checked.get<sf::Request>();
  KJ_IF_MAYBE (reply, sf::decodeReply(sf::Op(KJ_ASSERT_NONNULL(head).op), bytes)) {
    if (!sf::correlates(request.nonce, *reply)) return ReplyVerdict::NOT_A_REPLY;
    if (request.body.is<sf::List>() && !isListed(request.body.get<sf::List>(), *reply))
      return ReplyVerdict::NOT_A_REPLY;
    return reply->status == sf::Status::OK ? ReplyVerdict::OK : ReplyVerdict::SAID_NO;
  }
  return ReplyVerdict::NOT_A_REPLY;
}

kj::Maybe<kj::String> statefsAuditLine(kj::ArrayPtr<const kj::byte> frame, kj::Maybe<ReplyVerdict> verdict) {
  KJ_IF_MAYBE (v, verdict) {
    return sf::auditLine(frame, *v == ReplyVerdict::OK ? sf::AUDIT_ALLOW : sf::AUDIT_REJECT_STATUS);
  }
  auto checked = sf::checkRemote(true, frame);
  if (checked.is<sf::GateReject>()) return sf::auditLine(frame, sf::auditSuffix(checked.get<sf::GateReject>()));
  return nullptr;
}

}  // namespace nexus
