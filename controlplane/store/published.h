/* The published projection in a region's database: what a registry's data planes know of it, and
 * what its registries hold. Every call takes a connection to that region's database. Writers lock
 * the registry's row first (published_lock), so that two control planes publish one after the
 * other, and end with published_bump when anything changed: data planes watch the generation. */
#ifndef PORTOLAN_STORE_PUBLISHED_H
#define PORTOLAN_STORE_PUBLISHED_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/cleanup.h"

struct arena;
struct error;
struct json_object;
struct pg_conn;

struct published_registry {
    const char *id;
    const char *name;
    const char *login_server;
    int64_t generation;          /* read only */
    int64_t resource_generation; /* of the desired state it was made from */
    struct json_object *settings;
    const char *wrapped_signing_key;
    const char *wrapped_data_key;
};

/* 1 found and locked until the transaction ends, 0 absent. */
MUST_CHECK int published_lock(struct pg_conn *conn, struct arena *a, const char *registry_id,
                              struct published_registry *ret, struct error *err);
/* 1 inserted, 0 when it is there already. */
MUST_CHECK int published_insert(struct pg_conn *conn, struct arena *a,
                                const struct published_registry *r, struct error *err);
/* All but the generation. */
MUST_CHECK int published_update(struct pg_conn *conn, struct arena *a,
                                const struct published_registry *r, struct error *err);
/* Lays members over the settings, as one state of the registry has them, and bumps where that changes any. 1
 * done; 0 when a newer state is published, or none. */
MUST_CHECK int published_rules_put(struct pg_conn *conn, struct arena *a, const char *registry_id,
                                   int64_t resource_generation, const struct json_object *rules,
                                   struct error *err);
MUST_CHECK int published_bump(struct pg_conn *conn, struct arena *a,
                              const char *const *registry_ids, size_t count, struct error *err);

struct published_credential {
    const char *username;
    const char *password_name;
    const char *hash;
    struct json_object *permissions;
};
/* kind is "admin" or "token". */
MUST_CHECK int published_credentials(struct pg_conn *conn, struct arena *a,
                                     const char *registry_id, const char *kind,
                                     struct published_credential **ret, size_t *ret_count,
                                     struct error *err);
MUST_CHECK int published_credential_put(struct pg_conn *conn, struct arena *a,
                                        const char *registry_id, const char *kind,
                                        const struct published_credential *c, struct error *err);
MUST_CHECK int published_credential_remove(struct pg_conn *conn, struct arena *a,
                                           const char *registry_id, const char *username,
                                           const char *password_name, struct error *err);

struct published_key {
    const char *kid;
    const char *public_pem;
    const char *verifies_until;
};
/* Makes the region's directory keys exactly these; returns how many rows changed. */
MUST_CHECK int published_keys_replace(struct pg_conn *conn, struct arena *a,
                                      const struct published_key *keys, size_t count,
                                      int64_t *ret_changed, struct error *err);

/* Bytes of stored content. 0 when nothing is published. */
MUST_CHECK int published_size(struct pg_conn *conn, struct arena *a, const char *registry_id,
                              int64_t *ret_bytes, struct error *err);
/* Ids of what was last published at least min_age_s ago. */
MUST_CHECK int published_ids(struct pg_conn *conn, struct arena *a, int64_t min_age_s,
                             const char ***ret, size_t *ret_count, struct error *err);
/* Deletes up to `limit` rows of a registry's content, the registry itself last. Returns how many in
 * *ret_removed; 0 when nothing of the registry is left. */
MUST_CHECK int published_drop(struct pg_conn *conn, struct arena *a, const char *registry_id,
                              int64_t limit, int64_t *ret_removed, struct error *err);

#endif
