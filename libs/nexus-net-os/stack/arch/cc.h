#pragma once
/* lwIP's port to this process: the compiler's facts, and the few functions it asks of its surroundings
 * (stack/lwip-globals). */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#ifdef __cplusplus
extern "C" {
#endif

uint32_t nexus_lwip_random(void);
void nexus_lwip_assert_failed(const char* message, const char* file, int line) __attribute__((noreturn));
void* nexus_lwip_malloc(size_t size);
void* nexus_lwip_calloc(size_t count, size_t size);
void nexus_lwip_free(void* memory);
uint16_t nexus_lwip_chksum(const void* data, int length);

#ifdef __cplusplus
}
#endif

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define BYTE_ORDER LITTLE_ENDIAN
#else
#define BYTE_ORDER BIG_ENDIAN
#endif

/* Transaction ids, delays, identifications: from the Entropy that LwipStack was given. */
#define LWIP_RAND() nexus_lwip_random()

/* Sums 32 bits at a time. */
#define LWIP_CHKSUM nexus_lwip_chksum

/* Logs and aborts: state that is wrong must not serve anybody. */
#define LWIP_PLATFORM_ASSERT(message) nexus_lwip_assert_failed(message, __FILE__, __LINE__)
#define LWIP_PLATFORM_DIAG(arguments) \
  do {                                \
  } while (0)
