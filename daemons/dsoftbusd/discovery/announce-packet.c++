#include "daemons/dsoftbusd/discovery/announce-packet.h"

#include <kj/debug.h>
#include <kj/encoding.h>
#include <kj/vector.h>

#include <cstring>

namespace nexus {

namespace {

constexpr kj::byte MAGIC[] = {'N', 'X', 'S', 'B'};
constexpr kj::byte MESH[] = {'M', 'E', 'S', 'H'};
constexpr uint8_t VERSION = 1;

using Kind = AnnounceError::Kind;
constexpr kj::StringPtr DEVICE_ID_LENGTH = "device_id length"_kj;
constexpr kj::StringPtr SERVICE_COUNT = "service count"_kj;
constexpr kj::StringPtr SERVICE_NAME_LENGTH = "service name length"_kj;
constexpr kj::StringPtr MESH_LENGTH = "mesh tag length"_kj;

AnnounceError invalid(kj::StringPtr field) {
  return {Kind::INVALID_INPUT, 0, field};
}

bool isNameLength(size_t length) {
  return 1 <= length && length <= ANNOUNCE_MAX_NAME;
}

// Takes fields off the front; every take is checked against what is left. After one that did not fit, none fits.
class Cursor {
 public:
  explicit Cursor(kj::ArrayPtr<const kj::byte> bytes) : rest(bytes) {}

  kj::Maybe<kj::ArrayPtr<const kj::byte>> tryTake(size_t count) {
    if (rest.size() < count) {
      rest = nullptr;
      return nullptr;
    }
    auto taken = rest.slice(0, count);
    rest = rest.slice(count, rest.size());
    return taken;
  }

  kj::Maybe<uint8_t> tryU8() {
    return tryTake(1).map([](kj::ArrayPtr<const kj::byte> b) { return b[0]; });
  }

 private:
  kj::ArrayPtr<const kj::byte> rest;
};

// A length byte of 1 to 64 and as many bytes of UTF-8.
kj::Maybe<AnnounceError> readName(Cursor& cursor, kj::StringPtr field, kj::String& out) {
  auto maybeLength = cursor.tryU8();
  KJ_IF_MAYBE (length, maybeLength) {
    if (!isNameLength(*length)) return invalid(field);
    auto maybeBytes = cursor.tryTake(*length);
    KJ_IF_MAYBE (bytes, maybeBytes) {
      auto chars = bytes->asChars();
      if (kj::encodeUtf32(chars).hadErrors) return AnnounceError{Kind::UTF8};
      out = kj::heapString(chars);
      return nullptr;
    }
  }
  return AnnounceError{Kind::TRUNCATED};
}

void writeName(kj::Vector<kj::byte>& out, kj::StringPtr name) {
  out.add(name.size());
  out.addAll(name.asBytes());
}

}  // namespace

Announce Announce::clone() const {
  auto names = KJ_MAP(s, services) {
    return kj::heapString(s);
  };
  return {kj::heapString(deviceId), sessionPort, staticKey, kj::mv(names), kj::heapString(mesh)};
}

bool Announce::operator==(const Announce& other) const {
  return deviceId == other.deviceId && sessionPort == other.sessionPort && staticKey == other.staticKey &&
         services.asPtr() == other.services.asPtr() && mesh == other.mesh;
}

kj::String KJ_STRINGIFY(const AnnounceError& error) {
  switch (error.kind) {
    case Kind::TRUNCATED:
      return kj::str("truncated");
    case Kind::BAD_MAGIC:
      return kj::str("bad magic");
    case Kind::UNSUPPORTED_VERSION:
      return kj::str("unsupported version ", error.version);
    case Kind::INVALID_INPUT:
      return kj::str("invalid ", error.field);
    case Kind::UTF8:
      return kj::str("not UTF-8");
  }
  return kj::str("unknown");
}

kj::OneOf<Announce, AnnounceError> decodeAnnounce(kj::ArrayPtr<const kj::byte> packet) {
  const AnnounceError TRUNCATED{Kind::TRUNCATED};
  Cursor cursor(packet);
  auto magic = cursor.tryTake(sizeof(MAGIC));
  KJ_IF_MAYBE (m, magic) {
    if (memcmp(m->begin(), MAGIC, sizeof(MAGIC)) != 0) return AnnounceError{Kind::BAD_MAGIC};
  } else {
    return TRUNCATED;
  }
  auto version = cursor.tryU8();
  if (version == nullptr) return TRUNCATED;
  uint8_t v = KJ_ASSERT_NONNULL(version);
  if (v != VERSION) return AnnounceError{Kind::UNSUPPORTED_VERSION, v};

  Announce announce;
  auto idFault = readName(cursor, DEVICE_ID_LENGTH, announce.deviceId);
  KJ_IF_MAYBE (fault, idFault) return *fault;
  auto port = cursor.tryTake(2);
  auto key = cursor.tryTake(KEY_BYTES);
  auto count = cursor.tryU8();
  KJ_IF_MAYBE (p, port) announce.sessionPort = (*p)[0] << 8 | (*p)[1];
  KJ_IF_MAYBE (k, key) announce.staticKey = keyBytes(*k);
  KJ_IF_MAYBE (c, count) {
    if (*c > ANNOUNCE_MAX_SERVICES) return invalid(SERVICE_COUNT);
    auto names = kj::heapArrayBuilder<kj::String>(*c);
    for (int i = 0; i < *c; i++) {
      auto fault = readName(cursor, SERVICE_NAME_LENGTH, names.add());
      KJ_IF_MAYBE (f, fault) return *f;
    }
    announce.services = names.finish();
    auto extension = cursor.tryTake(sizeof(MESH));
    KJ_IF_MAYBE (e, extension) {
      if (*e == kj::arrayPtr(MESH, sizeof(MESH))) {
        auto meshFault = readName(cursor, MESH_LENGTH, announce.mesh);
        KJ_IF_MAYBE (fault, meshFault) return *fault;
      }
    }
    return kj::mv(announce);
  }
  return TRUNCATED;
}

kj::OneOf<kj::Array<kj::byte>, AnnounceError> encodeAnnounce(const Announce& announce) {
  if (!isNameLength(announce.deviceId.size())) return invalid(DEVICE_ID_LENGTH);
  if (announce.services.size() > ANNOUNCE_MAX_SERVICES) return invalid(SERVICE_COUNT);
  for (auto& name : announce.services) {
    if (!isNameLength(name.size())) return invalid(SERVICE_NAME_LENGTH);
  }
  if (announce.mesh.size() > ANNOUNCE_MAX_NAME) return invalid(MESH_LENGTH);
  kj::Vector<kj::byte> out(ANNOUNCE_MAX_BYTES);
  out.addAll(kj::arrayPtr(MAGIC, sizeof(MAGIC)));
  out.add(VERSION);
  writeName(out, announce.deviceId);
  out.add(announce.sessionPort >> 8);
  out.add(announce.sessionPort & 255);
  out.addAll(asBytes(announce.staticKey));
  out.add(announce.services.size());
  for (auto& name : announce.services) writeName(out, name);
  if (announce.mesh.size() > 0) {
    out.addAll(kj::arrayPtr(MESH, sizeof(MESH)));
    writeName(out, announce.mesh);
  }
  return out.releaseAsArray();
}

}  // namespace nexus
