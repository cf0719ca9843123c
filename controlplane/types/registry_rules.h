/* The parts of the registry type that have their own files. */
#ifndef PORTOLAN_TYPES_REGISTRY_RULES_H
#define PORTOLAN_TYPES_REGISTRY_RULES_H

#include "controlplane/types/type.h"

struct registry;

extern const struct action registry_actions[];
/* Which network rule would decide for an address: registry_network.c. */
extern const struct field registry_network_request[];
int registry_check_network(struct action_run *run, struct error *err);
/* Which rule decides what an identity may do on a repository: registry_access.c. */
extern const struct field registry_access_request[];
int registry_check_access(struct action_run *run, struct error *err);
/* Images from other registries: registry_import.c. */
extern const struct field registry_import_request[];
int registry_import(struct action_run *run, struct error *err);
/* Runs of tasks, and where their sources go: run_schedule.c. */
extern const struct field registry_run_request[];
int registry_schedule_run(struct action_run *run, struct error *err);
int registry_source_url(struct action_run *run, struct error *err);
/* Values of IP and subnet rules. */
MUST_CHECK int registry_check_rules(const struct registry *now, struct error *err);

MUST_CHECK int registry_precheck(struct arena *a, const struct json_object *body,
                                 struct error *err);
MUST_CHECK int registry_validate(struct arena *a, const void *was, const void *now,
                                 struct error *err);
void registry_stamp(struct arena *a, const struct json_object *was, struct json_object *now,
                    const char *time);
/* The subnets of new rules are there and have the service endpoint; which ones the rules name is noted:
 * registry_subnets.c. */
MUST_CHECK int registry_check_subnets(const struct admission *admission, struct error *err);
/* The subnets that the rules of a registry's body name, in either spelling: lower case, in order. */
const char **registry_named_subnets(struct arena *a, const struct json_object *body, size_t *ret_count);
MUST_CHECK int registry_admit(const struct admission *admission, struct error *err);
int registry_name_taken(const struct resource *resource, struct error *err);

#endif
