#include "tools/nexusctl/bus-identity-commands.h"

#include <doctest/doctest.h>
#include <kj/debug.h>
#include <kj/encoding.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemons/dsoftbusd/trust/identity-file.h"
#include "tools/nexusctl/sim-doors.h"

namespace nexus::ctl {
namespace {

struct Fixture {
  SimClock sim;
  SimDoors doors{sim};
  kj::String folder = kj::str(getenv("TEST_TMPDIR"), "/identity-XXXXXX");
  kj::String file;

  Fixture() {
    KJ_ASSERT(mkdtemp(folder.begin()) != nullptr);
    file = kj::str(folder, "/identity");
  }
  Result run(kj::StringPtr before, kj::StringPtr after = "") { return doors.run(kj::str(before, ' ', file, after)); }
  DeviceIdentity inFile() { return DeviceIdentity(readIdentityFile(file).get<SecretBytes>()); }
};

TEST_CASE("keygen makes a 0600 file and tells the public half, never the seed") {
  Fixture f;
  auto made = f.run("bus keygen --out");
  REQUIRE(made.exit == Exit::OK);
  auto identity = f.inFile();
  CHECK(contains(made.out, identity.deviceId().cStr()));
  CHECK(contains(made.out, toHex(identity.publicIdentity().staticKey).cStr()));
  struct stat info;
  KJ_SYSCALL(stat(f.file.cStr(), &info));
  CHECK((info.st_mode & 07777) == 0600);

  auto seed = readIdentityFile(f.file);
  auto secret = kj::encodeHex(seed.get<SecretBytes>().expose());
  for (auto& line : {kj::str("bus id ", f.file), kj::str("bus id --json ", f.file), kj::str("bus trust ", f.file)}) {
    auto told = f.doors.run(line);
    CHECK(told.exit == Exit::OK);
    CHECK(contains(told.out, identity.deviceId().cStr()));
    CHECK_FALSE(contains(told.out, secret.cStr()));
  }
  CHECK_FALSE(contains(made.out, secret.cStr()));
}

TEST_CASE("keygen never overwrites, and a folder that is missing is a sentence") {
  Fixture f;
  CHECK(f.run("bus keygen --out").exit == Exit::OK);
  auto before = kj::str(f.inFile().deviceId());
  auto again = f.run("bus keygen --out");
  CHECK(again.exit == Exit::OTHER);
  CHECK(contains(again.err, "exists and is not overwritten"));
  CHECK(f.inFile().deviceId() == before);
  CHECK(f.doors.run(kj::str("bus keygen --out ", f.folder, "/missing/identity")).exit == Exit::OTHER);
}

TEST_CASE("the trust entry is TOML for the peers, with the name that was asked for") {
  Fixture f;
  f.run("bus keygen --out");
  auto identity = f.inFile();
  auto entry = f.run("bus trust", " --name node-a");
  CHECK(entry.out == kj::str("[[dsoftbusd.trust]]\nname = \"node-a\"\ndeviceId = \"", identity.deviceId(),
                             "\"\nstaticKey = \"", toHex(identity.publicIdentity().staticKey), "\"\n"));
  auto unnamed = f.run("bus trust");
  CHECK(contains(unnamed.out, kj::str("name = \"node-", identity.deviceId().slice(0, 8), '"').cStr()));
  for (auto name : {"a\"b", "a\\b", "[x]"}) CHECK(f.run("bus trust", kj::str(" --name=", name)).exit == Exit::USAGE);
}

TEST_CASE("a missing file is exit 4; one that others can read, or that holds no seed, is exit 8") {
  Fixture f;
  CHECK(f.run("bus id").exit == Exit::NOT_FOUND);
  CHECK(f.run("bus trust").exit == Exit::NOT_FOUND);
  f.run("bus keygen --out");
  KJ_SYSCALL(chmod(f.file.cStr(), 0644));
  auto open = f.run("bus id");
  CHECK(open.exit == Exit::BAD_CONFIG);
  CHECK(contains(open.err, "chmod 0600"));
  KJ_SYSCALL(chmod(f.file.cStr(), 0600));
  KJ_SYSCALL(truncate(f.file.cStr(), 10));
  CHECK(f.run("bus trust").exit == Exit::BAD_CONFIG);
  CHECK(f.doors.run("bus keygen").exit == Exit::USAGE);
}

TEST_CASE("rotate makes the next key beside the one in use, and an entry that accepts both for a time") {
  Fixture f;
  f.run("bus keygen --out");
  auto before = kj::str(f.inFile().deviceId());
  auto made = f.run("bus rotate", " --name node-a --until 2026-12-01T00:00:00Z");
  REQUIRE(made.exit == Exit::OK);
  CHECK(f.inFile().deviceId() == before);  // not touched
  DeviceIdentity next(readIdentityFile(kj::str(f.file, ".next")).get<SecretBytes>());
  CHECK(next.deviceId() != before);
  auto entry = kj::str("deviceId = \"", next.deviceId(), "\"\nstaticKey = \"", toHex(next.publicIdentity().staticKey),
                       "\"\npreviousDeviceId = \"", before, '"');
  CHECK(contains(made.out, entry.cStr()));
  CHECK(contains(made.out, "previousUntil = \"2026-12-01T00:00:00Z\""));
  CHECK(f.run("bus rotate", " --name node-a --until 2026-12-01T00:00:00Z").exit == Exit::OTHER);  // it is there
  CHECK(f.run("bus rotate", " --name a/b --until 2026-12-01T00:00:00Z").exit == Exit::USAGE);
}

TEST_CASE("rotate makes nothing for a grace that is over or is no time, and says what it takes") {
  Fixture f;
  f.run("bus keygen --out");
  f.sim.calendar.set(KJ_ASSERT_NONNULL(tryParseUtc("2031-05-31T23:59:59Z")));
  struct Wrong {
    const char *until, *said;
  };
  for (auto& wrong : {Wrong{"2031-05-31T23:59:58Z", "2031-05-31T23:59:58Z is over; it is 2031-05-31T23:59:59Z."},
                      Wrong{"2031-05-31T23:59:59Z", "is over"}, Wrong{"tomorrow", "\"tomorrow\" is no time"},
                      Wrong{"2031-06-31T00:00:00Z", "is no time"}}) {
    auto refused = f.run("bus rotate", kj::str(" --name node-a --until ", wrong.until));
    CAPTURE(refused.err.cStr());
    CHECK(refused.exit == Exit::USAGE);
    CHECK(contains(refused.err, wrong.said));
    CHECK(contains(refused.err, "--until 2031-06-14T23:59:59Z"));  // an example that would be taken
    CHECK_FALSE(identityFileExists(kj::str(f.file, ".next")));
  }
  CHECK(f.run("bus rotate", " --name node-a --until 2031-06-01T00:00:00Z").exit == Exit::OK);
}

}  // namespace
}  // namespace nexus::ctl
