/* Address prefixes as virtual networks and subnets have them: strict CIDR notation, how they lie to
 * each other, and the addresses in an IPv4 one. Pure functions. */
#ifndef PORTOLAN_NETWORK_PREFIX_H
#define PORTOLAN_NETWORK_PREFIX_H

#include <stdbool.h>
#include <stdint.h>

#include "common/network/address.h"

enum prefix_flaw {
    PREFIX_OK,
    PREFIX_MALFORMED, /* no CIDR notation */
    PREFIX_HOST_BITS, /* bits are set beyond the prefix length */
};

#define PREFIX_TEXT_MAX 64

/* *ret is filled for PREFIX_OK and PREFIX_HOST_BITS (then without them). */
enum prefix_flaw prefix_parse(const char *text, struct cidr *ret);
void prefix_text(const struct cidr *c, char ret[PREFIX_TEXT_MAX]);
bool prefix_overlaps(const struct cidr *x, const struct cidr *y);
/* Whether all of inner lies in outer. */
bool prefix_holds(const struct cidr *outer, const struct cidr *inner);

/* Of IPv4 prefixes, in host order: first and last address. */
uint32_t prefix_first(const struct cidr *c);
uint32_t prefix_last(const struct cidr *c);
/* "10.0.0.4": strict; false for anything else. */
bool ipv4_parse(const char *text, uint32_t *ret);
void ipv4_text(uint32_t address, char ret[PREFIX_TEXT_MAX]);

#endif
