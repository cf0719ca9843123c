/* Which IP addresses are whose: the public ones, and CIDR blocks. Pure functions. An IPv4 address
 * in IPv6 clothes (::ffff:a.b.c.d) is that IPv4 address everywhere here. */
#ifndef PORTOLAN_NETWORK_ADDRESS_H
#define PORTOLAN_NETWORK_ADDRESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "common/base/cleanup.h"

struct cidr {
    int family;        /* AF_INET or AF_INET6 */
    uint8_t bytes[16]; /* the first 4 for AF_INET; host bits are zero */
    unsigned bits;
};

/* "10.0.0.0/8", "2001:db8::/32"; without a slash one address. Strict: dotted quads only, no
 * leading zeros. Host bits are cleared. */
MUST_CHECK bool cidr_parse(const char *text, struct cidr *ret);
/* "192.0.2.1", "2001:db8::1": strict, no port, no zone. */
MUST_CHECK bool address_parse(const char *text, struct sockaddr_storage *ret);
/* The family that counts, AF_INET or AF_INET6, and the address's bytes (the first 4 for AF_INET);
 * 0 for other families. */
int address_unwrap(const struct sockaddr *address, uint8_t ret[16]);
bool cidr_contains(const struct cidr *c, const struct sockaddr *address);

/* Globally reachable unicast: none of the IANA special-purpose blocks, and for IPv6 only what is
 * allocated for that (2000::/3). Translated forms (NAT64, 6to4) are judged by the IPv4 address
 * inside. Any other family is not public. */
bool address_is_public(const struct sockaddr *address);

#endif
