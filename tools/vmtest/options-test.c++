#include "tools/vmtest/options.h"

#include <doctest/doctest.h>
#include <kj/debug.h>

namespace nexus::vmtest {
namespace {

const Profile* const TWO[] = {&os2vmProfile()};
const Profile* const ONE[] = {&qemuTestProfile(), &dmaIsolationControlProfile()};

Options good(kj::ArrayPtr<const Profile* const> profiles, std::initializer_list<kj::StringPtr> args) {
  auto parsed = parseOptions("os2vm", profiles, kj::arrayPtr(args.begin(), args.size()));
  REQUIRE(parsed.is<Options>());
  return kj::mv(parsed.get<Options>());
}

kj::String bad(kj::ArrayPtr<const Profile* const> profiles, std::initializer_list<kj::StringPtr> args) {
  auto parsed = parseOptions("os2vm", profiles, kj::arrayPtr(args.begin(), args.size()));
  REQUIRE(parsed.is<UsageError>());
  return kj::mv(parsed.get<UsageError>().message);
}

bool has(kj::StringPtr text, kj::StringPtr part) {
  for (size_t i = 0; i + part.size() <= text.size(); i++) {
    if (text.slice(i).startsWith(part)) return true;
  }
  return false;
}

TEST_CASE("without options a run is whole, captured, and chooses its acceleration") {
  auto options = good(TWO, {});
  CHECK(options.profile == &os2vmProfile());
  CHECK(options.until == Phase::END);
  CHECK(options.pcap == PcapMode::ON);
  CHECK(options.accel == AccelChoice::AUTO);
  CHECK(options.out == nullptr);
  CHECK(options.budgetFactor == nullptr);
  CHECK(options.memoryMiB == 192);
}

TEST_CASE("every option arrives") {
  auto options = good(TWO, {"--out",
                            "/x",
                            "--phase",
                            "session",
                            "--pcap=auto",
                            "--accel",
                            "tcg",
                            "--keep",
                            "--json",
                            "--qemu",
                            "/q",
                            "--kernel",
                            "/k",
                            "--initrd",
                            "/i",
                            "--kernel-version",
                            "/v",
                            "--memory",
                            "256",
                            "--budget-factor",
                            "3",
                            "--fault",
                            "no-peer",
                            "--flag",
                            "B:nexus.variant=x",
                            "--flag",
                            "nexus.scale=300"});
  CHECK(KJ_ASSERT_NONNULL(options.out) == "/x");
  CHECK(options.until == Phase::SESSION);
  CHECK(options.pcap == PcapMode::AUTO);
  CHECK(options.accel == AccelChoice::TCG);
  CHECK(options.keep);
  CHECK(options.json);
  CHECK(options.qemu == "/q");
  CHECK(KJ_ASSERT_NONNULL(options.initrd) == "/i");
  CHECK(options.memoryMiB == 256);
  CHECK(KJ_ASSERT_NONNULL(options.budgetFactor) == 3);
  CHECK(options.fault == Fault::NO_PEER);
  REQUIRE(options.flags.size() == 2);
  CHECK(KJ_ASSERT_NONNULL(options.flags[0].node) == 1);
  CHECK(options.flags[0].text == "nexus.variant=x");
  CHECK(options.flags[1].node == nullptr);
}

TEST_CASE("a program with several profiles takes the first one unless told otherwise") {
  CHECK(good(ONE, {}).profile == &qemuTestProfile());
  CHECK(good(ONE, {"--profile", "dma_isolation_control"}).profile == &dmaIsolationControlProfile());
}

TEST_CASE("a wrong value names itself and what may stand there") {
  CHECK(has(bad(TWO, {"--phase", "network"}),
            "--phase network: not a phase of os2vm; expected build, launch, discovery, session, mux, remote, deny, "
            "perf, soak, chaos, end"));
  CHECK(has(bad(TWO, {"--pcap=maybe"}), "off"));
  CHECK(has(bad(TWO, {"--accel", "xen"}), "kvm"));
  CHECK(has(bad(TWO, {"--memory", "8"}), "96"));
  CHECK(has(bad(TWO, {"--budget-factor", "0"}), "1"));
  CHECK(has(bad(TWO, {"--wat"}), "--wat"));
  CHECK(has(bad(TWO, {"--profile", "qemu_test"}), "--profile"));
  CHECK(has(bad(ONE, {"--fault", "no-peer"}), "needs two nodes"));
  for (kj::StringPtr flag : {"quiet"_kj, "nexus.x"_kj, "nexus.x=a b"_kj, "C:nexus.x=1"_kj, "nexus.x=\n"_kj}) {
    CHECK(has(bad(TWO, {"--flag", flag}), "expected [A:|B:]nexus.NAME=VALUE"));
  }
}

TEST_CASE("budgets, soak and chaos are set by name, and a wrong one names what may stand there") {
  auto options = good(TWO, {"--budget", "session=100", "--budget=total=7", "--soak", "3", "--soak-rounds=2", "--chaos",
                            "kills", "--fault", "stay-cut"});
  REQUIRE(options.late.perf.settings.size() == 2);
  CHECK(options.late.perf.enabled);
  CHECK(options.late.perf.settings[0].name == "session");
  CHECK(options.late.perf.settings[0].budget == 100 * kj::MILLISECONDS);
  CHECK(options.late.soak.whole() == 6 * kj::SECONDS);
  CHECK((options.late.chaos == ChaosMode::KILLS));
  CHECK((options.fault == Fault::STAY_CUT));
  CHECK_FALSE(good(TWO, {"--budget", "off"}).late.perf.enabled);
  CHECK((good(TWO, {}).late.chaos == ChaosMode::LONG));
  CHECK_FALSE(good(TWO, {"--soak", "0"}).late.soak.enabled());
  for (kj::StringPtr budget : {"session"_kj, "session="_kj, "session=x"_kj, "launch=5"_kj, "=5"_kj}) {
    CHECK(has(bad(TWO, {"--budget", budget}), "NAME out of discovery, session, mux, remote, total"));
  }
  CHECK(has(bad(TWO, {"--chaos", "much"}), "kills"));
  CHECK(has(bad(ONE, {"--soak", "3"}), "--soak"));
}

TEST_CASE("help names every option") {
  kj::StringPtr args[] = {"--help"_kj};
  auto parsed = parseOptions("os2vm", TWO, args);
  REQUIRE(parsed.is<HelpRequest>());
  for (kj::StringPtr name :
       {"--out"_kj, "--phase"_kj, "--pcap"_kj, "--accel"_kj, "--keep"_kj, "--json"_kj, "--list"_kj, "--fault"_kj}) {
    CHECK(has(parsed.get<HelpRequest>().text, name));
  }
}

TEST_CASE("the list shows phases, budgets and every marker") {
  auto text = listText(os2vmProfile(), LateSettings());
  CHECK(has(text, "phase session, budget 5.0 s with KVM, 20.0 s without"));
  CHECK(has(text, "  B  required   dsoftbusd: cross-vm session ok node-a"));
  CHECK(has(text, "  A  forbidden  net: dhcp bound"));
  CHECK(has(text, "\n  session, budget 5.0 s with KVM, 20.0 s without\n"));
  CHECK(has(text, "\n  1 x 8.0 s of traffic both ways\n"));
  CHECK(has(text, "\n  kill netstackd on B, recovery: budget 5.0 s with KVM, 20.0 s without\n"));
  CHECK(has(text, "\n  cut the link for 11 s, recovery: budget 5.0 s"));
}

TEST_CASE("the list shows what the options make of the later phases") {
  auto options = good(TWO, {"--budget=total=7000", "--soak", "0", "--chaos", "kills"});
  auto text = listText(os2vmProfile(), options.late);
  CHECK(has(text, "\n  total, budget 7.0 s with KVM, 7.0 s without\n"));
  CHECK(has(text, "phase soak, budget 15.0 s with KVM, 60.0 s without\n  left out\n"));
  CHECK(!has(text, "cut the link"));
  CHECK(has(listText(os2vmProfile(), LateSettings::off()), "\n  no budgets\n"));
  CHECK(!has(listText(qemuTestProfile(), LateSettings()), "recovery"));
}

}  // namespace
}  // namespace nexus::vmtest
