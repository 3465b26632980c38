#include "daemons/statefsd/state-store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <kj/debug.h>
#include <kj/vector.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <iterator>

#include "daemons/statefsd/state-record.h"
#include "libs/oslite-frames/statefs-gate.h"

namespace nexus {

namespace {

constexpr kj::StringPtr KEY_PREFIX = "/state/"_kj;
constexpr kj::StringPtr BESIDE = "new"_kj;  // one writer, so one name; not a record name

// Runs `work`; what the disk refuses becomes a line in the log and false.
template <typename Work>
bool onDisk(Work&& work) {
  KJ_IF_MAYBE (exception, kj::runCatchingExceptions(work)) {
    KJ_LOG(WARNING, "the state folder refused an operation", exception->getDescription());
    return false;
  }
  return true;
}

void syncFolder(int folder) {
  KJ_SYSCALL(fsync(folder));
}

bool isSegment(kj::ArrayPtr<const char> segment) {
  return segment.size() > 0 && segment != "."_kj.asArray() && segment != ".."_kj.asArray();
}

kj::Vector<kj::String> namesIn(int folder) {
  int fd;
  KJ_SYSCALL(fd = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  auto* stream = fdopendir(fd);
  KJ_REQUIRE(stream != nullptr, "cannot read the state folder");
  KJ_DEFER(closedir(stream));
  kj::Vector<kj::String> names;
  for (;;) {
    errno = 0;
    auto* entry = readdir(stream);
    KJ_REQUIRE(entry != nullptr || errno == 0, "cannot read the state folder", strerror(errno));
    if (entry == nullptr) return names;
    names.add(kj::heapString(entry->d_name));
  }
}

}  // namespace

kj::Maybe<sf::Status> stateKeyFault(sf::Key key) {
  if (key.size() > sf::MAX_KEY_BYTES) return sf::Status::KEY_TOO_LONG;
  if (key.size() <= KEY_PREFIX.size()) return sf::Status::INVALID_KEY;
  if (key.slice(0, KEY_PREFIX.size()) != KEY_PREFIX.asArray()) return sf::Status::INVALID_KEY;
  size_t start = KEY_PREFIX.size();
  for (size_t i = start; i <= key.size(); i++) {
    if (i < key.size() && (key[i] == '\0' || key[i] == '\\')) return sf::Status::INVALID_KEY;
    if (i < key.size() && key[i] != '/') continue;
    if (!isSegment(key.slice(start, i))) return sf::Status::INVALID_KEY;
    start = i + 1;
  }
  return nullptr;
}

StateStore::StateStore(kj::StringPtr folder, const StateLimits& limits) : limits(limits) {
  int fd;
  KJ_SYSCALL(fd = open(folder.cStr(), O_RDONLY | O_DIRECTORY | O_CLOEXEC),
             "the state folder cannot be opened: make it, or set `folder` in [statefsd]", folder);
  root = kj::AutoCloseFd(fd);
  KJ_SYSCALL(flock(root, LOCK_EX | LOCK_NB), "the state folder is in use by another process", folder);
  if (unlinkat(root, BESIDE.cStr(), 0) != 0) {
    KJ_REQUIRE(errno == ENOENT, "cannot remove what a crash left in the state folder", folder, strerror(errno));
  }
  readKeys();
}

void StateStore::readKeys() {
  std::set<std::string> found;
  size_t bad = 0;
  for (auto& name : namesIn(root)) {
    if (!isRecordName(name)) continue;  // not ours
    KJ_REQUIRE(found.size() + bad < limits.keys, "the state folder holds too many keys", limits.keys);
    auto bytes = tryRead(name);
    auto record = bytes.map([](auto& b) { return decodeRecord(b); }).orDefault(nullptr);
    KJ_IF_MAYBE (r, record) {
      if (recordName(r->key) == name) {
        found.emplace(r->key.begin(), r->key.size());
        continue;
      }
    }
    bad++;
    KJ_LOG(WARNING, "a record of the state folder is damaged", name);
  }
  keys = kj::mv(found);
  damaged = bad;
}

sf::Status StateStore::put(sf::Key key, sf::Value value) {
  KJ_IF_MAYBE (fault, stateKeyFault(key)) return *fault;
  if (value.size() > sf::MAX_VALUE_BYTES) return sf::Status::VALUE_TOO_LARGE;
  std::string name(key.begin(), key.size());
  if (keys.count(name) == 0 && keys.size() + damaged >= limits.keys) {
    KJ_LOG(WARNING, "the state folder is full", limits.keys);
    return sf::Status::IO_ERROR;
  }
  bool shared =
      key.size() > sf::REMOTE_PREFIX.size() && key.slice(0, sf::REMOTE_PREFIX.size()) == sf::REMOTE_PREFIX.asArray();
  if (shared && keys.count(name) == 0 && sharedCount() >= limits.sharedKeys) {
    KJ_LOG(WARNING, "the shared part of the state folder is full", limits.sharedKeys);
    return sf::Status::IO_ERROR;
  }
  return onDisk([&] { write(key, value); }) ? sf::Status::OK : sf::Status::IO_ERROR;
}

size_t StateStore::sharedCount() const {
  std::string first = sf::REMOTE_PREFIX.cStr(), behind = first;
  behind.back()++;
  return std::distance(keys.lower_bound(first), keys.lower_bound(behind));
}

void StateStore::write(sf::Key key, sf::Value value) {
  auto bytes = encodeRecord(key, value);
  auto name = recordName(key);
  // Left by an earlier write that failed; nothing to lose in it.
  unlinkat(root, BESIDE.cStr(), 0);
  int fd;
  KJ_SYSCALL(fd = openat(root, BESIDE.cStr(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  kj::AutoCloseFd file(fd);
  KJ_ON_SCOPE_FAILURE(unlinkat(root, BESIDE.cStr(), 0));
  kj::FdOutputStream(file.get()).write(bytes.begin(), bytes.size());
  // The bytes before the name that makes them the value, and the name before the answer.
  KJ_SYSCALL(fsync(file));
  struct stat info;
  bool replaces = fstatat(root, name.cStr(), &info, AT_SYMLINK_NOFOLLOW) == 0;
  KJ_SYSCALL(renameat(root, BESIDE.cStr(), root, name.cStr()));
  bool isNew = keys.emplace(key.begin(), key.size()).second;
  if (isNew && replaces && damaged > 0) damaged--;  // what was damaged had no key
  syncFolder(root);
}

kj::Maybe<kj::Array<kj::byte>> StateStore::tryRead(kj::StringPtr name) const {
  int fd = openat(root, name.cStr(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0) {
    KJ_REQUIRE(errno == ENOENT || errno == ELOOP, "cannot open a record of the state folder", name, strerror(errno));
    return nullptr;
  }
  kj::AutoCloseFd file(fd);
  struct stat info;
  KJ_SYSCALL(fstat(file, &info));
  if (!S_ISREG(info.st_mode) || size_t(info.st_size) > MAX_RECORD_BYTES) return kj::Array<kj::byte>(nullptr);
  auto bytes = kj::heapArray<kj::byte>(info.st_size);
  size_t filled = kj::FdInputStream(file.get()).tryRead(bytes.begin(), bytes.size(), bytes.size());
  return kj::heapArray(bytes.slice(0, filled));  // shorter than it was: damaged
}

kj::OneOf<kj::Array<kj::byte>, sf::Status> StateStore::get(sf::Key key) const {
  KJ_IF_MAYBE (fault, stateKeyFault(key)) return *fault;
  kj::Maybe<kj::Array<kj::byte>> bytes;
  if (!onDisk([&] { bytes = tryRead(recordName(key)); })) return sf::Status::IO_ERROR;
  KJ_IF_MAYBE (b, bytes) {
    KJ_IF_MAYBE (record, decodeRecord(*b)) {
      if (record->key == key) return kj::heapArray(record->value);
    }
    return sf::Status::INTEGRITY_VIOLATION;
  }
  return sf::Status::NOT_FOUND;
}

sf::Status StateStore::del(sf::Key key) {
  KJ_IF_MAYBE (fault, stateKeyFault(key)) return *fault;
  auto name = recordName(key);
  bool found = true;
  bool done = onDisk([&] {
    if (unlinkat(root, name.cStr(), 0) != 0) {
      KJ_REQUIRE(errno == ENOENT, "cannot remove a record of the state folder", name, strerror(errno));
      found = false;
    }
    bool listed = keys.erase(std::string(key.begin(), key.size())) > 0;
    if (found && !listed && damaged > 0) damaged--;  // what was damaged had no key
    if (found) syncFolder(root);
  });
  if (!done) return sf::Status::IO_ERROR;
  return found ? sf::Status::OK : sf::Status::NOT_FOUND;
}

kj::Array<kj::String> StateStore::list(sf::Key prefix, size_t limit) const {
  std::string begin(prefix.begin(), prefix.size());
  kj::Vector<kj::String> found;
  for (auto at = keys.lower_bound(begin); at != keys.end() && found.size() < limit; ++at) {
    if (at->compare(0, begin.size(), begin) != 0) break;
    found.add(kj::heapString(at->data(), at->size()));
  }
  return found.releaseAsArray();
}

sf::Status StateStore::sync() const {
  return onDisk([&] { syncFolder(root); }) ? sf::Status::OK : sf::Status::IO_ERROR;
}

sf::Status StateStore::reopen() {
  return onDisk([&] { readKeys(); }) ? sf::Status::OK : sf::Status::IO_ERROR;
}

}  // namespace nexus
