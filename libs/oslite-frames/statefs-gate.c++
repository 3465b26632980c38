#include "libs/oslite-frames/statefs-gate.h"

namespace nexus::sf {

namespace {

constexpr kj::StringPtr ESCAPES[] = {"//"_kj, "/./"_kj, "/../"_kj};
constexpr kj::StringPtr ESCAPE_ENDS[] = {"/."_kj, "/.."_kj};

bool startsWith(Key key, kj::StringPtr prefix) {
  return key.size() >= prefix.size() && key.slice(0, prefix.size()) == prefix.asArray();
}

bool endsWith(Key key, kj::StringPtr end) {
  return key.size() >= end.size() && key.slice(key.size() - end.size(), key.size()) == end.asArray();
}

bool escapes(Key key) {
  for (size_t i = 0; i < key.size(); i++) {
    if (key[i] == '\0' || key[i] == '\\') return true;
    for (auto part : ESCAPES) {
      if (startsWith(key.slice(i, key.size()), part)) return true;
    }
  }
  for (auto end : ESCAPE_ENDS) {
    if (endsWith(key, end)) return true;
  }
  return false;
}

enum class Leaf { NEEDED, OPTIONAL };

kj::Maybe<GateReject> keyFault(Key key, Leaf leaf) {
  if (key.size() == 0) return GateReject::BAD_REQUEST;
  if (key.size() > MAX_REMOTE_KEY_BYTES) return GateReject::OVERSIZED;
  if (escapes(key)) return GateReject::PREFIX_ESCAPE;
  if (!startsWith(key, REMOTE_PREFIX)) return GateReject::OUTSIDE_ACL;
  if (leaf == Leaf::NEEDED && key.size() == REMOTE_PREFIX.size()) return GateReject::OUTSIDE_ACL;
  return nullptr;
}

kj::Maybe<GateReject> bodyFault(const Request& request) {
  KJ_SWITCH_ONEOF(request.body) {
    KJ_CASE_ONEOF(r, Put) {
      auto fault = keyFault(r.key, Leaf::NEEDED);
      if (fault != nullptr) return fault;
      if (r.value.size() == 0) return GateReject::BAD_REQUEST;
      if (r.value.size() > MAX_REMOTE_VALUE_BYTES) return GateReject::OVERSIZED;
      return nullptr;
    }
    KJ_CASE_ONEOF(r, Get) return keyFault(r.key, Leaf::NEEDED);
    KJ_CASE_ONEOF(r, Del) return keyFault(r.key, Leaf::NEEDED);
    KJ_CASE_ONEOF(r, List) {
      auto fault = keyFault(r.prefix, Leaf::OPTIONAL);
      if (fault == nullptr && r.limit > MAX_REMOTE_LIST_LIMIT) return GateReject::OVERSIZED;
      return fault;
    }
    KJ_CASE_ONEOF(r, Sync) return nullptr;
    KJ_CASE_ONEOF(r, Reopen) return GateReject::BAD_REQUEST;
  }
  return GateReject::BAD_REQUEST;
}

GateReject decodeFault(Status status) {
  switch (status) {
    case Status::KEY_TOO_LONG:
    case Status::VALUE_TOO_LARGE:
      return GateReject::OVERSIZED;
    case Status::INVALID_KEY:
      return GateReject::PREFIX_ESCAPE;
    default:
      return GateReject::BAD_REQUEST;
  }
}

}  // namespace

kj::OneOf<Request, GateReject> checkRemote(bool authenticated, kj::ArrayPtr<const kj::byte> frame) {
  if (!authenticated) return GateReject::UNAUTHENTICATED;
  if (frame.size() == 0) return GateReject::BAD_REQUEST;
  if (frame.size() > MAX_REMOTE_FRAME_BYTES) return GateReject::OVERSIZED;
  auto decoded = decodeRequest(frame);
  if (decoded.is<Fault>()) return decodeFault(decoded.get<Fault>().status);
  auto& request = decoded.get<Request>();
  KJ_IF_MAYBE (reject, bodyFault(request)) return *reject;
  return kj::mv(request);
}

Status statusOf(GateReject reject) {
  switch (reject) {
    case GateReject::BAD_REQUEST:
      return Status::MALFORMED;
    case GateReject::UNAUTHENTICATED:
    case GateReject::OUTSIDE_ACL:
      return Status::ACCESS_DENIED;
    case GateReject::PREFIX_ESCAPE:
      return Status::INVALID_KEY;
    case GateReject::OVERSIZED:
      return Status::VALUE_TOO_LARGE;
  }
  KJ_UNREACHABLE;
}

kj::Array<kj::byte> encodeReject(kj::ArrayPtr<const kj::byte> frame, GateReject reject) {
  uint8_t op = decodeHead(frame).map([](const Head& head) { return head.op; }).orDefault(0);
  return encodeFault(Fault{uint8_t(op | 0x80), nullptr, statusOf(reject)});
}

kj::StringPtr auditSuffix(GateReject reject) {
  switch (reject) {
    case GateReject::BAD_REQUEST:
      return "reject bad_request"_kj;
    case GateReject::UNAUTHENTICATED:
      return "reject unauthenticated"_kj;
    case GateReject::OUTSIDE_ACL:
      return "reject outside_acl"_kj;
    case GateReject::PREFIX_ESCAPE:
      return "reject prefix_escape"_kj;
    case GateReject::OVERSIZED:
      return "reject oversized"_kj;
  }
  KJ_UNREACHABLE;
}

kj::Maybe<kj::String> auditLine(kj::ArrayPtr<const kj::byte> frame, kj::StringPtr suffix) {
  KJ_IF_MAYBE (head, decodeHead(frame)) {
    if (head->op == static_cast<uint8_t>(Op::PUT)) return kj::str("dsoftbusd: audit remote statefs put ", suffix);
    if (head->op == static_cast<uint8_t>(Op::DEL)) return kj::str("dsoftbusd: audit remote statefs delete ", suffix);
  }
  return nullptr;
}

}  // namespace nexus::sf
