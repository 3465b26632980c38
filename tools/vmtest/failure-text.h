#pragma once
// What a person reads at the end of a run: the verdict, and for a failure what is missing, since when, whose job it is,
// what the packets say, and what to run next. Pure.
#include "tools/vmtest/report.h"

namespace nexus::vmtest {

// The last lines of one console.
struct LogTail {
  kj::uint firstNumber;
  kj::Vector<kj::String> lines;
};

kj::Vector<kj::String> passText(const RunState& state, const RunFacts& facts,
                                kj::ArrayPtr<const Capture* const> captures);
// tails: one per node.
kj::Vector<kj::String> failureText(const RunState& state, const Failure& failure, const Diagnosis& diagnosis,
                                   const RunFacts& facts, kj::ArrayPtr<const LogTail> tails);

}  // namespace nexus::vmtest
