#include "daemons/dsoftbusd/remote-services.h"

#include "libs/oslite-frames/bundlemgr-frames.h"
#include "libs/oslite-frames/samgr-frames.h"

namespace nexus {

namespace {

constexpr kj::StringPtr RESOLVE_STATUS = "resolve-status"_kj;
constexpr kj::StringPtr LIST = "list"_kj;

kj::Maybe<kj::StringPtr> samgrOperation(kj::ArrayPtr<const kj::byte> frame) {
  auto request = sm::decodeRequest(frame);
  KJ_SWITCH_ONEOF(request) {
    KJ_CASE_ONEOF(r, sm::Register) {
      return "register"_kj;
    }
    KJ_CASE_ONEOF(r, sm::Lookup) {
      return "lookup"_kj;
    }
    KJ_CASE_ONEOF(r, sm::PingCapMove) {
      return "ping-cap-move"_kj;
    }
    KJ_CASE_ONEOF(r, sm::SenderPid) {
      return "sender-pid"_kj;
    }
    KJ_CASE_ONEOF(r, sm::SenderServiceId) {
      return "sender-service-id"_kj;
    }
    KJ_CASE_ONEOF(r, sm::ResolveStatus) {
      return RESOLVE_STATUS;
    }
    KJ_CASE_ONEOF(fault, sm::Fault) {
      return nullptr;
    }
  }
  return nullptr;
}

// Presence crosses, slots do not.
bool isSamgrReply(kj::StringPtr operation, kj::ArrayPtr<const kj::byte> reply) {
  if (operation != RESOLVE_STATUS) return false;
  auto decoded = sm::decodeReply(reply, sm::Op::RESOLVE_STATUS);
  return decoded.map([](const sm::Reply& r) { return r.sendSlot == 0 && r.recvSlot == 0; }).orDefault(false);
}

kj::Maybe<kj::StringPtr> bundlemgrOperation(kj::ArrayPtr<const kj::byte> frame) {
  auto request = bn::decodeRequest(frame);
  KJ_SWITCH_ONEOF(request) {
    KJ_CASE_ONEOF(r, bn::List) {
      return LIST;
    }
    KJ_CASE_ONEOF(r, bn::Route) {
      return "route-status"_kj;
    }
    KJ_CASE_ONEOF(r, bn::FetchImage) {
      return "fetch-image"_kj;
    }
    KJ_CASE_ONEOF(fault, bn::Fault) {
      return nullptr;
    }
  }
  return nullptr;
}

bool isBundlemgrReply(kj::StringPtr operation, kj::ArrayPtr<const kj::byte> reply) {
  return operation == LIST && bn::decodeListReply(reply) != nullptr;
}

constexpr kj::StringPtr SAMGR_OFFERED[] = {RESOLVE_STATUS};
constexpr kj::StringPtr BUNDLEMGR_OFFERED[] = {LIST};

const RemoteService SERVICES[] = {
    {"samgrd"_kj, kj::arrayPtr(SAMGR_OFFERED, 1), samgrOperation, isSamgrReply},
    {"bundlemgrd"_kj, kj::arrayPtr(BUNDLEMGR_OFFERED, 1), bundlemgrOperation, isBundlemgrReply},
};

}  // namespace

bool RemoteService::offers(kj::StringPtr operation) const {
  for (auto& name : offered) {
    if (name == operation) return true;
  }
  return false;
}

kj::ArrayPtr<const RemoteService> remoteServices() {
  return SERVICES;
}

kj::Maybe<const RemoteService&> findRemoteService(kj::ArrayPtr<const char> name) {
  for (auto& service : SERVICES) {
    if (service.name.asArray() == name) return service;
  }
  return nullptr;
}

}  // namespace nexus
