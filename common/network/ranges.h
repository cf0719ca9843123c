/* CIDR blocks compiled to disjoint ranges: which block, if any, an address falls in, by one binary
 * search. Blocks nest or are apart, never cross; the narrowest wins, of equal ones the first. */
#ifndef PORTOLAN_NETWORK_RANGES_H
#define PORTOLAN_NETWORK_RANGES_H

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

struct cidr;
struct ranges;

#define RANGES_NONE UINT32_MAX

/* `count` blocks of either family; answers are indexes into them. */
struct ranges *ranges_new(const struct cidr *blocks, uint32_t count);
void ranges_free(struct ranges *r); /* NULL is accepted */
/* RANGES_NONE: in no block, or no IP address. */
uint32_t ranges_find(const struct ranges *r, const struct sockaddr *address);

#endif
