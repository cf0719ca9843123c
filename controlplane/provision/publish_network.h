/* The part of a registry's published settings that says which private links and subnets may reach
 * it. */
#ifndef PORTOLAN_PROVISION_PUBLISH_NETWORK_H
#define PORTOLAN_PROVISION_PUBLISH_NETWORK_H

#include <stdbool.h>

#include "common/base/cleanup.h"

struct arena;
struct control;
struct error;
struct json_object;
struct region;
struct resource;
struct step_run;

/* Puts privateLinks [{id, identity}] of the approved links into settings, and lays over its
 * networkRuleSet.virtualNetworkRules [{id, identity}] those of the registry's rules whose subnet exists and
 * has the service endpoint. Who writes them locks the published registry first: nobody who read them earlier
 * writes after this. */
MUST_CHECK int publish_network(struct control *control, struct arena *a,
                               const struct resource *registry, struct json_object *settings,
                               struct error *err);
/* Whether all that differs between two bodies of a registry is its rules. */
bool publish_is_rules(const struct json_object *was, const struct json_object *now);
/* Publishes them and nothing else, from all of its settings (publish_settings). 1 done; 0 when a newer state
 * is published, or none. */
MUST_CHECK int publish_rules(struct control *control, struct arena *a, const struct region *region,
                             const struct resource *registry, const struct json_object *settings,
                             struct error *err);
/* Puts networkServices {principal: "TrustedService" | "Task"} of those with grants. */
MUST_CHECK int publish_services(struct control *control, struct arena *a,
                                const struct json_object *grants, struct json_object *settings,
                                struct error *err);
/* Publishes the links and subnets of a registry, those alone and at once, so that a rejection or a
 * removal holds although nobody reconciles. */
MUST_CHECK int publish_origins_of(struct control *control, struct arena *a,
                                  const char *registry_uid, struct error *err);
/* The same for a private endpoint connection that was just written or removed. */
int publish_links(struct step_run *run, struct error *err);
/* The same for all registries with rules for a subnet that was just written or removed, or for any of a
 * network's, however many there are. */
int publish_subnets(struct step_run *run, struct error *err);

#endif
