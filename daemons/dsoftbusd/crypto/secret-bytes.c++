#include "daemons/dsoftbusd/crypto/secret-bytes.h"

#include <sodium.h>

#include <cstring>

#include "daemons/dsoftbusd/crypto/secret-pool.h"

namespace nexus {

SecretBytes::SecretBytes(size_t size) : bytes(newSecretMemory(size)) {}

SecretBytes& SecretBytes::operator=(SecretBytes&& other) {
  if (this != &other) {
    wipe();
    bytes = kj::mv(other.bytes);
  }
  return *this;
}

SecretBytes SecretBytes::copyOf(kj::ArrayPtr<const kj::byte> bytes) {
  SecretBytes copy(bytes.size());
  if (bytes.size() > 0) memcpy(copy.bytes.begin(), bytes.begin(), bytes.size());
  return copy;
}

void SecretBytes::wipe() {
  wipeMemory(bytes);
  bytes = nullptr;
}

bool SecretBytes::equals(const SecretBytes& other) const {
  return size() == other.size() && sodium_memcmp(bytes.begin(), other.bytes.begin(), size()) == 0;
}

void wipeMemory(kj::ArrayPtr<kj::byte> bytes) {
  sodium_memzero(bytes.begin(), bytes.size());
}

}  // namespace nexus
