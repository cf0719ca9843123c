/* Address blocks after the IANA IPv4 and IPv6 Special-Purpose Address Registries (RFC 6890 and its
 * updates), plus multicast and former class E. */
#include "common/network/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stddef.h>

struct block4 {
    uint32_t address;
    unsigned bits;
};

struct block6 {
    uint8_t address[16];
    unsigned bits;
};

static const struct block4 special4[] = {
    { 0x00000000, 8 },  /* 0.0.0.0/8 this network */
    { 0x0a000000, 8 },  /* 10.0.0.0/8 private */
    { 0x64400000, 10 }, /* 100.64.0.0/10 shared (carrier-grade NAT) */
    { 0x7f000000, 8 },  /* 127.0.0.0/8 loopback */
    { 0xa9fe0000, 16 }, /* 169.254.0.0/16 link-local, cloud metadata */
    { 0xac100000, 12 }, /* 172.16.0.0/12 private */
    { 0xc0000000, 24 }, /* 192.0.0.0/24 protocol assignments */
    { 0xc0000200, 24 }, /* 192.0.2.0/24 documentation */
    { 0xc0586300, 24 }, /* 192.88.99.0/24 6to4 relays */
    { 0xc0a80000, 16 }, /* 192.168.0.0/16 private */
    { 0xc6120000, 15 }, /* 198.18.0.0/15 benchmarking */
    { 0xc6336400, 24 }, /* 198.51.100.0/24 documentation */
    { 0xcb007100, 24 }, /* 203.0.113.0/24 documentation */
    { 0xe0000000, 4 },  /* 224.0.0.0/4 multicast */
    { 0xf0000000, 4 },  /* 240.0.0.0/4 reserved, broadcast */
};

static const struct block6 global6 = { { 0x20 }, 3 };                     /* 2000::/3 */
static const struct block6 six_to_four = { { 0x20, 0x02 }, 16 };          /* 2002::/16 */
static const struct block6 nat64 = { { 0x00, 0x64, 0xff, 0x9b }, 96 };    /* 64:ff9b::/96 */
static const struct block6 mapped = { { [10] = 0xff, [11] = 0xff }, 96 }; /* ::ffff:0:0/96 */

/* Within 2000::/3; all the rest (::1, fc00::/7, fe80::/10, ff00::/8, 100::/64, …) is outside. */
static const struct block6 special6[] = {
    { { 0x20, 0x01 }, 23 },             /* 2001::/23 protocol assignments, Teredo */
    { { 0x20, 0x01, 0x0d, 0xb8 }, 32 }, /* 2001:db8::/32 documentation */
    { { 0x3f, 0xff }, 20 },             /* 3fff::/20 documentation */
};

static bool has_prefix(const uint8_t *address, const uint8_t *prefix, unsigned bits)
{
    unsigned whole = bits / 8, rest = bits % 8;

    for (unsigned i = 0; i < whole; i++) {
        if (address[i] != prefix[i])
            return false;
    }
    return rest == 0 || ((address[whole] ^ prefix[whole]) >> (8 - rest)) == 0;
}

static bool in_block6(const uint8_t *address, const struct block6 *block)
{
    return has_prefix(address, block->address, block->bits);
}

int address_unwrap(const struct sockaddr *address, uint8_t ret[16])
{
    if (address->sa_family == AF_INET) {
        struct sockaddr_in in;

        memcpy(&in, address, sizeof(in));
        memcpy(ret, &in.sin_addr, 4);
        return AF_INET;
    }
    if (address->sa_family == AF_INET6) {
        struct sockaddr_in6 in6;

        memcpy(&in6, address, sizeof(in6));
        memcpy(ret, &in6.sin6_addr, 16);
        if (!in_block6(ret, &mapped))
            return AF_INET6;
        memmove(ret, ret + 12, 4);
        return AF_INET;
    }
    return 0;
}

static bool is_public4(const uint8_t bytes[4])
{
    uint32_t address =
        (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];

    for (size_t i = 0; i < ARRAY_LEN(special4); i++) {
        if (((address ^ special4[i].address) >> (32 - special4[i].bits)) == 0)
            return false;
    }
    return true;
}

static bool is_public6(const uint8_t bytes[16])
{
    if (in_block6(bytes, &nat64))
        return is_public4(bytes + 12);
    if (in_block6(bytes, &six_to_four))
        return is_public4(bytes + 2);
    if (!in_block6(bytes, &global6))
        return false;
    for (size_t i = 0; i < ARRAY_LEN(special6); i++) {
        if (in_block6(bytes, &special6[i]))
            return false;
    }
    return true;
}

bool address_is_public(const struct sockaddr *address)
{
    uint8_t bytes[16];
    int family = address_unwrap(address, bytes);

    if (family == AF_INET)
        return is_public4(bytes);
    return family == AF_INET6 && is_public6(bytes);
}

/* One to three digits, no leading zero, at most max. */
static bool parse_bits(const char *text, unsigned max, unsigned *ret)
{
    unsigned n = 0;
    size_t len = strspn(text, "0123456789");

    if (len == 0 || len > 3 || text[len] || (len > 1 && text[0] == '0'))
        return false;
    for (size_t i = 0; i < len; i++)
        n = n * 10 + (unsigned)(text[i] - '0');
    *ret = n;
    return n <= max;
}

bool cidr_parse(const char *text, struct cidr *ret)
{
    const char *slash = strchr(text, '/');
    size_t len = slash ? (size_t)(slash - text) : strlen(text);
    struct cidr c = { 0 };
    char address[INET6_ADDRSTRLEN];
    unsigned full;

    if (len >= sizeof(address))
        return false;
    memcpy(address, text, len);
    address[len] = '\0';
    if (inet_pton(AF_INET, address, c.bytes) == 1)
        c.family = AF_INET;
    else if (inet_pton(AF_INET6, address, c.bytes) == 1)
        c.family = AF_INET6;
    else
        return false;
    full = c.family == AF_INET ? 32 : 128;
    c.bits = full;
    if (slash && !parse_bits(slash + 1, full, &c.bits))
        return false;
    if (c.family == AF_INET6 && c.bits >= 96 && in_block6(c.bytes, &mapped)) {
        c.family = AF_INET;
        c.bits -= 96;
        memmove(c.bytes, c.bytes + 12, 4);
        memset(c.bytes + 4, 0, 12);
    }
    for (unsigned i = c.bits; i < 128; i++)
        c.bytes[i / 8] = (uint8_t)(c.bytes[i / 8] & ~(0x80u >> (i % 8)));
    *ret = c;
    return true;
}

bool address_parse(const char *text, struct sockaddr_storage *ret)
{
    struct sockaddr_in in = { .sin_family = AF_INET };
    struct sockaddr_in6 in6 = { .sin6_family = AF_INET6 };

    memset(ret, 0, sizeof(*ret));
    if (inet_pton(AF_INET, text, &in.sin_addr) == 1)
        memcpy(ret, &in, sizeof(in));
    else if (inet_pton(AF_INET6, text, &in6.sin6_addr) == 1)
        memcpy(ret, &in6, sizeof(in6));
    else
        return false;
    return true;
}

bool cidr_contains(const struct cidr *c, const struct sockaddr *address)
{
    uint8_t bytes[16];

    return address_unwrap(address, bytes) == c->family && has_prefix(bytes, c->bytes, c->bits);
}
