/* Address ranges: parseCidr, cidrSubnet, cidrHost, for IPv4 and IPv6 alike on 128-bit numbers. */
#include <arpa/inet.h>
#include <inttypes.h>

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/base/text.h"
#include "templates/functions/families.h"
#include "templates/functions/function.h"

__extension__ typedef unsigned __int128 address;

struct range {
    int family;
    int bits; /* 32 or 128 */
    int cidr;
    address network; /* host bits zero */
};

static address host_mask(int host_bits)
{
    return host_bits == 128 ? ~(address)0 : ((address)1 << host_bits) - 1;
}

static int parse_range(struct call *c, struct range *ret, struct error *err)
{
    const struct value *s;
    if (arg_text(c, 0, &s, err) < 0)
        return -1;
    uint8_t bytes[16];
    int64_t cidr = 0;
    const char *slash = strchr(s->text, '/');
    char *host = arena_strndup(c->arena, s->text, slash ? (size_t)(slash - s->text) : 0);
    ret->family = strchr(host, ':') ? AF_INET6 : AF_INET;
    ret->bits = ret->family == AF_INET ? 32 : 128;
    if (!slash || inet_pton(ret->family, host, bytes) != 1 || !text_parse_i64(slash + 1, &cidr) ||
        cidr < 0 || cidr > ret->bits)
        return call_fail(c, err, "the value '%.64s' is not a valid address range.", s->text);
    ret->cidr = (int)cidr;
    ret->network = 0;
    for (int i = 0; i < ret->bits / 8; i++)
        ret->network = ret->network << 8 | bytes[i];
    ret->network &= ~host_mask(ret->bits - ret->cidr);
    return 0;
}

static const char *address_text(struct call *c, const struct range *r, address a)
{
    uint8_t bytes[16];
    char text[INET6_ADDRSTRLEN];
    for (int i = r->bits / 8 - 1; i >= 0; i--, a >>= 8)
        bytes[i] = (uint8_t)a;
    if (!inet_ntop(r->family, bytes, text, sizeof(text)))
        return "";
    return arena_strdup(c->arena, text);
}

int fn_parse_cidr(struct call *c, const struct value **ret, struct error *err)
{
    struct range r;
    if (parse_range(c, &r, err) < 0)
        return -1;
    int host_bits = r.bits - r.cidr;
    address last = r.network | host_mask(host_bits);
    address all = r.bits == 128 ? ~(address)0 : ((address)1 << 32) - 1;
    address mask = all & ~host_mask(host_bits);
    bool is_v4 = r.family == AF_INET;
    bool has_ends = is_v4 && host_bits > 1; /* network and broadcast are not usable */
    struct object_builder b;
    object_start(&b, c->arena, 6);
    object_puts(&b, "network", value_text(c->arena, address_text(c, &r, r.network)));
    object_puts(&b, "netmask", value_text(c->arena, address_text(c, &r, mask)));
    if (is_v4)
        object_puts(&b, "broadcast", value_text(c->arena, address_text(c, &r, last)));
    object_puts(&b, "firstUsable",
                value_text(c->arena, address_text(c, &r, r.network + (has_ends ? 1 : 0))));
    object_puts(&b, "lastUsable",
                value_text(c->arena, address_text(c, &r, last - (has_ends ? 1 : 0))));
    object_puts(&b, "cidr", value_int(c->arena, r.cidr));
    *ret = object_end(&b);
    return 0;
}

int fn_cidr_subnet(struct call *c, const struct value **ret, struct error *err)
{
    struct range r;
    int64_t cidr, index;
    if (parse_range(c, &r, err) < 0 || arg_int(c, 1, &cidr, err) < 0 ||
        arg_int(c, 2, &index, err) < 0)
        return -1;
    if (cidr < r.cidr || cidr > r.bits)
        return call_fail(c, err,
                         "the new prefix length '%" PRId64 "' must be between '%d' and "
                         "'%d'.",
                         cidr, r.cidr, r.bits);
    int shift = r.bits - (int)cidr;
    address all = r.bits == 128 ? ~(address)0 : ((address)1 << 32) - 1;
    address most = 0;
    if (shift != r.bits)
        most = (all - r.network) >> shift;
    if (index < 0 || (address)index > most)
        return call_fail(c, err, "the subnet index '%" PRId64 "' is out of range.", index);
    address network = r.network;
    if (shift != r.bits)
        network += (address)index << shift;
    char *text = arena_printf(c->arena, "%s/%" PRId64, address_text(c, &r, network), cidr);
    *ret = value_text(c->arena, text);
    return 0;
}

int fn_cidr_host(struct call *c, const struct value **ret, struct error *err)
{
    struct range r;
    int64_t index;
    if (parse_range(c, &r, err) < 0 || arg_int(c, 1, &index, err) < 0)
        return -1;
    address last = host_mask(r.bits - r.cidr);
    if (r.family == AF_INET && r.bits - r.cidr > 1)
        last--; /* the broadcast address is no host */
    if (index < 0 || (address)index + 1 > last)
        return call_fail(c, err, "the host index '%" PRId64 "' is outside the address range.",
                         index);
    address host = (address)index;
    host += r.network + 1;
    *ret = value_text(c->arena, address_text(c, &r, host));
    return 0;
}
