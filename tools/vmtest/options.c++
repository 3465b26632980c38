#include "tools/vmtest/options.h"

#include <CLI/CLI.hpp>
#include <map>
#include <string>
#include <vector>

#include "tools/vmtest/ladder-view.h"

namespace nexus::vmtest {

namespace {

// As CLI11 wants them; translated afterwards.
struct Raw {
  std::string profile, out, phase, pcap = "on", accel = "auto", qemu = "qemu-system-x86_64", kernel, initrd,
                                   kernelVersion, fault;
  bool keep = false, json = false, list = false;
  unsigned memory = 192, factor = 0, soak = 8, soakRounds = 1;
  std::string chaos = "long";
  std::vector<std::string> flags, budgets;
};

kj::String str(const std::string& text) {
  return kj::heapString(text.data(), text.size());
}

kj::Maybe<kj::String> optional(const std::string& text) {
  if (text.empty()) return nullptr;
  return str(text);
}

bool hasPhase(kj::ArrayPtr<const Profile* const> profiles, Phase phase) {
  for (auto* profile : profiles) {
    if (profile->find(phase) != nullptr) return true;
  }
  return false;
}

void declare(CLI::App& app, Raw& raw, kj::ArrayPtr<const Profile* const> profiles) {
  std::vector<std::string> names;
  for (auto* profile : profiles) names.push_back(profile->name.cStr());
  raw.profile = names.front();
  if (names.size() > 1)
    app.add_option("--profile", raw.profile, "which ladder to run")->check(CLI::IsMember(names))->capture_default_str();
  app.add_option("--out", raw.out,
                 "folder for logs and reports, made if need be (default: a fresh one, told at the start)");
  app.add_option("--phase", raw.phase, "stop with success after this phase (see --list)");
  app.add_option("--pcap", raw.pcap, "capture.pcapng: off, on, auto (kept only when the run fails)")
      ->check(CLI::IsMember({"off", "on", "auto"}))
      ->capture_default_str();
  app.add_option("--accel", raw.accel, "auto (KVM if it boots this kernel), kvm, tcg")
      ->check(CLI::IsMember({"auto", "kvm", "tcg"}))
      ->capture_default_str();
  app.add_flag("--keep", raw.keep, "never remove this run's folder when later runs tidy up");
  app.add_flag("--json", raw.json, "print summary.json on standard output and everything else on standard error");
  app.add_flag("--list", raw.list, "print phases, budgets and ladder, and run nothing");
  app.add_option("--qemu", raw.qemu, "the QEMU program")->capture_default_str();
  app.add_option("--kernel", raw.kernel, "kernel image instead of the built one");
  app.add_option("--initrd", raw.initrd, "initial root file system instead of the built one");
  app.add_option("--kernel-version", raw.kernelVersion, "file with package version and release of that kernel");
  app.add_option("--memory", raw.memory, "MiB per guest")->check(CLI::Range(96u, 4096u))->capture_default_str();
  app.add_option("--budget-factor", raw.factor, "multiply every budget by this (default: 1 with KVM, 4 without)")
      ->check(CLI::Range(1u, 100u));
  app.add_option("--flag", raw.flags,
                 "further word for a guest's kernel command line: [A:|B:]nexus.NAME=VALUE; may be repeated")
      ->take_all();
  app.add_option("--fault", raw.fault,
                 "break something on purpose: no-peer (the link carries nothing), wrong-key (on B), no-rule (on B), "
                 "kill-driver (on A), no-restart (of samgrd on B), stay-cut (the link is not healed)")
      ->check(CLI::IsMember({"no-peer", "wrong-key", "no-rule", "kill-driver", "no-restart", "stay-cut"}));
  if (!hasPhase(profiles, Phase::SOAK)) return;
  app.add_option("--budget", raw.budgets,
                 "what phase perf allows: NAME=MS with NAME out of discovery, session, mux, remote, total (taken as it "
                 "is, without the factor), or off; may be repeated")
      ->take_all();
  app.add_option("--soak", raw.soak, "seconds of one round of phase soak; 0: no soak")
      ->check(CLI::Range(0u, 3600u))
      ->capture_default_str();
  app.add_option("--soak-rounds", raw.soakRounds, "how many rounds")
      ->check(CLI::Range(1u, 1000u))
      ->capture_default_str();
  app.add_option("--chaos", raw.chaos,
                 "what phase chaos breaks: off, kills (each daemon on each node), short (and a link cut for 2 s), long "
                 "(and one for 11 s)")
      ->check(CLI::IsMember({"off", "kills", "short", "long"}))
      ->capture_default_str();
}

kj::Maybe<kj::String> translateFlags(const Raw& raw, const Profile& profile, Options& options) {
  for (auto& flag : raw.flags) {
    auto text = str(flag);
    kj::Maybe<kj::byte> node;
    for (kj::byte n = 0; n < profile.nodes; n++) {
      if (text.startsWith(kj::str(NODE_NAMES[n], ':'))) node = n;
    }
    auto word = node == nullptr ? kj::str(text) : kj::str(text.slice(2));
    bool clean = word.startsWith("nexus.") && word.findFirst('=') != nullptr;
    for (char c : word) clean = clean && c > 0x20 && c < 0x7f && c != '"';
    if (!clean) return kj::str("--flag ", text, ": expected [A:|B:]nexus.NAME=VALUE without spaces");
    options.flags.add(GuestFlag{node, kj::mv(word)});
  }
  return nullptr;
}

// "session=5000", or "off".
kj::Maybe<kj::String> translateBudgets(const Raw& raw, PerfSettings& perf) {
  kj::Vector<BudgetSetting> settings;
  for (auto& budget : raw.budgets) {
    auto text = str(budget);
    if (text == "off") {
      perf.enabled = false;
      continue;
    }
    kj::Maybe<BudgetSetting> setting;
    for (auto name : perfBudgetNames()) {
      auto head = kj::str(name, '=');
      if (!text.startsWith(head)) continue;
      auto ms = text.slice(head.size()).tryParseAs<uint32_t>();
      KJ_IF_MAYBE (n, ms) setting = BudgetSetting{name, *n * kj::MILLISECONDS};
    }
    KJ_IF_MAYBE (s, setting) {
      settings.add(*s);
    } else {
      return kj::str("--budget ", text, ": expected off, or NAME=MILLISECONDS with NAME out of ",
                     kj::strArray(perfBudgetNames(), ", "));
    }
  }
  perf.settings = settings.releaseAsArray();
  return nullptr;
}

kj::Maybe<kj::String> translateLate(const Raw& raw, LateSettings& late) {
  late.soak = SoakSettings{int64_t(raw.soak) * kj::SECONDS, raw.soakRounds};
  late.chaos = raw.chaos == "off"     ? ChaosMode::OFF
               : raw.chaos == "kills" ? ChaosMode::KILLS
               : raw.chaos == "short" ? ChaosMode::SHORT
                                      : ChaosMode::LONG;
  return translateBudgets(raw, late.perf);
}

kj::OneOf<Options, UsageError, HelpRequest> translate(const Raw& raw, kj::ArrayPtr<const Profile* const> profiles) {
  Options options;
  for (auto* profile : profiles) {
    if (raw.profile == profile->name.cStr()) options.profile = profile;
  }
  auto& profile = *options.profile;
  options.until = profile.phases.back().phase;
  if (!raw.phase.empty()) {
    KJ_IF_MAYBE (phase, profile.phaseByName(raw.phase.c_str())) {
      options.until = *phase;
    } else {
      auto names = KJ_MAP(p, profile.phases) {
        return kj::str(phaseName(p.phase));
      };
      return UsageError{kj::str("--phase ", raw.phase.c_str(), ": not a phase of ", profile.name, "; expected build, ",
                                kj::strArray(names, ", "))};
    }
  }
  options.out = optional(raw.out);
  options.pcap = raw.pcap == "off" ? PcapMode::OFF : raw.pcap == "auto" ? PcapMode::AUTO : PcapMode::ON;
  options.accel = raw.accel == "kvm" ? AccelChoice::KVM : raw.accel == "tcg" ? AccelChoice::TCG : AccelChoice::AUTO;
  options.keep = raw.keep;
  options.json = raw.json;
  options.list = raw.list;
  options.qemu = str(raw.qemu);
  options.kernel = optional(raw.kernel);
  options.initrd = optional(raw.initrd);
  options.kernelVersion = optional(raw.kernelVersion);
  options.memoryMiB = raw.memory;
  if (raw.factor > 0) options.budgetFactor = raw.factor;
  if (!raw.fault.empty() && raw.fault != "kill-driver" && profile.nodes < 2) {
    return UsageError{kj::str("--fault ", raw.fault.c_str(), " needs two nodes; ", profile.name, " has one")};
  }
  options.fault = raw.fault.empty()           ? Fault::NONE
                  : raw.fault == "no-peer"    ? Fault::NO_PEER
                  : raw.fault == "wrong-key"  ? Fault::WRONG_KEY
                  : raw.fault == "no-rule"    ? Fault::NO_RULE
                  : raw.fault == "no-restart" ? Fault::NO_RESTART
                  : raw.fault == "stay-cut"   ? Fault::STAY_CUT
                                              : Fault::KILL_DRIVER;
  auto bad = translateFlags(raw, profile, options);
  KJ_IF_MAYBE (message, bad) return UsageError{kj::mv(*message)};
  auto badLate = translateLate(raw, options.late);
  KJ_IF_MAYBE (message, badLate) return UsageError{kj::mv(*message)};
  return kj::mv(options);
}

}  // namespace

kj::OneOf<Options, UsageError, HelpRequest> parseOptions(kj::StringPtr program,
                                                         kj::ArrayPtr<const Profile* const> profiles,
                                                         kj::ArrayPtr<const kj::StringPtr> args) {
  Raw raw;
  CLI::App app(profiles[0]->about.cStr(), program.cStr());
  declare(app, raw, profiles);
  // CLI11 takes a vector from behind.
  std::vector<std::string> reversed;
  for (size_t i = args.size(); i > 0; i--) reversed.push_back(args[i - 1].cStr());
  try {
    app.parse(reversed);
  } catch (const CLI::CallForHelp&) {
    return HelpRequest{str(app.help())};
  } catch (const CLI::ParseError& error) {
    return UsageError{kj::str(error.what())};
  }
  return translate(raw, profiles);
}

namespace {

kj::String bothBudgets(kj::Duration budget) {
  return kj::str("budget ", secondsText(budget), " with KVM, ", secondsText(budget * int64_t(TCG_FACTOR)), " without");
}

// What a phase does besides waiting for its markers.
void listLate(Phase phase, const LateSettings& late, kj::Vector<kj::String>& lines) {
  if (phase == Phase::PERF) {
    PerfGate kvm(late.perf, 1), tcg(late.perf, TCG_FACTOR);
    if (!kvm.enabled()) lines.add(kj::str("  no budgets"));
    for (size_t i = 0; kvm.enabled() && i < kvm.table().size(); i++) {
      lines.add(kj::str("  ", kvm.table()[i].name, ", budget ", secondsText(kvm.table()[i].budget), " with KVM, ",
                        secondsText(tcg.table()[i].budget), " without"));
    }
  }
  if (phase == Phase::SOAK) {
    lines.add(late.soak.enabled()
                  ? kj::str("  ", late.soak.rounds, " x ", secondsText(late.soak.duration), " of traffic both ways")
                  : kj::str("  left out"));
  }
  if (phase == Phase::CHAOS) {
    auto plan = chaosPlan(late.chaos);
    if (plan.size() == 0) lines.add(kj::str("  left out"));
    for (auto& event : plan) lines.add(kj::str("  ", event.text(), ", recovery: ", bothBudgets(event.budget)));
  }
}

}  // namespace

kj::String listText(const Profile& profile, const LateSettings& late) {
  kj::Vector<kj::String> lines;
  lines.add(kj::str(profile.name, ": ", profile.about));
  for (auto& phase : profile.phases) {
    lines.add(kj::str("phase ", phaseName(phase.phase), ", ", bothBudgets(phase.budget)));
    listLate(phase.phase, late, lines);
    for (auto& rung : profile.rungs) {
      if (rung.phase != phase.phase) continue;
      kj::StringPtr need = rung.need == Need::REQUIRED ? "required "_kj
                           : rung.need == Need::INFO   ? "info     "_kj
                                                       : "forbidden"_kj;
      auto instead =
          rung.alternative == nullptr ? kj::String() : kj::str("  (or, with a warning: ", rung.alternative->text, ')');
      lines.add(kj::str("  ", NODE_NAMES[rung.node], "  ", need, "  ", rung.text(), instead));
    }
  }
  lines.add(kj::str());
  return kj::strArray(lines, "\n");
}

kj::StringPtr pcapModeName(PcapMode mode) {
  return mode == PcapMode::OFF ? "off"_kj : mode == PcapMode::ON ? "on"_kj : "auto"_kj;
}

kj::StringPtr faultName(Fault fault) {
  switch (fault) {
    case Fault::NONE:
      return "none"_kj;
    case Fault::NO_PEER:
      return "no-peer"_kj;
    case Fault::WRONG_KEY:
      return "wrong-key"_kj;
    case Fault::NO_RULE:
      return "no-rule"_kj;
    case Fault::KILL_DRIVER:
      return "kill-driver"_kj;
    case Fault::NO_RESTART:
      return "no-restart"_kj;
    case Fault::STAY_CUT:
      return "stay-cut"_kj;
  }
  KJ_UNREACHABLE;
}

}  // namespace nexus::vmtest
