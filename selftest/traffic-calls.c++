#include "selftest/traffic-calls.h"

#include <kj/debug.h>

#include "libs/oslite-frames/bundlemgr-frames.h"
#include "libs/oslite-frames/packagefs-frames.h"
#include "libs/oslite-frames/samgr-frames.h"
#include "libs/oslite-frames/statefs-frames.h"

namespace nexus {

namespace {

constexpr size_t SAMGRD = 0, BUNDLEMGRD = 1, PACKAGEFSD = 2, STATEFSD = 3;
constexpr kj::StringPtr NAMES[] = {"samgrd"_kj, "bundlemgrd"_kj, "packagefsd"_kj, "statefsd"_kj};
constexpr kj::StringPtr FILE_PATH = "pkg:/system/build.prop"_kj;

}  // namespace

TrafficCalls::TrafficCalls(kj::StringPtr node)
    : key(kj::str("/state/shared/selftest/traffic-", node)), value(kj::str("traffic-of-", node)) {}

kj::StringPtr TrafficCalls::service(size_t target) const {
  KJ_REQUIRE(target < count());
  return NAMES[target];
}

kj::Array<kj::byte> TrafficCalls::frame(size_t target) const {
  switch (target) {
    case SAMGRD:
      return KJ_ASSERT_NONNULL(sm::tryEncodeResolveStatus("bundlemgrd"_kj.asArray()));
    case BUNDLEMGRD:
      return bn::encodeList();
    case PACKAGEFSD:
      return KJ_ASSERT_NONNULL(pk::tryEncodeStat(FILE_PATH.asArray()));
    case STATEFSD:
      if (!stored)
        return KJ_ASSERT_NONNULL(sf::tryEncodeRequest(sf::Request{nullptr, sf::Put{key.asArray(), value.asBytes()}}));
      return KJ_ASSERT_NONNULL(sf::tryEncodeRequest(sf::Request{nullptr, sf::Get{key.asArray()}}));
  }
  KJ_FAIL_REQUIRE("no such kind of call", target);
}

bool TrafficCalls::accept(size_t target, kj::ArrayPtr<const kj::byte> frame) {
  switch (target) {
    case SAMGRD:
      KJ_IF_MAYBE (reply, sm::decodeReply(frame, sm::Op::RESOLVE_STATUS)) return reply->status == sm::Status::OK;
      return false;
    case BUNDLEMGRD:
      KJ_IF_MAYBE (reply, bn::decodeListReply(frame)) return reply->status == bn::Status::OK && reply->count > 0;
      return false;
    case PACKAGEFSD:
      KJ_IF_MAYBE (reply, pk::decodeStatReply(frame)) return reply->status == pk::Status::OK && reply->size > 0;
      return false;
    case STATEFSD:
      KJ_IF_MAYBE (reply, sf::decodeReply(stored ? sf::Op::GET : sf::Op::PUT, frame)) {
        if (reply->status != sf::Status::OK) return false;
        if (stored) return reply->value == value.asBytes();
        stored = true;
        return true;
      }
      return false;
  }
  KJ_FAIL_REQUIRE("no such kind of call", target);
}

}  // namespace nexus
