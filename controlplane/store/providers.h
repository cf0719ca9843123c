/* Rows of other OpenID providers that people may sign in at, of who their people are here, and of
 * the browsers that are there right now. Ids must be uuids: callers check first. */
#ifndef PORTOLAN_STORE_PROVIDERS_H
#define PORTOLAN_STORE_PROVIDERS_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/cleanup.h"

struct arena;
struct error;
struct pg_conn;

struct provider {
    const char *id, *tenant_id;
    const char *display_name;
    const char *issuer;
    const char *client_id;      /* what we are called there */
    const char *wrapped_secret; /* with provider_context() */
    const char *scope;
};

/* The context in which a provider's secret is wrapped. */
char *provider_context(struct arena *a, const char *id);
/* In order of their names; id NULL: all. */
MUST_CHECK int provider_list(struct pg_conn *conn, struct arena *a, const char *tenant_id,
                             const char *id, struct provider **ret, size_t *ret_count,
                             struct error *err);
/* E_CONFLICT when the issuer is trusted already. */
MUST_CHECK int provider_insert(struct pg_conn *conn, struct arena *a, const struct provider *p,
                               struct error *err);
/* All but the issuer. */
MUST_CHECK int provider_update(struct pg_conn *conn, struct arena *a, const struct provider *p,
                               struct error *err);
/* With the links to its people. 1/0/-1 */
MUST_CHECK int provider_delete(struct pg_conn *conn, struct arena *a, const char *tenant_id,
                               const char *id, struct error *err);

/* What a person is called at a provider. */
struct user_identity {
    const char *issuer, *subject;
};
MUST_CHECK int user_identities(struct pg_conn *conn, struct arena *a, const char *principal_id,
                               struct user_identity **ret, size_t *ret_count, struct error *err);
/* These and no others. E_CONFLICT when one is another person's; E_INVALID when an issuer is not
 * that of a provider. */
MUST_CHECK int user_identities_set(struct pg_conn *conn, struct arena *a, const char *tenant_id,
                                   const char *principal_id, const struct user_identity *list,
                                   size_t count, struct error *err);
/* Whose identity it is. 1/0/-1 */
MUST_CHECK int user_by_identity(struct pg_conn *conn, struct arena *a, const char *tenant_id,
                                const struct user_identity *who, const char **ret_principal_id,
                                struct error *err);

/* A browser at a provider. */
struct external_sign_in {
    const char *hash;
    const char *provider_id;
    const char *target;    /* the page it came from: path and query */
    const char *user_code; /* of a device, or NULL */
};
MUST_CHECK int external_add(struct pg_conn *conn, struct arena *a, const struct external_sign_in *s,
                            int64_t life_s, struct error *err);
/* One that is not back yet. 1/0/-1 */
MUST_CHECK int external_get(struct pg_conn *conn, struct arena *a, const char *hash,
                            struct external_sign_in *ret, struct error *err);
/* Back: as whom. 1 when it was not back before. */
MUST_CHECK int external_known(struct pg_conn *conn, struct arena *a, const char *hash,
                              const char *principal_id, struct error *err);
/* Spends it at the page it came from. 1/0/-1 */
MUST_CHECK int external_spend(struct pg_conn *conn, struct arena *a, const char *hash,
                              const char *target, const char **ret_principal_id, struct error *err);

#endif
