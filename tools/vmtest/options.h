#pragma once
// The command line of the harness into values, and the usage text. Pure: the environment is an argument too.
#include <kj/one-of.h>
#include <kj/string.h>
#include <kj/vector.h>

#include "tools/vmtest/late-phases.h"

namespace nexus::vmtest {

enum class PcapMode : kj::byte { OFF, ON, AUTO };  // AUTO: the file is kept when the run fails
enum class AccelChoice : kj::byte { AUTO, KVM, TCG };
enum class Fault : kj::byte { NONE, NO_PEER, WRONG_KEY, NO_RULE, KILL_DRIVER, NO_RESTART, STAY_CUT };

struct GuestFlag {
  kj::Maybe<kj::byte> node;  // null: every node
  kj::String text;           // "nexus.scale=300"
};

struct Options {
  const Profile* profile;
  kj::Maybe<kj::String> out;
  Phase until;
  PcapMode pcap = PcapMode::ON;
  AccelChoice accel = AccelChoice::AUTO;
  bool keep = false;
  bool json = false;
  bool list = false;
  kj::String qemu;
  kj::Maybe<kj::String> kernel, initrd, kernelVersion;  // instead of the built ones
  kj::uint memoryMiB = 192;
  kj::Maybe<kj::uint> budgetFactor;  // null: by acceleration
  Fault fault = Fault::NONE;
  LateSettings late;
  kj::Vector<GuestFlag> flags;
};

struct UsageError {
  kj::String message;  // with what may stand there
};
struct HelpRequest {
  kj::String text;
};

// profiles: those this program may run; the first one is the default. args: without the program's name.
kj::OneOf<Options, UsageError, HelpRequest> parseOptions(kj::StringPtr program,
                                                         kj::ArrayPtr<const Profile* const> profiles,
                                                         kj::ArrayPtr<const kj::StringPtr> args);

// What --list prints: phases with their budgets, the ladder, and what the phases perf, soak and chaos would do.
kj::String listText(const Profile& profile, const LateSettings& late);

kj::StringPtr pcapModeName(PcapMode mode);
kj::StringPtr faultName(Fault fault);  // as --fault has it

}  // namespace nexus::vmtest
