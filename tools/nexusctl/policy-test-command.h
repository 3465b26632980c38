#pragma once
// nexusctl policy test: a file of expectations against a policy. One expectation a line: "allow PEER SERVICE OPERATION"
// or "deny ..."; '#' begins a comment.
#include "tools/nexusctl/command.h"

namespace nexus::ctl {

struct Expectation {
  size_t line;  // from 1
  bool allow;
  kj::String peer, service, operation;
};

// The expectations of a file, or a Report that names file and line.
kj::OneOf<kj::Array<Expectation>, Report> parseExpectations(kj::StringPtr file, kj::StringPtr text);

kj::Own<Command> newPolicyTestCommand();

}  // namespace nexus::ctl
