#include "tools/vmtest/serial-lines.h"

#include <doctest/doctest.h>

namespace nexus::vmtest {
namespace {

struct Collected {
  SerialLines lines;
  kj::Vector<kj::String> out;

  void feed(kj::StringPtr text) {
    lines.feed(text.asBytes(), [this](kj::StringPtr line, kj::uint number) {
      CHECK(number == out.size() + 1);
      out.add(kj::heapString(line));
    });
  }
  void end() {
    lines.end([this](kj::StringPtr line, kj::uint) { out.add(kj::heapString(line)); });
  }
  kj::String all() { return kj::strArray(out, "|"); }
};

TEST_CASE("a line is whole however its bytes arrive") {
  Collected one, many;
  one.feed("SELFTEST: end\r\nnext\n");
  for (char c : "SELFTEST: end\r\nnext\n"_kj) many.feed(kj::str(c));
  CHECK(one.all() == "SELFTEST: end|next");
  CHECK(many.all() == one.all());
}

TEST_CASE("CR LF, CR CR LF and a bare LF end a line, a CR in the middle is a strange byte") {
  Collected c;
  c.feed("a\r\nb\r\r\nc\nd\re\n\n");
  CHECK(c.all() == "a|b|c|d?e|");
}

TEST_CASE("bytes that a terminal would obey or that are no ASCII come out as question marks") {
  Collected c;
  c.feed("\x1b[2Jnet\tup\xff\xc3\xa9\x01\n");
  CHECK(c.all() == "?[2Jnet\tup????");
  c.lines.feed(kj::arrayPtr(reinterpret_cast<const kj::byte*>("a\0b\n"), 4),
               [&](kj::StringPtr line, kj::uint) { CHECK(line == "a?b"); });
}

TEST_CASE("a line at the limit is whole, a longer one is cut and counted, and the next one is not harmed") {
  Collected c;
  c.feed(kj::str(kj::repeat('x', SerialLines::KEPT_MAX), "\n"));
  CHECK(c.lines.overlong() == 0);
  c.feed(kj::str(kj::repeat('y', SerialLines::KEPT_MAX + 1), "\nz\n"));
  CHECK(c.lines.overlong() == 1);
  REQUIRE(c.out.size() == 3);
  CHECK(c.out[0].size() == SerialLines::KEPT_MAX);
  CHECK(c.out[1].size() == SerialLines::KEPT_MAX);
  CHECK(c.out[2] == "z");
}

TEST_CASE("what stands without its end is handed out when the port closes, once") {
  Collected c;
  c.feed("whole\npart");
  CHECK(c.all() == "whole");
  c.end();
  c.end();
  CHECK(c.all() == "whole|part");
}

}  // namespace
}  // namespace nexus::vmtest
