#include "daemons/dsoftbusd/remote/remote-services.h"

#include "daemons/dsoftbusd/remote/packagefs-service.h"
#include "daemons/dsoftbusd/remote/statefs-service.h"
#include "libs/oslite-frames/bundlemgr-frames.h"
#include "libs/oslite-frames/samgr-frames.h"

namespace nexus {

namespace {

constexpr kj::StringPtr RESOLVE_STATUS = "resolve-status"_kj;
constexpr kj::StringPtr LIST = "list"_kj;
constexpr kj::StringPtr QUERY = "query"_kj;
constexpr kj::StringPtr FETCH_IMAGE = "fetch-image"_kj;

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
ReplyVerdict judgeSamgrReply(kj::ArrayPtr<const kj::byte>, kj::ArrayPtr<const kj::byte> bytes) {
  KJ_IF_MAYBE (reply, sm::decodeReply(bytes, sm::Op::RESOLVE_STATUS)) {
    if (reply->sendSlot != 0 || reply->recvSlot != 0) return ReplyVerdict::NOT_A_REPLY;
    return reply->status == sm::Status::OK ? ReplyVerdict::OK : ReplyVerdict::SAID_NO;
  }
  return ReplyVerdict::NOT_A_REPLY;
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
      return FETCH_IMAGE;
    }
    KJ_CASE_ONEOF(r, bn::Query) {
      return QUERY;
    }
    KJ_CASE_ONEOF(fault, bn::Fault) {
      return nullptr;
    }
  }
  return nullptr;
}

ReplyVerdict verdict(bn::Status status) {
  return status == bn::Status::OK ? ReplyVerdict::OK : ReplyVerdict::SAID_NO;
}

ReplyVerdict judgeBundlemgrReply(kj::ArrayPtr<const kj::byte> frame, kj::ArrayPtr<const kj::byte> bytes) {
  auto request = bn::decodeRequest(frame);
  if (request.is<bn::List>()) {
    KJ_IF_MAYBE (reply, bn::decodeListReply(bytes)) return verdict(reply->status);
  }
  if (request.is<bn::Query>()) {
    KJ_IF_MAYBE (reply, bn::decodeQueryReply(bytes)) return verdict(reply->status);
  }
  return ReplyVerdict::NOT_A_REPLY;
}

// An image is fetched over a stream; no frame has room for it.
kj::Maybe<kj::Array<kj::byte>> bundlemgrRefusal(kj::ArrayPtr<const kj::byte> frame) {
  if (!bn::decodeRequest(frame).is<bn::FetchImage>()) return nullptr;
  return bn::encodeFault(bn::Op::FETCH_IMAGE, bn::Status::UNSUPPORTED);
}

kj::Maybe<kj::Array<kj::byte>> refusesNothing(kj::ArrayPtr<const kj::byte>) {
  return nullptr;
}

kj::Maybe<kj::String> noLine(kj::ArrayPtr<const kj::byte>, kj::Maybe<ReplyVerdict>) {
  return nullptr;
}

constexpr kj::StringPtr SAMGR_OFFERED[] = {RESOLVE_STATUS};
constexpr kj::StringPtr BUNDLEMGR_OFFERED[] = {LIST, QUERY, FETCH_IMAGE};
constexpr kj::StringPtr BUNDLEMGR_STREAMED[] = {FETCH_IMAGE};

const RemoteService SERVICES[] = {
    {"samgrd"_kj, SAMGR_OFFERED, samgrOperation, refusesNothing, judgeSamgrReply, noLine, nullptr, ""_kj},
    {"bundlemgrd"_kj, BUNDLEMGR_OFFERED, bundlemgrOperation, bundlemgrRefusal, judgeBundlemgrReply, noLine,
     BUNDLEMGR_STREAMED, ""_kj},
    {"packagefsd"_kj, packagefsOperations(), packagefsOperation, packagefsRefusal, judgePackagefsReply, noLine, nullptr,
     "packagefs"_kj},
    {"statefsd"_kj, statefsOperations(), statefsOperation, statefsRefusal, judgeStatefsReply, statefsAuditLine, nullptr,
     "statefs"_kj},
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

kj::Maybe<ServiceStream> findServiceStream(kj::StringPtr streamName) {
  if (!streamName.startsWith(SERVICE_STREAM_PREFIX)) return nullptr;
  auto name = streamName.slice(SERVICE_STREAM_PREFIX.size()).asArray();
  for (auto i : kj::indices(name)) {
    if (name[i] != '#') continue;
    name = name.slice(0, i);
    break;
  }
  for (auto& service : SERVICES) {
    for (auto& operation : service.streamed) {
      if (kj::str(service.name, '/', operation).asArray() == name) return ServiceStream{service, operation};
    }
  }
  return nullptr;
}

}  // namespace nexus
