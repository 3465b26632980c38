#pragma once
// Where the policy commands get their answers: from a configuration file, read and checked as dsoftbusd would, or from
// the running dsoftbusd. Both answer with the same message. Made for one run of one command.
#include "daemons/dsoftbusd/bus-settings.h"
#include "daemons/dsoftbusd/server/policy-explain.h"
#include "tools/nexusctl/command.h"

namespace nexus::ctl {

// The text of a file, at most 1 MiB; or why there is none.
kj::OneOf<kj::String, Report> readTextFile(kj::StringPtr path);

// The file's [dsoftbusd] table, checked; identity files are not opened. Or the first thing that is wrong with it.
kj::OneOf<BusSettings, Report> readPolicyConfig(kj::StringPtr path);

class PolicySource {
 public:
  virtual ~PolicySource() noexcept(false) = default;

  // Calls `each` with the explanation, which lives only during that call.
  virtual kj::Promise<Report> explain(PolicyQuestion question,
                                      kj::Function<Report(idl::PolicyExplanation::Reader)> each) = 0;
};

// configPath empty: the running dsoftbusd.
kj::OneOf<kj::Own<PolicySource>, Report> openPolicySource(Context& context, kj::StringPtr configPath);

// An explanation for people and as JSON (the fields are added to `json`).
kj::String explanationText(idl::PolicyExplanation::Reader explanation);
void addExplanation(Json& json, idl::PolicyExplanation::Reader explanation);

}  // namespace nexus::ctl
