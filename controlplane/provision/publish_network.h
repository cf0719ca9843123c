/* The part of a registry's published settings that says which private links and subnets may reach
 * it. */
#ifndef PORTOLAN_PROVISION_PUBLISH_NETWORK_H
#define PORTOLAN_PROVISION_PUBLISH_NETWORK_H

#include "common/base/cleanup.h"

struct arena;
struct control;
struct error;
struct json_object;
struct region;
struct resource;

/* Puts privateLinks [{id, identity}] of the approved links into settings, and lays over its
 * networkRuleSet.virtualNetworkRules [{id, identity}] those of the rules whose subnet exists and has
 * the service endpoint. */
MUST_CHECK int publish_network(struct control *control, struct arena *a, const char *registry_uid,
                               struct json_object *settings, struct error *err);
/* Puts networkServices {principal: "TrustedService" | "Task"} of those with grants. */
MUST_CHECK int publish_services(struct control *control, struct arena *a,
                                const struct json_object *grants, struct json_object *settings,
                                struct error *err);
/* Publishes the links alone, at once: a rejection holds although nobody reconciles. The registry is as
 * it stands after the change. Nothing when the registry is not published in the region. */
MUST_CHECK int publish_links(struct control *control, struct arena *a,
                             const struct resource *registry, const struct region *region,
                             struct error *err);

#endif
