#include "selftest/dns-probe.h"

#include <kj/debug.h>
#include <kj/vector.h>

namespace nexus {

namespace {

constexpr size_t HEADER_BYTES = 12;        // RFC 1035, 4.1.1
constexpr kj::byte FLAG_RESPONSE = 0x80;   // QR, byte 2
constexpr kj::byte FLAG_RECURSION = 0x01;  // RD, byte 2
constexpr kj::byte RCODE_MASK = 0x0f;      // byte 3
constexpr uint16_t TYPE_A = 1;
constexpr uint16_t CLASS_IN = 1;

void put16(kj::Vector<kj::byte>& out, uint16_t value) {
  out.add(value >> 8);
  out.add(value & 255);
}

uint16_t get16(kj::ArrayPtr<const kj::byte> bytes, size_t at) {
  return bytes[at] << 8 | bytes[at + 1];
}

}  // namespace

kj::Array<kj::byte> dnsQuery(uint16_t id, kj::StringPtr name) {
  kj::Vector<kj::byte> out;
  put16(out, id);
  out.add(FLAG_RECURSION);
  out.add(0);
  put16(out, 1);  // one question, nothing else
  for (int i = 0; i < 3; i++) put16(out, 0);
  size_t begin = 0;
  for (size_t i = 0; i <= name.size(); i++) {
    if (i < name.size() && name[i] != '.') continue;
    KJ_REQUIRE(i > begin && i - begin <= 63, "a label of 1 to 63 characters", name);
    out.add(i - begin);
    out.addAll(name.slice(begin, i).asBytes());
    begin = i + 1;
  }
  out.add(0);
  put16(out, TYPE_A);
  put16(out, CLASS_IN);
  return out.releaseAsArray();
}

kj::Maybe<kj::String> checkDnsAnswer(kj::ArrayPtr<const kj::byte> datagram, kj::ArrayPtr<const kj::byte> query,
                                     kj::ArrayPtr<const kj::byte> address) {
  constexpr size_t RECORD_BYTES = 2 + 2 + 2 + 4 + 2 + 4;  // compressed name, type, class, TTL, length, address
  if (datagram.size() < query.size() + RECORD_BYTES) return kj::str("too short for an answer: ", datagram.size());
  if (get16(datagram, 0) != get16(query, 0)) return kj::str("the id is not that of the query");
  if ((datagram[2] & FLAG_RESPONSE) == 0) return kj::str("the response bit is not set");
  if ((datagram[3] & RCODE_MASK) != 0) return kj::str("the server answered error ", datagram[3] & RCODE_MASK);
  if (get16(datagram, 4) != 1) return kj::str("not one question: ", get16(datagram, 4));
  if (get16(datagram, 6) == 0) return kj::str("no answer record");
  if (datagram.slice(HEADER_BYTES, query.size()) != query.slice(HEADER_BYTES, query.size()))
    return kj::str("the question is not ours");
  // The owner's name as a pointer to the question, which stands right behind the header.
  auto record = datagram.slice(query.size(), datagram.size());
  if (get16(record, 0) != (0xc000 | HEADER_BYTES)) return kj::str("the answer is for another name");
  if (get16(record, 2) != TYPE_A || get16(record, 4) != CLASS_IN || get16(record, 10) != 4)
    return kj::str("the answer is not an A record");
  if (record.slice(12, 16) != address) return kj::str("the answer is another address");
  return nullptr;
}

}  // namespace nexus
