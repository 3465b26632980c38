#pragma once
// What must hold on the host before a guest is started, and where a run leaves its files. Every problem names the thing
// and the remedy.
#include <kj/filesystem.h>
#include <kj/io.h>
#include <kj/one-of.h>
#include <kj/string.h>
#include <kj/vector.h>

namespace nexus::vmtest {

constexpr uint64_t FREE_KIB_MIN = 65536;

// The path of `program` as execvp would find it; null when there is none.
kj::Maybe<kj::String> findProgram(kj::StringPtr program, kj::StringPtr searchPath);

// Null when there is room enough.
kj::Maybe<kj::String> spaceProblem(kj::StringPtr path, uint64_t freeKib);
uint64_t freeKib(kj::StringPtr path);

// The host's clock: nanoseconds since 1970.
uint64_t hostNanoseconds();

// Null when `path` is a readable file that is not empty. `label`: what builds it.
kj::Maybe<kj::String> artifactProblem(kj::StringPtr what, kj::StringPtr path, kj::StringPtr label);

// A run holds a lock on this file of its folder for as long as it lives, so that one that was killed can be told from
// one that is still under way.
constexpr kj::StringPtr RUNNING_FILE = "running"_kj;
// Null when somebody else holds it, or when it cannot be made.
kj::Maybe<kj::AutoCloseFd> tryLockFile(kj::StringPtr path);

// Of the run folders in one place, those to remove: all but the newest `keepPassed` passed and `keepFailed` failed
// ones, never one that is kept or under way. One that ended without a result, because it was killed, has failed.
struct OldRun {
  kj::String name;  // begins with its time, so names sort by age
  bool finished, passed, kept;
};
constexpr kj::uint KEEP_PASSED = 4, KEEP_FAILED = 12;
kj::Vector<kj::StringPtr> runsToRemove(kj::ArrayPtr<const OldRun> runs, kj::uint keepPassed = KEEP_PASSED,
                                       kj::uint keepFailed = KEEP_FAILED);

// Removes old runs under `base` that belong to `profile`, by the rule above.
void pruneRuns(const kj::Directory& base, kj::StringPtr profile);

// A fresh folder PROFILE--TIME-RANDOM under `base`, which is made 0700 if need be and must belong to this user.
struct FolderProblem {
  kj::String sentence;
};
kj::OneOf<kj::String, FolderProblem> freshRunFolder(kj::StringPtr base, kj::StringPtr profile);

// Makes the folder and what is above it. Null on success.
kj::Maybe<kj::String> makeFolder(kj::StringPtr path);

}  // namespace nexus::vmtest
