#include "selftest/mux-pipe.h"

#include <kj/debug.h>
#include <string.h>

#include "selftest/step-runner.h"

namespace nexus {

namespace {

constexpr size_t NOTE_BYTES = 16;

// splitmix64: every bit of the result depends on every bit of the input.
uint64_t mixed(uint64_t x) {
  x += 0x9e3779b97f4a7c15;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
  return x ^ (x >> 31);
}

uint64_t wordAt(uint64_t seed, uint64_t word) {
  return mixed(seed << 40 ^ word);
}

void putWord(kj::byte* out, uint64_t value) {
  for (int i = 0; i < 8; i++) out[i] = static_cast<kj::byte>(value >> (8 * i));
}

uint64_t getWord(const kj::byte* in) {
  uint64_t value = 0;
  for (int i = 0; i < 8; i++) value |= uint64_t(in[i]) << (8 * i);
  return value;
}

}  // namespace

void fillPattern(uint64_t seed, uint64_t at, kj::ArrayPtr<kj::byte> out) {
  for (size_t i = 0; i < out.size();) {
    uint64_t word = wordAt(seed, (at + i) / 8);
    for (size_t b = (at + i) % 8; b < 8 && i < out.size(); b++, i++) out[i] = static_cast<kj::byte>(word >> (8 * b));
  }
}

void requirePattern(uint64_t seed, uint64_t at, kj::ArrayPtr<const kj::byte> bytes) {
  auto expected = kj::heapArray<kj::byte>(bytes.size());
  fillPattern(seed, at, expected);
  if (bytes == expected) return;
  size_t i = 0;
  while (bytes[i] == expected[i]) i++;
  failStep(kj::str("byte ", at + i, " of the stream is not the one that was sent"));
}

kj::Promise<void> MuxPipe::writePattern(uint64_t seed, uint64_t size, kj::Function<void(size_t)> onWritten) {
  auto chunk = kj::heapArray<kj::byte>(CHUNK);
  for (uint64_t left = size; left > 0;) {
    auto piece = chunk.slice(0, kj::min(left, chunk.size()));
    fillPattern(seed, sent, piece);
    co_await write(piece);
    sent += piece.size();
    left -= piece.size();
    onWritten(piece.size());
  }
}

kj::Promise<void> MuxPipe::readPattern(uint64_t seed, uint64_t size) {
  for (uint64_t left = size; left > 0;) {
    auto piece = co_await read(kj::min(left, CHUNK));
    if (piece.size() == 0) failStep(kj::str("the stream ends after ", received, " bytes"));
    requirePattern(seed, received, piece);
    received += piece.size();
    left -= piece.size();
  }
}

kj::Promise<uint64_t> MuxPipe::readPatternToEnd(uint64_t seed) {
  for (;;) {
    auto piece = co_await read(CHUNK);
    if (piece.size() == 0) co_return received;
    requirePattern(seed, received, piece);
    received += piece.size();
  }
}

kj::Promise<void> MuxPipe::sendNote(MuxNote note) {
  kj::byte bytes[NOTE_BYTES];
  putWord(bytes, static_cast<uint64_t>(note.kind));
  putWord(bytes + 8, note.value);
  return write(bytes);
}

kj::Promise<MuxNote> MuxPipe::receiveNote() {
  auto bytes = co_await readExactly(NOTE_BYTES);
  auto kind = getWord(bytes.begin());
  if (kind < uint64_t(MuxNote::Kind::ECHO) || kind > uint64_t(MuxNote::Kind::DONE))
    failStep(kj::str("the control stream carries a note of kind ", kind, ", which there is not"));
  co_return MuxNote{static_cast<MuxNote::Kind>(kind), getWord(bytes.begin() + 8)};
}

kj::Promise<uint64_t> MuxPipe::receiveNote(MuxNote::Kind kind) {
  auto note = co_await receiveNote();
  if (note.kind != kind) failStep(kj::str("a note of kind ", uint64_t(note.kind), " came, not ", uint64_t(kind)));
  co_return note.value;
}

kj::Promise<void> MuxPipe::write(kj::ArrayPtr<const kj::byte> bytes) {
  auto request = stream.writeRequest();
  request.setData(bytes);
  return request.send().ignoreResult();
}

kj::Promise<kj::Array<kj::byte>> MuxPipe::read(size_t most) {
  auto request = stream.readRequest();
  request.setMaxBytes(most);
  auto response = co_await request.send();
  auto data = response.getData();
  if (data.size() > most) failStep(kj::str("a read of ", most, " bytes gave ", data.size()));
  co_return kj::heapArray(data);
}

kj::Promise<kj::Array<kj::byte>> MuxPipe::readExactly(size_t size) {
  kj::Vector<kj::byte> all(size);
  while (all.size() < size) {
    auto piece = co_await read(size - all.size());
    if (piece.size() == 0) failStep(kj::str("the stream ends where ", size - all.size(), " more bytes should follow"));
    all.addAll(piece);
  }
  co_return all.releaseAsArray();
}

kj::Promise<void> MuxPipe::close() {
  return stream.closeRequest().send().ignoreResult();
}

}  // namespace nexus
