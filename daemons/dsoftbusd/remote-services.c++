#include "daemons/dsoftbusd/remote-services.h"

namespace nexus {

namespace {

constexpr kj::byte FRAME_VERSION = 1;
constexpr size_t HEADER_BYTES = 4;
constexpr size_t MAX_NAME = 48;

bool hasHeader(kj::ArrayPtr<const kj::byte> frame, char first, char second) {
  return frame.size() >= HEADER_BYTES && frame[0] == first && frame[1] == second && frame[2] == FRAME_VERSION;
}

// A name with its length at byte 4, and nothing after it.
bool isNameRequest(kj::ArrayPtr<const kj::byte> frame) {
  return frame.size() > HEADER_BYTES && frame[4] >= 1 && frame[4] <= MAX_NAME && frame.size() == size_t(5) + frame[4];
}

kj::Maybe<kj::StringPtr> samgrOperation(kj::ArrayPtr<const kj::byte> frame) {
  if (!hasHeader(frame, 'S', 'M')) return nullptr;
  switch (frame[3]) {
    case 1:
      return "register"_kj;
    case 2:
      return "lookup"_kj;
    case 3:
      return "ping"_kj;
    case 6:
      if (isNameRequest(frame)) return "resolve-status"_kj;
      return nullptr;
  }
  return nullptr;
}

kj::Maybe<kj::StringPtr> bundlemgrOperation(kj::ArrayPtr<const kj::byte> frame) {
  if (!hasHeader(frame, 'B', 'N')) return nullptr;
  switch (frame[3]) {
    case 1:
      if (frame.size() == HEADER_BYTES) return "list"_kj;
      return nullptr;
    case 2:
      return "route-status"_kj;
    case 3:
      return "fetch-image"_kj;
  }
  return nullptr;
}

constexpr kj::StringPtr SAMGR_OFFERED[] = {"resolve-status"_kj};
constexpr kj::StringPtr BUNDLEMGR_OFFERED[] = {"list"_kj};

const RemoteService SERVICES[] = {
    {"samgrd"_kj, kj::arrayPtr(SAMGR_OFFERED, 1), samgrOperation},
    {"bundlemgrd"_kj, kj::arrayPtr(BUNDLEMGR_OFFERED, 1), bundlemgrOperation},
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
