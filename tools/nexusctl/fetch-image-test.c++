// nexusctl bus fetch-image in this process: from the bundlemgr of one node in memory, through its proxy, a stream of
// the session and the dsoftbusd of another, into a file.
#include <doctest/doctest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "daemons/dsoftbusd/remote/image-transfer.h"
#include "tests/sim/sim-bus-node.h"
#include "tools/nexusctl/sim-doors.h"

namespace nexus::ctl {
namespace {

namespace fs = std::filesystem;

constexpr auto TOML_A = R"(
[dsoftbusd]
nodeName = "node-a"
allowTestIdentity = true
testIdentity = "node-a"
[[dsoftbusd.trust]]
name = "node-b"
testIdentity = "node-b"
)"_kj;

constexpr auto TOML_B = R"(
[dsoftbusd]
nodeName = "node-b"
allowTestIdentity = true
testIdentity = "node-b"
[[dsoftbusd.trust]]
name = "node-a"
testIdentity = "node-a"
)"_kj;

constexpr auto RULE = R"(
[[dsoftbusd.policy]]
peer = "node-a"
service = "bundlemgrd"
operations = ["fetch-image"]
)"_kj;

// The image of a store that is larger than the credit of a stream many times over.
class LargeBundlemgr final : public idl::Bundlemgr::Server {
 public:
  LargeBundlemgr(size_t& bytes, kj::uint& fetches) : bytes(bytes), fetches(fetches) {}
  kj::Promise<void> fetchImage(FetchImageContext context) override {
    fetches++;
    auto image = context.getResults().initImage(bytes);
    for (auto i : kj::indices(image)) image[i] = i * 131 + (i >> 8);
    return kj::READY_NOW;
  }

 private:
  size_t& bytes;
  kj::uint& fetches;
};

bool contains(const kj::String& text, const char* part) {
  return std::string(text.cStr()).find(part) != std::string::npos;
}

struct Fixture {
  SimClock sim;
  SimNetwork network{sim.timer};
  SimDoors doors{sim};
  size_t bytes = 4 * 1024 * 1024 + 321;
  kj::uint fetches = 0;
  kj::Own<SimBusNode> a, b;
  kj::String folder = kj::str(getenv("TEST_TMPDIR"), "/image-XXXXXX");
  kj::String out;

  explicit Fixture(kj::StringPtr rules = RULE) {
    KJ_ASSERT(mkdtemp(folder.begin()) != nullptr);
    out = kj::str(folder, "/image.nxbi");
    network.addNode("node-a", IpAddress::v4(10, 42, 0, 10));
    network.addNode("node-b", IpAddress::v4(10, 42, 0, 11));
    a = kj::heap<SimBusNode>(sim, network, "node-a", TOML_A);
    SimServices services;
    services.bundlemgr = idl::Bundlemgr::Client(kj::heap<LargeBundlemgr>(bytes, fetches));
    b = kj::heap<SimBusNode>(sim, network, "node-b", kj::str(TOML_B, rules), kj::mv(services));
    doors.put("/run/nexus/bus.sock", a->bus());
  }
  ~Fixture() { fs::remove_all(folder.cStr()); }

  Result fetch(kj::StringPtr options = "") { return doors.run(kj::str("bus fetch-image node-b --out ", out, options)); }

  std::string content() {
    std::ifstream file(out.cStr(), std::ios::binary);
    return std::string(std::istreambuf_iterator<char>(file), {});
  }
  // Files in the folder, half-written ones too.
  size_t files() { return std::distance(fs::directory_iterator(folder.cStr()), fs::directory_iterator()); }
};

TEST_CASE(
    "an image of several MiB crosses in many chunks and becomes a file, and the decision is audited by its name") {
  Fixture f;
  auto result = f.fetch();
  CHECK(result.exit == Exit::OK);
  CHECK(contains(result.out, "4194625 bytes, sha256 "));
  auto content = f.content();
  REQUIRE(content.size() == f.bytes);
  bool same = true;
  for (size_t i = 0; i < content.size(); i++) same = same && kj::byte(content[i]) == kj::byte(i * 131 + (i >> 8));
  CHECK(same);
  CHECK(f.files() == 1);
  kj::uint records = 0;
  f.b->daemon().audit().forEachAfter(0, [&](const AuditEntry& e) {
    records++;
    CHECK(e.service == "bundlemgrd");
    CHECK(e.operation == "fetch-image");
    CHECK(e.verdict == CallStatus::OK);
  });
  CHECK(records == 1);
  // Once more, over the file that is there.
  f.bytes = 3;
  CHECK(f.fetch(" --json").exit == Exit::OK);
  CHECK(f.content().size() == 3);
  CHECK(f.files() == 1);
}

TEST_CASE("without a rule it is denied with the id of the record there, and no file is made") {
  Fixture f("");
  auto result = f.fetch();
  CHECK(result.exit == Exit::DENIED);
  CHECK(contains(result.err, "policy explain --audit 1"));
  CHECK(f.files() == 0);
  CHECK(f.fetches == 0);
}

TEST_CASE("a frame for the image, and streams of other names, give no image") {
  Fixture f;
  kj::byte frame[] = {'B', 'N', 1, 3};
  auto reply = f.a->call("node-b", "bundlemgrd", frame);
  CHECK(reply.status == CallStatus::OK);
  CHECK(reply.reply[4] == 2);  // unsupported: as a frame
  auto session = f.a->session("node-b");
  for (auto name : {"svc:bundlemgrd/list"_kj, "svc:bundlemgrd/fetch-imag"_kj, "svc:bundlemgrd"_kj, "svc:"_kj,
                    "bundlemgrd/fetch-image"_kj}) {
    auto request = session.openStreamRequest();
    request.setName(name);
    auto response = f.sim.run(kj::Promise<capnp::Response<idl::PeerSession::OpenStreamResults>>(request.send()));
    CHECK(response.getOutcome() == idl::PeerSession::StreamOutcome::DENIED);
  }
  CHECK(f.fetches == 0);
}

TEST_CASE("a link that is cut in the middle leaves nothing of the image") {
  Fixture f;
  f.a->session("node-b");
  std::ofstream(f.out.cStr()) << "what was there before";
  bool cut = false;
  size_t seen = 0;
  f.network.tap([&](kj::ArrayPtr<const kj::byte> bytes) {
    seen += bytes.size();
    if (seen > 1024 * 1024 && !cut) {
      cut = true;
      f.network.cut("node-b");
    }
  });
  auto result = f.fetch();
  CHECK(cut);
  CHECK(result.exit == Exit::OTHER);
  CHECK(contains(result.err, "No image was written"));
  CHECK(f.content() == "what was there before");
  CHECK(f.files() == 1);
}

TEST_CASE("a file that cannot be written is told before anything is fetched into it") {
  Fixture f;
  f.out = kj::str(f.folder, "/missing/image");
  auto result = f.fetch();
  CHECK(result.exit == Exit::OTHER);
  CHECK(contains(result.err, "cannot be written"));
}

}  // namespace
}  // namespace nexus::ctl
