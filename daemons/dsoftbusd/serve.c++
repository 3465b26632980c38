#include "daemons/dsoftbusd/serve.h"

#include <kj/debug.h>

#include "daemons/dsoftbusd/bus-markers.h"
#include "daemons/dsoftbusd/crypto-check.h"
#include "daemons/dsoftbusd/crypto/secret-pool.h"
#include "daemons/dsoftbusd/dsoftbusd.h"
#include "daemons/dsoftbusd/policy/audit-file.h"
#include "daemons/dsoftbusd/policy/bus-admin-server.h"
#include "daemons/dsoftbusd/schema-rpc/read-schema.h"
#include "daemons/dsoftbusd/trust/identity-file.h"
#include "daemons/dsoftbusd/trust/trust-file.h"
#include "libs/nexus-net-os/daemon/sandbox.h"

namespace nexus {

namespace {

class ImportedNetwork final : public NetworkSource {
 public:
  explicit ImportedNetwork(CapReconnect& import) : import(import) {}
  idl::NetworkManager::Client get() override { return import.get<idl::NetworkManager>(); }
  kj::Promise<void> whenLost() override { return import.whenLost(); }

 private:
  CapReconnect& import;
};

BusSettings settingsOf(config::Dsoftbusd::Reader config, const LoadTime& now) {
  auto checked = checkSettings(config, readIdentityFile, now,
                               [](OfferList offers) { return checkOffers(offers, readSchemaFile); });
  KJ_IF_MAYBE (wrong, checked.tryGet<SettingsError>()) {
    kj::throwFatalException(badConfiguration(wrong->sentence));
  }
  return kj::mv(checked.get<BusSettings>());
}

kj::Maybe<LiveConfig::ReadText> readerOf(kj::Maybe<ConfigFile&> file) {
  KJ_IF_MAYBE (f, file) {
    return LiveConfig::ReadText([f]() -> kj::OneOf<kj::String, SettingsError> {
      auto text = f->read();
      KJ_IF_MAYBE (error, text.tryGet<ConfigError>()) return SettingsError{kj::mv(error->message)};
      return kj::mv(text.get<kj::String>());
    });
  }
  return nullptr;
}

// Read at the start, so that a damaged file is a wrong configuration and not a daemon that fails. Null when none is
// configured.
kj::Maybe<TrustFile> trustFileOf(const BusSettings& settings) {
  if (settings.trustFile.size() == 0) return nullptr;
  return readSettings([&] {
    TrustFile file(settings.trustFile);
    file.load();
    return file;
  });
}

struct Networks {
  kj::Vector<kj::Own<NetworkSource>> owned;
  kj::Vector<NetworkSource*> all;

  Networks(DaemonContext& daemon, kj::ArrayPtr<const kj::String> links) {
    for (auto& link : links) {
      owned.add(kj::heap<ImportedNetwork>(daemon.import(link)));
      all.add(owned.back());
    }
  }
};

// Wrong usage, naming the option, when one is missing that is needed.
Dsoftbusd::Imports importsOf(DaemonContext& daemon, Networks& networks, const RpcCatalog& offers) {
  auto& samgr = daemon.import("samgr");
  auto& bundlemgr = daemon.import("bundlemgr");
  Dsoftbusd::Imports imports{networks.all.releaseAsArray(), [&samgr] { return samgr.get<idl::Samgr>(); },
                             [&bundlemgr] { return bundlemgr.get<idl::Bundlemgr>(); }};
  if (daemon.hasImport("packagefs")) {
    auto& packagefs = daemon.import("packagefs");
    imports.packagefs = kj::Function<idl::Packagefs::Client()>([&] { return packagefs.get<idl::Packagefs>(); });
  }
  if (daemon.hasImport("statefs")) {
    auto& statefs = daemon.import("statefs");
    imports.statefs = kj::Function<idl::Statefs::Client()>([&] { return statefs.get<idl::Statefs>(); });
  }
  imports.lowLevel = *daemon.io().lowLevelProvider;
  for (auto& offer : offers.services()) daemon.import(offer.import());
  imports.named = kj::Function<capnp::Capability::Client(kj::StringPtr)>(
      [&daemon](kj::StringPtr name) { return daemon.import(name).get<capnp::Capability>(); });
  return imports;
}

// Where the audit records go beside the ring, if anywhere.
class AuditOutput {
 public:
  AuditOutput(DaemonContext& daemon, config::Dsoftbusd::Reader config) {
    if (config.getAuditFile().size() == 0) return;
    auto rotating = readSettings([&] {
      return kj::heap<RotatingFile>(config.getAuditFile(), config.getAuditFileMaxBytes(), config.getAuditFilesKept());
    });
    file = *rotating;
    folder = rotating->folderFd();
    sink = kj::heap<AuditFile>(kj::mv(rotating), daemon.calendar(), daemon.timer());
  }

  void attach(Dsoftbusd& node, kj::StringPtr nodeName) {
    KJ_IF_MAYBE (s, sink) {
      auto& auditFile = **s;
      auditFile.begin(node.audit().boot(), nodeName);
      node.audit().setSink(auditFile);
      node.addCounters([this, &auditFile](Dsoftbusd::AddCounter add) {
        add("auditFile.lines", auditFile.counters().lines), add("auditFile.lost", auditFile.counters().lost);
        add("auditFile.rotations", KJ_ASSERT_NONNULL(file).rotationCount());
      });
    }
  }

  kj::Maybe<int> folder;  // for the sandbox

 private:
  kj::Maybe<RotatingFile&> file;
  kj::Maybe<kj::Own<AuditFile>> sink;
};

void addProcessCounters(Dsoftbusd& node, LiveConfig& live) {
  node.addCounters([&live](Dsoftbusd::AddCounter add) {
    auto& c = live.counters();
    add("config.reloads", c.reloads), add("config.refused", c.refused), add("config.streamsReset", c.streamsReset);
  });
  node.addCounters([](Dsoftbusd::AddCounter add) {
    auto memory = secretMemoryState();
    add("secrets.locked", memory.locked ? 1 : 0), add("secrets.slotsNow", memory.slotsUsed);
    add("secrets.onHeap", memory.onHeap);
  });
}

void serveExports(DaemonContext& daemon, Dsoftbusd& node, LiveConfig& live) {
  auto serve = [&](kj::StringPtr name, auto newServer) {
    daemon.serve(name, [newServer](const PeerCredentials&) -> capnp::Capability::Client { return newServer(); });
  };
  serve("bus", [&node] { return node.newBusClient(); });
  serve("status-dsoftbusd", [&node] { return node.newStatusClient(); });
  serve("bus-trust", [&node] { return node.newTrustClient(); });
  serve("bus-admin", [&live] { return newBusAdminServer(live); });
}

// SIGHUP and the capability do the same; here nobody waits for the answer but the log.
kj::Promise<void> reloadLoop(DaemonContext& daemon, LiveConfig& live) {
  for (;;) {
    co_await daemon.whenReloadRequested();
    auto result = live.reload();
    if (result.auditId == 0) KJ_LOG(INFO, "reload", result.sentence);
  }
}

}  // namespace

void checkDsoftbusd(config::Dsoftbusd::Reader config) {
  auto settings = settingsOf(config, {kj::systemPreciseCalendarClock().now(), kj::origin<kj::TimePoint>()});
  trustFileOf(settings);
}

kj::Promise<void> serveDsoftbusd(DaemonContext& daemon, config::Dsoftbusd::Reader config) {
  kj::_::Debug::setLogLevel(kj::LogSeverity::INFO);  // decisions and sessions are told, one line each
  auto now = [&daemon] { return LoadTime{daemon.calendar().now(), daemon.timer().now()}; };
  auto settings = settingsOf(config, now());
  if (settings.usesTestKeys) KJ_LOG(WARNING, "uses publicly known TEST keys: anybody can be this node or its peers");
  auto trustFile = trustFileOf(settings);
  Networks networks(daemon, settings.links);
  auto imports = importsOf(daemon, networks, settings.offers);
  KJ_IF_MAYBE (file, trustFile) imports.trustStore = *file;
  AuditOutput auditOutput(daemon, config);
  BusMarkers markers([](const Marker& marker, kj::StringPtr detail) { emitMarker(marker, detail); });
  Dsoftbusd node(kj::mv(settings), kj::mv(imports), daemon.timer(), daemon.calendar(), daemon.entropy(), markers,
                 markers);
  auditOutput.attach(node, config.getNodeName());

  auto configFile = daemon.configFile();
  auto fileName = configFile.map([](ConfigFile& file) { return file.path(); }).orDefault("");
  LiveConfig live(
      node, config, fileName, readerOf(configFile),
      [&node](kj::Array<TrustedPeer> peers) { node.applyTrust(kj::mv(peers)); }, now);
  addProcessCounters(node, live);
  serveExports(daemon, node, live);
  auto reloading = reloadLoop(daemon, live);

  if (!secretMemoryState().locked) {
    KJ_LOG(WARNING, "keys are not locked in memory: allow 128 KiB of it (LimitMEMLOCK=1M, ulimit -l 1024)");
  }
  checkCryptography(daemon.entropy());
  kj::Vector<int> readable, writable;
  KJ_IF_MAYBE (file, trustFile) writable.add(file->folderFd());
  KJ_IF_MAYBE (folder, auditOutput.folder) writable.add(*folder);
  KJ_IF_MAYBE (file, configFile) readable.add(file->folderFd());
  if (config.getSandbox()) enterSandbox(SandboxProfile::STACK, {readable, writable});
  markers.onReady();
  co_await node.run().exclusiveJoin(kj::mv(reloading));
}

}  // namespace nexus
