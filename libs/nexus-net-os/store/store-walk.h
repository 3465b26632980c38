#pragma once
// One walk down a bundle: every regular file below a folder, in order of path, under bounds. For bundlemgrd and
// packagefsd, which serve the same folders.
#include <kj/array.h>
#include <kj/function.h>
#include <kj/io.h>
#include <kj/string.h>

namespace nexus {

// A name of a bundle, a version, a file or a folder: 1 to 255 of letters, digits and "._-+", not beginning with a dot.
bool isStoreName(kj::StringPtr name);

// Why a bundle is left out; the walk ends with it. What is wrong with the whole store is an exception instead.
struct Refusal {
  kj::String reason;
};

// A name in a folder. What is neither file nor folder, or has an unfit name, says why in `refusal`.
struct FolderEntry {
  kj::String name;
  bool isFolder;
  kj::Maybe<Refusal> refusal;
};

// The entries of an open folder, ordered by name. `path` is for the reasons. FAILED above maxEntries.
kj::Array<FolderEntry> readFolder(int folder, kj::StringPtr path, size_t maxEntries);

// Opens one name inside a folder, without following a link. FAILED when it cannot be opened; a Refusal when it is not
// what it should be.
enum class EntryKind { FILE, FOLDER };
kj::Maybe<Refusal> openEntry(int folder, kj::StringPtr name, kj::StringPtr path, EntryKind kind, kj::AutoCloseFd& out);

// The whole content of an open file. FAILED, naming `path`, when it ends before `size` bytes.
kj::Array<kj::byte> readWholeFile(int file, size_t size, kj::StringPtr path);

struct WalkLimits {
  size_t depth, pathBytes, entries;
};

// Calls `visit` with the path below `folder` and an open descriptor, for every file.
kj::Maybe<Refusal> walkFiles(int folder, kj::StringPtr shownAs, const WalkLimits& limits,
                             kj::Function<void(kj::StringPtr path, int file)> visit);

}  // namespace nexus
