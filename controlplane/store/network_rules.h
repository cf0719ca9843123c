/* What a registry's network rules rest on: its approved private links, and the subnets that are what
 * its rules say. */
#ifndef PORTOLAN_STORE_NETWORK_RULES_H
#define PORTOLAN_STORE_NETWORK_RULES_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/cleanup.h"

struct arena;
struct error;
struct json_object;
struct pg_conn;
struct resource;

struct rule_origin {
    const char *id;           /* of the private endpoint or subnet */
    const char *uid;          /* of the private link or subnet */
    const char *registry_uid; /* of a private link */
};

/* The registries' private links in state Approved. */
MUST_CHECK int rules_links(struct pg_conn *conn, struct arena *a, const char *const *registry_uids,
                           size_t count, struct rule_origin **ret, size_t *ret_count,
                           struct error *err);
/* uid, generation and body of those of the registries that are there; of the body only the network rules. */
MUST_CHECK int rules_written(struct pg_conn *conn, struct arena *a,
                             const char *const *registry_uids, size_t count,
                             struct resource **ret, size_t *ret_count, struct error *err);
/* Those of the subnets that exist and have the service endpoint of container registries; ids in
 * lower case. */
MUST_CHECK int rules_subnets(struct pg_conn *conn, struct arena *a, const char *const *ids,
                             size_t count, struct rule_origin **ret, size_t *ret_count,
                             struct error *err);
/* Those of the principals that are the system-assigned identity of a service or task: id is the
 * principal, uid the key of the type whose resource it belongs to. */
MUST_CHECK int rules_services(struct pg_conn *conn, struct arena *a, const char *const *principals,
                              size_t count, struct rule_origin **ret, size_t *ret_count,
                              struct error *err);
/* Registries with a rule for the subnet or for any subnet of the network `key`, by key from after_key ("":
 * the first) on: uid, key, subscription and location of each. */
MUST_CHECK int rules_naming(struct pg_conn *conn, struct arena *a, const char *key,
                            const char *after_key, int64_t limit, struct resource **ret,
                            size_t *ret_count, struct error *err);
/* Makes these the subnets that the registry's rules name (ids in lower case), which is what rules_naming()
 * and rules_wake() go by. Inside the transaction that changes the rules. */
MUST_CHECK int rules_named_put(struct pg_conn *conn, struct arena *a, const char *registry_uid,
                               const char *const *ids, size_t count, struct error *err);
/* Registries with rules for subnets are due at once. */
MUST_CHECK int rules_wake(struct pg_conn *conn, struct arena *a, struct error *err);

#endif
