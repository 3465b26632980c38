#include "libs/oslite-frames/bundle-image.h"

#include "libs/oslite-frames/frame-bytes.h"

namespace nexus::nxbi {

using namespace nexus::oslite;

namespace {

constexpr std::array<uint8_t, 4> MAGIC{'N', 'X', 'B', 'I'};
// An entry with one byte of each name and no data: what the number of entries is held against before memory is taken
// for them.
constexpr size_t MIN_ENTRY_BYTES =
    2 * (sizeof(wire::NxbiLength8) + 1) + sizeof(wire::NxbiLength16) + 1 + sizeof(wire::NxbiDataHeader);

bool isText(size_t size, size_t max) {
  return 1 <= size && size <= max;
}

bool tryReadText(FrameReader& reader, size_t length, kj::ArrayPtr<const char>& out) {
  if (length == 0) return false;
  auto taken = reader.tryTake(length);
  KJ_IF_MAYBE (t, taken) {
    out = t->asChars();
    return true;
  }
  return false;
}

bool tryReadText8(FrameReader& reader, kj::ArrayPtr<const char>& out) {
  wire::NxbiLength8 length;
  return reader.tryRead(length) && tryReadText(reader, length.value(), out);
}

bool tryReadText16(FrameReader& reader, kj::ArrayPtr<const char>& out) {
  wire::NxbiLength16 length;
  return reader.tryRead(length) && tryReadText(reader, fromLe(length.value()), out);
}

bool tryReadEntry(FrameReader& reader, Entry& out) {
  wire::NxbiDataHeader head;
  if (!tryReadText8(reader, out.bundle) || !tryReadText8(reader, out.version) || !tryReadText16(reader, out.path) ||
      !reader.tryRead(head)) {
    return false;
  }
  out.kind = fromLe(head.kind());
  auto data = reader.tryTake(fromLe(head.length()));
  KJ_IF_MAYBE (d, data) {
    out.data = *d;
    return true;
  }
  return false;
}

}  // namespace

kj::Maybe<kj::Array<kj::byte>> tryEncodeImage(kj::ArrayPtr<const Entry> entries) {
  if (entries.size() > UINT16_MAX) return nullptr;
  kj::Vector<kj::byte> out;
  append(out, wire::NxbiHeader(span(MAGIC), VERSION, span(le<2>(entries.size()))));
  for (auto& e : entries) {
    if (!isText(e.bundle.size(), UINT8_MAX) || !isText(e.version.size(), UINT8_MAX) ||
        !isText(e.path.size(), UINT16_MAX) || e.data.size() > UINT32_MAX) {
      return nullptr;
    }
    append(out, wire::NxbiLength8(e.bundle.size()));
    out.addAll(e.bundle.asBytes());
    append(out, wire::NxbiLength8(e.version.size()));
    out.addAll(e.version.asBytes());
    append(out, wire::NxbiLength16(span(le<2>(e.path.size()))));
    out.addAll(e.path.asBytes());
    append(out, wire::NxbiDataHeader(span(le<2>(e.kind)), span(le<4>(e.data.size()))));
    out.addAll(e.data);
  }
  return out.releaseAsArray();
}

kj::Maybe<kj::Array<Entry>> decodeImage(kj::ArrayPtr<const kj::byte> image) {
  FrameReader reader(image);
  wire::NxbiHeader head;
  if (!reader.tryRead(head) || memcmp(head.magic()->data(), MAGIC.data(), MAGIC.size()) != 0 ||
      head.version() != VERSION) {
    return nullptr;
  }
  size_t count = fromLe(head.count());
  if (count > reader.remaining() / MIN_ENTRY_BYTES) return nullptr;
  auto entries = kj::heapArrayBuilder<Entry>(count);
  for (size_t i = 0; i < count; i++) {
    Entry entry{};
    if (!tryReadEntry(reader, entry)) return nullptr;
    entries.add(entry);
  }
  if (reader.remaining() > 0) return nullptr;
  return entries.finish();
}

}  // namespace nexus::nxbi
