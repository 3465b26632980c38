#include "tools/nexusctl/bus-identity-commands.h"

#include <CLI/CLI.hpp>
#include <string>

#include "daemons/dsoftbusd/trust/identity-file.h"
#include "libs/nexus-net-os/base/utc.h"

namespace nexus::ctl {

namespace {

constexpr size_t MAX_NAME_BYTES = 64;
constexpr kj::Duration EXAMPLE_GRACE = 14 * kj::DAYS;

// What others may know: never the seed.
Report publicReport(kj::StringPtr path, const PublicIdentity& identity) {
  Report report;
  report.json = document("nexus.identity/1");
  auto staticKey = toHex(identity.staticKey);
  report.json.set("file", clean(path)).set("deviceId", identity.deviceId).set("staticKey", staticKey);
  report.text = kj::str("device id   ", identity.deviceId, "\nstatic key  ", staticKey, '\n');
  return report;
}

kj::OneOf<PublicIdentity, Report> publicIdentityIn(kj::StringPtr path) {
  if (!identityFileExists(path)) return failure(Exit::NOT_FOUND, kj::str("There is no file ", path, "."));
  auto seed = readIdentityFile(path);
  KJ_IF_MAYBE (wrong, seed.tryGet<SettingsError>()) return failure(Exit::BAD_CONFIG, wrong->sentence);
  return DeviceIdentity(seed.get<SecretBytes>()).publicIdentity();
}

class BusKeygenCommand final : public Command {
 public:
  explicit BusKeygenCommand(Entropy& entropy) : entropy(entropy) {}

  kj::StringPtr path() const override { return "bus keygen"_kj; }
  kj::StringPtr about() const override { return "make a new identity file, readable by its owner alone"_kj; }
  kj::StringPtr example() const override { return "--out identity"_kj; }

  void declare(CLI::App& app) override {
    app.add_option("--out", out, "the file to make; one that exists is never overwritten")->required();
  }

  kj::Promise<Report> run(Context& context) override {
    SecretBytes seed(SEED_BYTES);
    entropy.fill(seed.expose());
    auto problem = createIdentityFile(out.c_str(), seed);
    KJ_IF_MAYBE (wrong, problem) return failure(Exit::OTHER, wrong->sentence);
    return publicReport(out.c_str(), DeviceIdentity(seed).publicIdentity());
  }

 private:
  Entropy& entropy;
  std::string out;
};

class BusIdCommand final : public Command {
 public:
  kj::StringPtr path() const override { return "bus id"_kj; }
  kj::StringPtr about() const override { return "device id and static key of an identity file"_kj; }
  kj::StringPtr example() const override { return "identity"_kj; }

  void declare(CLI::App& app) override { app.add_option("FILE", file, "the identity file")->required(); }

  kj::Promise<Report> run(Context& context) override {
    auto identity = publicIdentityIn(file.c_str());
    KJ_IF_MAYBE (wrong, identity.tryGet<Report>()) return kj::mv(*wrong);
    return publicReport(file.c_str(), identity.get<PublicIdentity>());
  }

 private:
  std::string file;
};

bool isPlainName(kj::StringPtr name) {
  if (name.size() == 0 || name.size() > MAX_NAME_BYTES) return false;
  for (char c : name) {
    bool plain =
        ('a' <= c && c <= 'z') || ('A' <= c && c <= 'Z') || ('0' <= c && c <= '9') || c == '-' || c == '_' || c == '.';
    if (!plain) return false;
  }
  return true;
}

class BusTrustCommand final : public Command {
 public:
  kj::StringPtr path() const override { return "bus trust"_kj; }
  kj::StringPtr about() const override { return "the trust entry for other nodes that shall trust this identity"_kj; }
  kj::StringPtr example() const override { return "identity --name node-a"_kj; }

  void declare(CLI::App& app) override {
    app.add_option("FILE", file, "the identity file")->required();
    app.add_option("--name", name, "what the others call this node (default: node- and 8 digits of its device id)");
  }

  kj::Promise<Report> run(Context& context) override {
    auto identity = publicIdentityIn(file.c_str());
    KJ_IF_MAYBE (wrong, identity.tryGet<Report>()) return kj::mv(*wrong);
    auto& known = identity.get<PublicIdentity>();
    auto called = name.empty() ? kj::str("node-", known.deviceId.slice(0, 8)) : kj::str(name.c_str());
    if (!isPlainName(called)) {
      return failure(Exit::USAGE, "--name: a name has 1 to 64 letters, digits, hyphens, underscores or dots.");
    }
    Report report;
    auto entry = kj::str("[[dsoftbusd.trust]]\nname = \"", called, "\"\ndeviceId = \"", known.deviceId,
                         "\"\nstaticKey = \"", toHex(known.staticKey), "\"\n");
    report.json = document("nexus.trust/1");
    report.json.set("name", called).set("deviceId", known.deviceId).set("staticKey", toHex(known.staticKey));
    report.json.set("toml", entry);
    report.text = kj::mv(entry);
    return report;
  }

 private:
  std::string file, name;
};

class BusRotateCommand final : public Command {
 public:
  explicit BusRotateCommand(Entropy& entropy) : entropy(entropy) {}

  kj::StringPtr path() const override { return "bus rotate"_kj; }
  kj::StringPtr about() const override {
    return "make the next identity file beside this one, and the entry with a grace for the peers"_kj;
  }
  kj::StringPtr example() const override { return "identity --name node-a --until 2026-12-01T00:00:00Z"_kj; }

  void declare(CLI::App& app) override {
    app.add_option("FILE", file, "the identity file in use; it is not changed")->required();
    app.add_option("--name", name, "what the others call this node")->required();
    app.add_option("--until", until, "until when the others shall accept the old key too: 2026-12-01T00:00:00Z, UTC")
        ->required();
    app.add_option("--out", out, "the new file (default: FILE.next); one that exists is never overwritten");
  }

  kj::Promise<Report> run(Context& context) override {
    if (!isPlainName(name.c_str())) {
      return failure(Exit::USAGE, "--name: a name has 1 to 64 letters, digits, hyphens, underscores or dots.");
    }
    auto wrongTime = checkUntil(context.doors.calendar().now());
    KJ_IF_MAYBE (wrong, wrongTime) return kj::mv(*wrong);
    auto before = publicIdentityIn(file.c_str());
    KJ_IF_MAYBE (wrong, before.tryGet<Report>()) return kj::mv(*wrong);
    auto next = out.empty() ? kj::str(file.c_str(), ".next") : kj::str(out.c_str());
    SecretBytes seed(SEED_BYTES);
    entropy.fill(seed.expose());
    auto problem = createIdentityFile(next, seed);
    KJ_IF_MAYBE (wrong, problem) return failure(Exit::OTHER, wrong->sentence);
    return report(next, before.get<PublicIdentity>(), DeviceIdentity(seed).publicIdentity());
  }

 private:
  Entropy& entropy;
  std::string file, name, until, out;

  // An entry whose grace is over when it is written would cut every session off that the old key opens.
  kj::Maybe<Report> checkUntil(kj::Date now) const {
    auto example = utcSecondsText(now + EXAMPLE_GRACE);
    KJ_IF_MAYBE (end, tryParseUtc(until.c_str())) {
      if (*end > now) return nullptr;
      return failure(Exit::USAGE, kj::str("--until: ", until.c_str(), " is over; it is ", utcSecondsText(now), "."),
                     kj::str("Peers would refuse the old key at once. Leave time to tell them all: --until ", example,
                             ", or mend the clock of this machine."));
    }
    return failure(Exit::USAGE, kj::str("--until: \"", until.c_str(), "\" is no time."),
                   kj::str("Write it in UTC, to the second: --until ", example, "."));
  }

  Report report(kj::StringPtr next, const PublicIdentity& old, const PublicIdentity& young) {
    Report report;
    auto entry =
        kj::str("[[dsoftbusd.trust]]\nname = \"", name.c_str(), "\"\ndeviceId = \"", young.deviceId,
                "\"\nstaticKey = \"", toHex(young.staticKey), "\"\npreviousDeviceId = \"", old.deviceId,
                "\"\npreviousStaticKey = \"", toHex(old.staticKey), "\"\npreviousUntil = \"", until.c_str(), "\"\n");
    report.json = document("nexus.rotate/1");
    report.json.set("file", clean(next)).set("name", name.c_str()).set("deviceId", young.deviceId);
    report.json.set("staticKey", toHex(young.staticKey)).set("previousDeviceId", old.deviceId);
    report.json.set("previousUntil", until.c_str()).set("toml", entry);
    auto rekey = kj::str("nexusctl bus rekey ", name.c_str(), " --device-id ", young.deviceId, " --static-key ",
                         toHex(young.staticKey), " --until ", until.c_str());
    report.text = kj::str(
        "# The new key is in ", clean(next), ". On every peer, in place of its entry of this node:\n", entry,
        "# and there: nexusctl policy reload. On a peer that this node was paired with, instead:\n", rekey,
        "\n# When all have it: put the new file in the place of the old one and start dsoftbusd again, before\n# ",
        until.c_str(), ".\n");
    report.json.set("rekey", kj::mv(rekey));
    return report;
  }
};

}  // namespace

kj::Own<Command> newBusKeygenCommand(Entropy& entropy) {
  return kj::heap<BusKeygenCommand>(entropy);
}

kj::Own<Command> newBusRotateCommand(Entropy& entropy) {
  return kj::heap<BusRotateCommand>(entropy);
}

kj::Own<Command> newBusIdCommand() {
  return kj::heap<BusIdCommand>();
}

kj::Own<Command> newBusTrustCommand() {
  return kj::heap<BusTrustCommand>();
}

}  // namespace nexus::ctl
