#pragma once
// Values by key in one folder on disk, a file for each. Owned by Statefsd. A change is written beside, brought to the
// disk and then renamed, so that a crash at any moment leaves the old value or the new one, whole. The keys are kept in
// memory as well, in order; values are read from the disk and verified at every get. What the disk refuses is a status,
// IO_ERROR, and a line in the log. Knows nothing of frames or clients.
#include <kj/array.h>
#include <kj/io.h>
#include <kj/one-of.h>
#include <kj/string.h>

#include <set>
#include <string>

#include "libs/oslite-frames/statefs-frames.h"

namespace nexus {

struct StateLimits {
  size_t keys = 1024;  // a put of a further one is IO_ERROR; with values of 64 KiB that is 64 MiB of disk
  // Of these under /state/shared/, which other nodes may write: they cannot take this node's own room. IO_ERROR too.
  size_t sharedKeys = 512;
};

class StateStore {
 public:
  // Opens the folder, takes it for itself alone, removes what a crash left half written and reads the keys. FAILED,
  // naming the folder, when it cannot be opened, is in use, or holds more keys than allowed.
  explicit StateStore(kj::StringPtr folder, const StateLimits& limits = {});
  StateStore(StateStore&&) = default;

  // INVALID_KEY, KEY_TOO_LONG, VALUE_TOO_LARGE, IO_ERROR.
  sf::Status put(sf::Key key, sf::Value value);

  // INVALID_KEY, KEY_TOO_LONG, NOT_FOUND, IO_ERROR; INTEGRITY_VIOLATION when the file is not what was written.
  kj::OneOf<kj::Array<kj::byte>, sf::Status> get(sf::Key key) const;

  // As get(), but a damaged value can be deleted.
  sf::Status del(sf::Key key);

  // The first keys with that prefix, at most `limit`, ordered by their bytes. Damaged records have no key to list.
  kj::Array<kj::String> list(sf::Key prefix, size_t limit) const;

  sf::Status sync() const;

  // Reads the keys from the disk again.
  sf::Status reopen();

  size_t keyCount() const { return keys.size(); }
  size_t damagedCount() const { return damaged; }  // records that could not be verified when the keys were read

 private:
  kj::AutoCloseFd root;
  StateLimits limits;
  std::set<std::string> keys;
  size_t damaged = 0;

  size_t sharedCount() const;
  void readKeys();
  void write(sf::Key key, sf::Value value);
  kj::Maybe<kj::Array<kj::byte>> tryRead(kj::StringPtr name) const;
};

// The rules of a local key: "/state/" and at least one byte more; no NUL or backslash; no segment that is empty, "." or
// "..". Null when it is one.
kj::Maybe<sf::Status> stateKeyFault(sf::Key key);

}  // namespace nexus
