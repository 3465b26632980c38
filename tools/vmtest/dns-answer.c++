#include "tools/vmtest/dns-answer.h"

#include <kj/string.h>
#include <kj/vector.h>

#include "libs/nexus-net-os/testing/host-peer-protocol.h"

namespace nexus::vmtest {

namespace {

constexpr size_t HEADER = 12, QUERY_MAX = 512;
constexpr kj::uint TYPE_A = 1, CLASS_IN = 1, NXDOMAIN = 3;
constexpr kj::uint FLAG_RESPONSE = 0x8000, OPCODE = 0x7800, FLAG_AUTHORITATIVE = 0x0400,
                   FLAG_RECURSION_DESIRED = 0x0100;

kj::uint u16(kj::ArrayPtr<const kj::byte> b, size_t at) {
  return kj::uint(b[at]) << 8 | b[at + 1];
}

struct Question {
  kj::String name;  // lower case, with dots
  size_t end;       // behind type and class
  kj::uint type;
};

// RFC 1035, section 4.1.2. A compressed name in a question is refused.
kj::Maybe<Question> readQuestion(kj::ArrayPtr<const kj::byte> query) {
  kj::Vector<char> name;
  size_t at = HEADER;
  for (;;) {
    if (at >= query.size()) return nullptr;
    size_t length = query[at++];
    if (length == 0) break;
    if (length > 63 || at + length > query.size() || name.size() + length > 254) return nullptr;
    if (name.size() > 0) name.add('.');
    for (size_t i = 0; i < length; i++) {
      char c = char(query[at + i]);
      name.add(c >= 'A' && c <= 'Z' ? char(c - 'A' + 'a') : c);
    }
    at += length;
  }
  if (at + 4 > query.size() || u16(query, at + 2) != CLASS_IN) return nullptr;
  return Question{kj::heapString(name), at + 4, u16(query, at)};
}

}  // namespace

kj::Maybe<kj::Array<kj::byte>> answerDns(kj::ArrayPtr<const kj::byte> query) {
  if (query.size() < HEADER || query.size() > QUERY_MAX) return nullptr;
  kj::uint flags = u16(query, 2);
  if ((flags & (FLAG_RESPONSE | OPCODE)) != 0 || u16(query, 4) != 1) return nullptr;
  auto parsed = readQuestion(query);
  KJ_IF_MAYBE (question, parsed) {
    bool known = question->name == HOST_PEER_NAME;
    bool answers = known && question->type == TYPE_A;
    kj::Vector<kj::byte> reply;
    auto add16 = [&](kj::uint v) { reply.add(kj::byte(v >> 8)), reply.add(kj::byte(v)); };
    add16(u16(query, 0));
    add16(FLAG_RESPONSE | FLAG_AUTHORITATIVE | (flags & FLAG_RECURSION_DESIRED) | (known ? 0 : NXDOMAIN));
    add16(1), add16(answers), add16(0), add16(0);
    reply.addAll(query.slice(HEADER, question->end));
    if (answers) {
      add16(0xc000 | HEADER);  // the name of the question
      add16(TYPE_A), add16(CLASS_IN);
      add16(0), add16(60);  // seconds
      add16(4);
      reply.addAll(kj::arrayPtr(HOST_PEER_ADDRESS, 4));
    }
    return reply.releaseAsArray();
  }
  return nullptr;
}

}  // namespace nexus::vmtest
