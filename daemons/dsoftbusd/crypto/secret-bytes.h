#pragma once
// Bytes that nobody else may see: wiped when they go, not copyable, not printable, compared in constant time. Owned by
// whoever holds the key. Knows nothing of what the bytes are. Lies in locked memory (secret-pool).
#include <kj/array.h>
#include <kj/string.h>

namespace nexus {

class SecretBytes {
 public:
  SecretBytes() = default;
  explicit SecretBytes(size_t size);  // zeroed
  SecretBytes(SecretBytes&&) = default;
  SecretBytes& operator=(SecretBytes&& other);  // wipes what was here
  ~SecretBytes() noexcept { wipe(); }
  KJ_DISALLOW_COPY(SecretBytes);

  // Copies bytes whose source the caller wipes.
  static SecretBytes copyOf(kj::ArrayPtr<const kj::byte> bytes);

  // The one deliberate copy.
  SecretBytes clone() const { return copyOf(expose()); }

  size_t size() const { return bytes.size(); }

  // The bytes themselves, for a cryptographic call; never to be kept or printed.
  kj::ArrayPtr<const kj::byte> expose() const { return bytes; }
  kj::ArrayPtr<kj::byte> expose() { return bytes; }

  // Zeroes the bytes and forgets them: the size is 0 afterwards.
  void wipe();

  bool equals(const SecretBytes& other) const;

 private:
  kj::Array<kj::byte> bytes;
};

// A secret is not text.
kj::StringPtr KJ_STRINGIFY(const SecretBytes&) = delete;

// Wipes memory in a way that the compiler may not leave out.
void wipeMemory(kj::ArrayPtr<kj::byte> bytes);

}  // namespace nexus
