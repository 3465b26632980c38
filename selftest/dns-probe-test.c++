#include "selftest/dns-probe.h"

#include <doctest/doctest.h>
#include <kj/debug.h>
#include <kj/vector.h>

#include <string>

namespace nexus {
namespace {

constexpr kj::byte ADDRESS[] = {192, 0, 2, 53};

// The answer as a server sends it: header, our question, one A record that points at the question's name.
kj::Array<kj::byte> goodAnswer(kj::ArrayPtr<const kj::byte> query) {
  kj::Vector<kj::byte> out;
  out.addAll(query);
  out[2] |= 0x80;
  out[7] = 1;
  for (int b : {0xc0, 0x0c, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 53}) out.add(b);
  return out.releaseAsArray();
}

TEST_CASE("the query has the bytes of RFC 1035") {
  auto query = dnsQuery(0x1234, "peer.nexus.test");
  const kj::byte expected[] = {0x12, 0x34, 1,   0,   0,   1,   0, 0,   0,   0,   0,   0, 4, 'p', 'e', 'e', 'r',
                               5,    'n',  'e', 'x', 'u', 's', 4, 't', 'e', 's', 't', 0, 0, 1,   0,   1};
  CHECK((query.asPtr() == kj::ArrayPtr<const kj::byte>(expected)));
}

TEST_CASE("an empty or too long label is the caller's fault") {
  CHECK_THROWS_AS(dnsQuery(1, "a..b"), kj::Exception);
  CHECK_THROWS_AS(dnsQuery(1, ""), kj::Exception);
  CHECK_THROWS_AS(dnsQuery(1, kj::str(kj::repeat('x', 64))), kj::Exception);
}

TEST_CASE("the right answer passes") {
  auto query = dnsQuery(7, "peer.nexus.test");
  CHECK((checkDnsAnswer(goodAnswer(query), query, ADDRESS) == nullptr));
}

TEST_CASE("no shortened answer passes") {
  auto query = dnsQuery(7, "peer.nexus.test");
  auto answer = goodAnswer(query);
  for (size_t size = 0; size < answer.size(); size++) {
    CAPTURE(size);
    CHECK((checkDnsAnswer(answer.slice(0, size), query, ADDRESS) != nullptr));
  }
}

TEST_CASE("each part of the answer is looked at") {
  auto query = dnsQuery(7, "peer.nexus.test");
  struct Change {
    size_t at;
    int value;
    const char* complaint;
  };
  size_t record = query.size();
  for (auto& change :
       {Change{1, 8, "id"}, Change{2, 1, "response bit"}, Change{3, 3, "error 3"}, Change{5, 2, "not one question"},
        Change{7, 0, "no answer"}, Change{13, 'q', "not ours"}, Change{record + 1, 13, "another name"},
        Change{record + 3, 28, "not an A record"}, Change{record + 15, 54, "another address"}}) {
    CAPTURE(change.complaint);
    auto answer = goodAnswer(query);
    answer[change.at] = change.value;
    auto complaint = checkDnsAnswer(answer, query, ADDRESS);
    CHECK(std::string(KJ_ASSERT_NONNULL(complaint).cStr()).find(change.complaint) != std::string::npos);
  }
}

}  // namespace
}  // namespace nexus
