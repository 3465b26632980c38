#include "daemons/dsoftbusd/crypto/secret-pool.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <kj/debug.h>
#include <kj/io.h>
#include <kj/vector.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cstring>
#include <string>

#include "daemons/dsoftbusd/crypto/secret-bytes.h"

namespace nexus {
namespace {

// The flags of the mapping that holds the address, from /proc/self/smaps: "rd wr mr mw me dc lo ac dd".
std::string flagsOf(const void* address) {
  int raw = open("/proc/self/smaps", O_RDONLY);
  KJ_ASSERT(raw >= 0);
  std::string text = kj::FdInputStream(kj::AutoCloseFd(raw)).readAllText().cStr();
  bool here = false;
  for (size_t at = 0; at < text.size();) {
    auto end = text.find('\n', at);
    auto line = text.substr(at, end - at);
    uintptr_t from, to;
    if (sscanf(line.c_str(), "%lx-%lx ", &from, &to) == 2) {
      here = from <= reinterpret_cast<uintptr_t>(address) && reinterpret_cast<uintptr_t>(address) < to;
    }
    if (here && line.rfind("VmFlags:", 0) == 0) return line;
    at = end + 1;
  }
  return "";
}

TEST_CASE("a secret is zero at first, and wiped when it goes: its place is given to the next one") {
  auto secret = newSecretMemory(32);
  for (auto b : secret) CHECK(b == 0);
  memset(secret.begin(), 0xab, secret.size());
  auto* place = secret.begin();
  auto used = secretMemoryState().slotsUsed;
  secret = nullptr;
  CHECK(secretMemoryState().slotsUsed == used - 1);
  auto next = newSecretMemory(64);
  CHECK(next.begin() == place);
  for (auto b : next) CHECK(b == 0);
}

TEST_CASE("secrets lie in memory that no core dump has, locked where the system allows it") {
  SecretBytes secret(32);
  auto flags = flagsOf(secret.expose().begin());
  CHECK(flags.find(" dd") != std::string::npos);
  rlimit limit;
  KJ_SYSCALL(getrlimit(RLIMIT_MEMLOCK, &limit));
  if (geteuid() == 0 || limit.rlim_cur >= 256 * 1024) CHECK(secretMemoryState().locked);
#if !__has_feature(address_sanitizer)  // whose mlock() locks nothing and says that it did
  CHECK((flags.find(" lo") != std::string::npos) == secretMemoryState().locked);
#endif
}

TEST_CASE("one more than there is room for lies on the heap, counted, and is wiped and given back too") {
  kj::Vector<kj::Array<kj::byte>> all;
  auto before = secretMemoryState();
  for (size_t i = before.slotsUsed; i < SECRET_SLOTS; i++) all.add(newSecretMemory(32));
  CHECK(secretMemoryState().slotsUsed == SECRET_SLOTS);
  CHECK(secretMemoryState().onHeap == before.onHeap);
  auto more = newSecretMemory(32);
  CHECK(secretMemoryState().onHeap == before.onHeap + 1);
  more[31] = 1;
  more = nullptr;
  all.clear();
  CHECK(secretMemoryState().slotsUsed == before.slotsUsed);
  (void)newSecretMemory(65);  // larger than a slot
  CHECK(secretMemoryState().onHeap == before.onHeap + 2);
}

TEST_CASE("a secret that is moved keeps its place, and one that is replaced is wiped") {
  SecretBytes a(32), b(32);
  a.expose()[0] = 1;
  auto* place = a.expose().begin();
  SecretBytes c(kj::mv(a));
  CHECK(c.expose().begin() == place);
  auto used = secretMemoryState().slotsUsed;
  c = kj::mv(b);
  CHECK(secretMemoryState().slotsUsed == used - 1);
  CHECK(*place == 0);
}

}  // namespace
}  // namespace nexus
