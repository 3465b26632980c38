#pragma once
// One DNS query for an A record and the check that a datagram is its answer (RFC 1035): enough to prove that UDP
// crosses the stack both ways, and no resolver. Pure. Names are resolved for programs by NetworkManager's DnsResolver.
#include <kj/array.h>
#include <kj/string.h>

#include <cstdint>

namespace nexus {

// A recursive query for `name`, class IN, type A. name: labels of 1 to 63 characters with dots between.
kj::Array<kj::byte> dnsQuery(uint16_t id, kj::StringPtr name);

// What is wrong with `datagram` as the answer to that query; null when it has its id, is a response without error,
// repeats the question, and its first answer is an A record with `address` (4 bytes).
kj::Maybe<kj::String> checkDnsAnswer(kj::ArrayPtr<const kj::byte> datagram, kj::ArrayPtr<const kj::byte> query,
                                     kj::ArrayPtr<const kj::byte> address);

}  // namespace nexus
