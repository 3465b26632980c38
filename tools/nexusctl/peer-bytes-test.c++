#include "tools/nexusctl/peer-bytes.h"

#include <doctest/doctest.h>
#include <kj/debug.h>
#include <string.h>

#include "libs/nexus-net-os/testing/temporary-folder.h"

namespace nexus::ctl {
namespace {

bool contains(kj::StringPtr text, const char* part) {
  return strstr(text.cStr(), part) != nullptr;
}

TEST_CASE("only what no terminal obeys is text") {
  CHECK(KJ_ASSERT_NONNULL(plainText("a b~\n\tc"_kj.asBytes())) == "a b~\n\tc");
  CHECK(KJ_ASSERT_NONNULL(plainText(nullptr)) == "");
  for (auto bytes : {"\x1b[2J"_kj, "\r"_kj, "\x7f"_kj, "\xc3\xa9"_kj, "\x01"_kj}) {
    CHECK(plainText(bytes.asBytes()) == nullptr);
  }
}

TEST_CASE("what is plain is shown, the rest is told of, and JSON has all of it") {
  auto plain = fetchedReport(Json(), "k", "hello"_kj.asBytes(), "");
  CHECK(plain.text == "hello\n");
  CHECK(fetchedReport(Json(), "k", "hello\n"_kj.asBytes(), "").text == "hello\n");
  CHECK(contains(plain.json.text(), "\"text\": \"hello\""));
  auto hostile = fetchedReport(Json(), "k", "\x1b[2J"_kj.asBytes(), "");
  CHECK(contains(hostile.text, "k: 4 bytes that are not plain text"));
  CHECK(contains(hostile.json.text(), "\"base64\": \"G1sySg==\""));
  CHECK_FALSE(contains(hostile.json.text(), "\"text\""));
}

TEST_CASE("a file gets all the bytes, as they are; one that cannot be written is a sentence") {
  TemporaryFolder folder;
  auto path = folder.file("out");
  auto report = fetchedReport(Json(), "k", "\x1b[2J"_kj.asBytes(), path);
  CHECK(report.exit == Exit::OK);
  auto back = readSmallFile(path, 4);
  CHECK(back.get<kj::Array<kj::byte>>() == "\x1b[2J"_kj.asBytes());
  auto nowhere = fetchedReport(Json(), "k", "x"_kj.asBytes(), folder.file("no/such/out"));
  CHECK(nowhere.exit == Exit::OTHER);
  CHECK(contains(nowhere.text, "cannot be written"));
}

TEST_CASE("a small file is read whole or refused") {
  TemporaryFolder folder;
  auto path = folder.file("value");
  KJ_ASSERT(replaceFile(path, "12345"_kj.asBytes()) == nullptr);
  CHECK(readSmallFile(path, 5).is<kj::Array<kj::byte>>());
  CHECK(readSmallFile(path, 4).get<Report>().exit == Exit::USAGE);
  CHECK(readSmallFile(folder.file("missing"), 4).get<Report>().exit == Exit::NOT_FOUND);
}

}  // namespace
}  // namespace nexus::ctl
