/* Which addresses of a virtual network are free: those of its subnets that the network does not keep and no
 * private endpoint has. */
#include <string.h>

#include "common/base/arena.h"
#include "common/base/text.h"
#include "common/json/json.h"
#include "common/network/prefix.h"

#include "controlplane/api/errors.h"
#include "controlplane/control.h"
#include "controlplane/store/network.h"
#include "controlplane/store/resources.h"
#include "controlplane/types/network.h"
#include "controlplane/types/shared.h"
#include "controlplane/types/subnet.h"

#define OFFERED_MAX 5

struct place {
    struct cidr range; /* of the subnet, around the address */
    const char *const *taken;
    size_t taken_count;
};

static bool is_reserved(const struct place *p, uint32_t address)
{
    return address < prefix_first(&p->range) + SUBNET_RESERVED_FIRST ||
           address > prefix_last(&p->range) - SUBNET_RESERVED_LAST;
}

static bool is_free(const struct place *p, uint32_t address)
{
    uint32_t taken;

    if (is_reserved(p, address))
        return false;
    for (size_t i = 0; i < p->taken_count; i++) {
        if (ipv4_parse(p->taken[i], &taken) && taken == address)
            return false;
    }
    return true;
}

static int find_place(struct action_run *run, uint32_t address, struct place *ret,
                      struct error *err)
{
    struct arena *a = run->arena;
    struct resource *subnets = NULL;
    struct subnet_ranges ranges;
    size_t count = 0;

    if (network_below(run->control->db, a, run->resource->uid, type_key(a, &subnet_type), &subnets,
                      &count, err))
        return -1;
    for (size_t i = 0; i < count; i++) {
        if (subnet_ranges(subnets[i].body, subnets[i].name, &ranges, err))
            return -1;
        for (size_t j = 0; j < ranges.count; j++) {
            ret->range = ranges.items[j];
            if (ret->range.family == AF_INET && address >= prefix_first(&ret->range) &&
                address <= prefix_last(&ret->range))
                return network_taken_now(run->control->db, a, subnets[i].uid, &ret->taken,
                                         &ret->taken_count, err);
        }
    }
    return fail(err, &E_ADDRESS_NOWHERE,
                "Private static IP address %s does not belong to the range of any subnet in virtual "
                "network %s.",
                run->query, run->resource->id);
}

/* The next ones, and after the last the first; of as many as are taken and as many as are wanted one is
 * looked at, and those the network keeps. */
static struct json_object *offers(const struct place *p, uint32_t address)
{
    uint32_t first = prefix_first(&p->range), last = prefix_last(&p->range), x = address;
    size_t looks = p->taken_count + OFFERED_MAX + SUBNET_RESERVED_FIRST + SUBNET_RESERVED_LAST;
    struct json_object *list = json_new_array();
    char text[PREFIX_TEXT_MAX];

    for (; looks > 0 && json_count(list) < OFFERED_MAX; looks--) {
        if (is_free(p, x)) {
            ipv4_text(x, text);
            json_add_text(list, text);
        }
        x = x == last ? first : x + 1;
        if (x == address)
            break;
    }
    return list;
}

static int check_address(struct action_run *run, struct error *err)
{
    uint32_t address = 0;
    struct place p;

    if (!run->query || !ipv4_parse(run->query, &address))
        return fail_at(err, &E_INVALID_PARAMETER, "ipAddress",
                       "The parameter 'ipAddress' is an IPv4 address.");
    if (find_place(run, address, &p, err))
        return -1;
    json_set_bool(run->answer, "available", is_free(&p, address));
    json_set(run->answer, "availableIPAddresses",
             is_free(&p, address) ? json_new_array() : offers(&p, address));
    json_set_bool(run->answer, "isPlatformReserved", is_reserved(&p, address));
    return 0;
}

const struct action virtual_network_actions[] = {
    { .name = "CheckIPAddressAvailability",
      .method = "GET",
      .rbac = "checkIpAddressAvailability/read",
      .description = "Whether an address is free, and which others are",
      .query = "ipAddress",
      .run = check_address },
    { 0 },
};
