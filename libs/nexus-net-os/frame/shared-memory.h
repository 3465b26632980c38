#pragma once
// A memfd and its mapping in this process. Owned by whoever uses the memory; the mapping goes when this does, the
// memory itself when the last process lets go of it. Knows nothing of what lies in it.
#include <kj/io.h>
#include <kj/string.h>

namespace nexus {

class SharedMemory {
 public:
  // A new memfd of `size` bytes, zeroed, mapped writable. Its size is fixed from the start, so that no access of ours
  // can fault (SIGBUS), whoever gets the descriptor.
  static SharedMemory create(kj::StringPtr name, size_t size);

  // Maps the memfd of another process, writable. FAILED unless it is exactly `size` bytes long, or when it is sealed
  // against that already.
  static SharedMemory map(kj::AutoCloseFd fd, size_t size);

  // Adopts a mapping of `fd` that exists, for instance because a device reaches the same pages; the array's disposer
  // unmaps it.
  static SharedMemory adopt(kj::AutoCloseFd fd, kj::Array<kj::byte> mapping);

  SharedMemory(SharedMemory&&) = default;
  SharedMemory& operator=(SharedMemory&&) = delete;

  // Valid for as long as this lives, wherever it is moved to.
  kj::ArrayPtr<kj::byte> bytes() const { return kj::arrayPtr(const_cast<kj::byte*>(mapping.begin()), mapping.size()); }

  // A descriptor for another process; close-on-exec.
  kj::AutoCloseFd duplicateFd() const;

  // From here on nobody can resize the memory, punch holes into it or map it writable anew; existing mappings stay as
  // they are. FAILED when the kernel refuses.
  void seal();

  // FAILED unless seal() was done, by whichever process, and the memory is still as long as it was when it was mapped.
  // What another process made may vanish before this, so it must not be read earlier.
  void requireSealed() const;

 private:
  bool hasSeals(int seals) const;
  SharedMemory(kj::AutoCloseFd fd, kj::Array<kj::byte> mapping) : fd(kj::mv(fd)), mapping(kj::mv(mapping)) {}
  kj::AutoCloseFd fd;
  kj::Array<kj::byte> mapping;
};

// Bytes of the memory behind `fd`. FAILED when it has no size.
size_t memorySize(int fd);

}  // namespace nexus
