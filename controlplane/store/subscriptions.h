/* Subscriptions and tenants as ARM shows them, and which provider namespaces a subscription uses.
 * A namespace counts as registered until somebody unregisters it: on one's own installation there
 * is nothing to agree to first. */
#ifndef PORTOLAN_STORE_SUBSCRIPTIONS_H
#define PORTOLAN_STORE_SUBSCRIPTIONS_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/cleanup.h"

struct arena;
struct error;
struct pg_conn;

struct subscription {
    const char *id;
    const char *tenant_id;
    const char *display_name;
    const char *state;
    const char **unregistered; /* namespaces in lower case */
    size_t unregistered_count;
};

struct tenant {
    const char *id;
    const char *display_name;
    const char *default_domain;
};

/* 1/0/-1. id must be a uuid. */
MUST_CHECK int subscription_get(struct pg_conn *conn, struct arena *a, const char *id,
                                struct subscription *ret, struct error *err);
/* Of one tenant, by name. */
MUST_CHECK int subscription_list(struct pg_conn *conn, struct arena *a, const char *tenant_id,
                                 struct subscription **ret, size_t *ret_count, struct error *err);
MUST_CHECK int tenant_get(struct pg_conn *conn, struct arena *a, const char *id,
                          struct tenant *ret, struct error *err); /* 1/0/-1 */
MUST_CHECK int provider_set(struct pg_conn *conn, struct arena *a, const char *subscription_id,
                            const char *namespace_key, bool is_registered, struct error *err);
bool subscription_is_registered(const struct subscription *s, const char *namespace_key);

#endif
