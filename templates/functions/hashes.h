/* Naming hashes of the template language: the 64-bit hash of uniqueString and templateHash, and
 * name-based UUIDs. Not for security. */
#ifndef PORTOLAN_TEMPLATES_HASHES_H
#define PORTOLAN_TEMPLATES_HASHES_H

#include <stddef.h>
#include <stdint.h>

uint64_t hash_template(const void *bytes, size_t len);
void hash_sha1(const void *bytes, size_t len, uint8_t ret[20]);

#endif
