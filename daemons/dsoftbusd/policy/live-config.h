#pragma once
// The configuration of a running node: takes a new text, checks it as at the start, and puts into force what changed,
// all of it or nothing. What can change: policy, candidate, trust, rates, announced services. Any other key, also one
// that comes later, needs a restart, and a text that changes one is refused whole. Also begins and ends dry runs.
// Owned by main, beside the node. Knows nothing of signals, sockets and files: the text is read by a function.
#include <capnp/message.h>
#include <kj/function.h>

#include "daemons/dsoftbusd/dsoftbusd.h"

namespace nexus {

class LiveConfig {
 public:
  using Outcome = idl::BusAdmin::Outcome;

  // The text of the configuration file as it is now, or why there is none.
  using ReadText = kj::Function<kj::OneOf<kj::String, SettingsError>()>;

  // Makes these the entries of the trust table that the configuration names. FAILED with a sentence, and nothing
  // changed, when that cannot be.
  using ConfigureTrust = kj::Function<void(kj::Array<TrustedPeer>)>;

  // now: for the graces of keys. config: what node was started with. fileName: for messages. read: null when there is
  // no file.
  LiveConfig(Dsoftbusd& node, config::Dsoftbusd::Reader config, kj::StringPtr fileName, kj::Maybe<ReadText> read,
             ConfigureTrust configureTrust, kj::Function<LoadTime()> now);
  KJ_DISALLOW_COPY_AND_MOVE(LiveConfig);

  struct Result {
    Outcome outcome = Outcome::REFUSED;
    kj::String sentence;
    kj::Vector<kj::String> changed;       // keys, of APPLIED
    kj::Vector<kj::String> needsRestart;  // keys, of REFUSED
    size_t streamsReset = 0;
    uint64_t auditId = 0;
  };

  // Reads the file again. Never fails: whatever is wrong is a result, and nothing was changed.
  Result reload();

  // Begins a dry run with the policy of that text; see idl BusAdmin.
  Result setCandidate(kj::StringPtr toml);
  Result dropCandidate();

  uint32_t policyGeneration() const { return node.livePolicy().generation(); }

  struct Counters {
    uint64_t reloads = 0, refused = 0, streamsReset = 0;
  };
  const Counters& counters() const { return counts; }

 private:
  struct Checked {
    kj::Own<capnp::MallocMessageBuilder> message;
    BusSettings settings;
    config::Dsoftbusd::Reader config() { return message->getRoot<config::Dsoftbusd>().asReader(); }
  };

  Dsoftbusd& node;
  kj::Own<capnp::MallocMessageBuilder> current;
  kj::String fileName;
  kj::Maybe<ReadText> read;
  ConfigureTrust configureTrust;
  kj::Function<LoadTime()> now;
  Counters counts;

  config::Dsoftbusd::Reader currentConfig() { return current->getRoot<config::Dsoftbusd>().asReader(); }
  kj::OneOf<Checked, SettingsError> check(kj::StringPtr name, kj::StringPtr text);
  Result apply(Checked checked);
  kj::Vector<kj::String> keysThatNeedARestart(config::Dsoftbusd::Reader next);
  kj::Maybe<kj::String> applyTrust(Checked& checked, Result& result);
  void applyPolicy(BusSettings& settings, Result& result);
  Result refuse(kj::StringPtr what, kj::String sentence);
};

}  // namespace nexus
