#pragma once
// lwIP's checksum loop (RFC 1071), as arch/cc.h tells lwIP of it. lwIP's own adds two bytes at a time.
#include <cstdint>

// The sum, not its complement, of the bytes as 16-bit words of this machine's byte order, the last one padded with
// zero.
extern "C" uint16_t nexus_lwip_chksum(const void* data, int length);
