/* The tiers as data. Source: Azure Container Registry documentation, "Service tier features and
 * limits" (learn.microsoft.com/azure/container-registry/container-registry-skus) and the Premium
 * answer of listUsages, both as of 2026; cache rules from "Artifact cache" (1,000 a registry),
 * connected registries from "What is a connected registry" (50 a registry); request rates from
 * "Registry throttling limits" (March 2026), which hold per replica. Where older copies
 * differ (IP rules 100, storage 20 and 40 TiB) the newest stands. */
#include "controlplane/types/tiers.h"

#include <stddef.h>

#define GIB (INT64_C(1) << 30)
#define TIB (INT64_C(1) << 40)
#define RATE "PerMinute"
#define LIMITS(basic, standard, premium)                                                           \
    { [SKU_BASIC] = basic, [SKU_STANDARD] = standard, [SKU_PREMIUM] = premium }

const struct tier_row tier_table[TIER_LIMIT_MAX] = {
    [TIER_INCLUDED_BYTES] = { "storage included", "Size", "Bytes", NULL,
                              LIMITS(10 * GIB, 100 * GIB, 500 * GIB) },
    [TIER_STORAGE_BYTES] = { "storage at most", NULL, "Bytes", NULL,
                             LIMITS(40 * TIB, 40 * TIB, 100 * TIB) },
    [TIER_WEBHOOKS] = { "webhooks", "Webhooks", "Count", "webhooks", LIMITS(2, 10, 500) },
    [TIER_REPLICATIONS] = { "regions, the home one counted", "Geo-replications", "Count",
                            "replications", LIMITS(0, 0, TIER_UNLIMITED) },
    [TIER_IP_RULES] = { "IP rules", "IPRules", "Count", NULL, LIMITS(0, 0, TIER_IP_RULES_MAX) },
    [TIER_VNET_RULES] = { "virtual network rules", "VNetRules", "Count", NULL,
                          LIMITS(0, 0, TIER_VNET_RULES_MAX) },
    [TIER_PRIVATE_ENDPOINTS] = { "private endpoints", "PrivateEndpointConnections", "Count",
                                 "privateendpointconnections", LIMITS(0, 0, 200) },
    [TIER_SCOPE_MAPS] = { "scope maps of one's own", "ScopeMaps", "Count", "scopemaps",
                          LIMITS(100, 500, 50000) },
    [TIER_TOKENS] = { "tokens", "Tokens", "Count", "tokens", LIMITS(100, 500, 50000) },
    [TIER_CACHE_RULES] = { "cache rules", NULL, "Count", "cacherules", LIMITS(1000, 1000, 1000) },
    [TIER_CONNECTED_REGISTRIES] = { "connected registries", NULL, "Count", "connectedregistries",
                                    LIMITS(0, 0, 50) },
    [TIER_READS] = { "reads", NULL, RATE, NULL, LIMITS(10000, 10000, 20000) },
    [TIER_READS_OF_ONE] = { "reads of one identity", NULL, RATE, NULL, LIMITS(5000, 5000, 10000) },
    [TIER_WRITES] = { "writes", NULL, RATE, NULL, LIMITS(2000, 2000, 4000) },
    [TIER_WRITES_OF_ONE] = { "writes of one identity", NULL, RATE, NULL, LIMITS(1000, 1000, 2000) },
    [TIER_DELETES] = { "deletes", NULL, RATE, NULL, LIMITS(1000, 1000, 4000) },
    [TIER_DELETES_OF_ONE] = { "deletes of one identity", NULL, RATE, NULL, LIMITS(500, 500, 2000) },
    [TIER_REFERRERS] = { "listings of referrers", NULL, RATE, NULL, LIMITS(500, 500, 2000) },
    [TIER_REFERRERS_OF_ONE] = { "listings of referrers of one identity", NULL, RATE, NULL,
                                LIMITS(250, 250, 1000) },
    [TIER_SIGN_INS] = { "tokens issued", NULL, RATE, NULL, LIMITS(10000, 10000, 20000) },
};

int64_t tier_limit(enum tier_limit limit, enum sku sku)
{
    if (limit == TIER_NO_LIMIT || sku == SKU_NONE)
        return TIER_UNLIMITED;
    return tier_table[limit].limit[sku];
}
