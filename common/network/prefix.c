/* Address prefixes: see the header. */
#include "common/network/prefix.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

enum prefix_flaw prefix_parse(const char *text, struct cidr *ret)
{
    const char *slash = strchr(text, '/');
    struct sockaddr_storage address;
    char head[INET6_ADDRSTRLEN];
    uint8_t bytes[16] = { 0 };
    size_t len = slash ? (size_t)(slash - text) : 0;
    int family;

    if (!slash || len >= sizeof(head) || !cidr_parse(text, ret))
        return PREFIX_MALFORMED;
    memcpy(head, text, len);
    head[len] = '\0';
    if (!address_parse(head, &address))
        return PREFIX_MALFORMED;
    family = address_unwrap((const struct sockaddr *)&address, bytes);
    if (family != ret->family)
        return PREFIX_MALFORMED;
    return memcmp(bytes, ret->bytes, family == AF_INET ? 4 : 16) == 0 ? PREFIX_OK
                                                                       : PREFIX_HOST_BITS;
}

void prefix_text(const struct cidr *c, char ret[PREFIX_TEXT_MAX])
{
    char head[INET6_ADDRSTRLEN] = "";

    (void)inet_ntop(c->family, c->bytes, head, sizeof(head));
    (void)snprintf(ret, PREFIX_TEXT_MAX, "%s/%u", head, c->bits);
}

static bool is_equal_up_to(const struct cidr *x, const struct cidr *y, unsigned bits)
{
    unsigned whole = bits / 8, rest = bits % 8;

    if (x->family != y->family || memcmp(x->bytes, y->bytes, whole) != 0)
        return false;
    return rest == 0 || (x->bytes[whole] ^ y->bytes[whole]) >> (8 - rest) == 0;
}

bool prefix_overlaps(const struct cidr *x, const struct cidr *y)
{
    return is_equal_up_to(x, y, x->bits < y->bits ? x->bits : y->bits);
}

bool prefix_holds(const struct cidr *outer, const struct cidr *inner)
{
    return outer->bits <= inner->bits && is_equal_up_to(outer, inner, outer->bits);
}

uint32_t prefix_first(const struct cidr *c)
{
    return (uint32_t)c->bytes[0] << 24 | (uint32_t)c->bytes[1] << 16 |
           (uint32_t)c->bytes[2] << 8 | c->bytes[3];
}

uint32_t prefix_last(const struct cidr *c)
{
    return prefix_first(c) | (c->bits == 0 ? UINT32_MAX : (uint32_t)((1ULL << (32 - c->bits)) - 1));
}

bool ipv4_parse(const char *text, uint32_t *ret)
{
    struct sockaddr_storage address;
    uint8_t bytes[16];

    if (strchr(text, ':') || !address_parse(text, &address) ||
        address_unwrap((const struct sockaddr *)&address, bytes) != AF_INET)
        return false;
    *ret = (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
    return true;
}

void ipv4_text(uint32_t address, char ret[PREFIX_TEXT_MAX])
{
    (void)snprintf(ret, PREFIX_TEXT_MAX, "%u.%u.%u.%u", address >> 24, address >> 16 & 255,
                   address >> 8 & 255, address & 255);
}
