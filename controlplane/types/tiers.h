/* Service tiers: what a registry of each SKU may have, in one table. Quotas are enforced and
 * listUsages is answered from it. */
#ifndef PORTOLAN_TYPES_TIERS_H
#define PORTOLAN_TYPES_TIERS_H

#include <stdint.h>

enum sku { SKU_NONE, SKU_BASIC, SKU_STANDARD, SKU_PREMIUM, SKU_MAX };

enum tier_limit {
    TIER_NO_LIMIT,
    TIER_INCLUDED_BYTES,
    TIER_STORAGE_BYTES,
    TIER_WEBHOOKS,
    TIER_REPLICATIONS,
    TIER_IP_RULES,
    TIER_VNET_RULES,
    TIER_PRIVATE_ENDPOINTS,
    TIER_SCOPE_MAPS,
    TIER_TOKENS,
    TIER_CACHE_RULES,
    TIER_CONNECTED_REGISTRIES,
    TIER_READS, /* requests a minute: of the registry, then of one identity */
    TIER_READS_OF_ONE,
    TIER_WRITES,
    TIER_WRITES_OF_ONE,
    TIER_DELETES,
    TIER_DELETES_OF_ONE,
    TIER_REFERRERS,
    TIER_REFERRERS_OF_ONE,
    TIER_SIGN_INS,
    TIER_LIMIT_MAX
};

#define TIER_UNLIMITED (-1)
#define TIER_IP_RULES_MAX 200 /* of any SKU: the table's own bound of the list */
#define TIER_VNET_RULES_MAX 100

struct tier_row {
    const char *what;
    const char *usage; /* its name in listUsages; NULL: not listed */
    const char *unit;
    const char *child; /* type below registries that is counted, in lower case; NULL: none */
    int64_t limit[SKU_MAX]; /* TIER_UNLIMITED, or 0 where the SKU has none of it */
};

/* Indexed by enum tier_limit, in the order listUsages answers. */
extern const struct tier_row tier_table[TIER_LIMIT_MAX];

/* TIER_UNLIMITED for TIER_NO_LIMIT and for SKU_NONE. */
int64_t tier_limit(enum tier_limit limit, enum sku sku);

#endif
