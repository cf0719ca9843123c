/* Rows of key vaults: their keys and secrets with all versions, and vaults that are deleted but not
 * purged. Values are wrapped by the caller: this file never sees one in the clear. The vault's own
 * resource is held by the caller (resource_share) in every transaction that writes. */
#ifndef PORTOLAN_STORE_VAULTS_H
#define PORTOLAN_STORE_VAULTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/cleanup.h"

struct arena;
struct error;
struct json_object;
struct pg_conn;
struct pg_pool;
struct resource;

#define VAULT_TYPE_KEY "microsoft.keyvault/vaults"

enum vault_kind { VAULT_KEY, VAULT_SECRET, VAULT_KIND_MAX };

struct vault_version {
    const char *uid; /* what its wrapped value is bound to; of its object alone */
    const char *object_uid;
    const char *name;
    const char *wrapped;
    struct json_object *shown; /* content type, or the public half and what it is for */
    struct json_object *tags;
    bool is_enabled;
    int64_t not_before_us, expires_us; /* 0: none */
    int64_t created_us, updated_us;
    int64_t deleted_us, purge_us; /* of its object; 0: alive */
    int64_t position;
};

struct vault_query {
    const char *vault_uid;
    enum vault_kind kind;
    const char *name_key;
    bool is_deleted;
};

/* The resource of the vault with that name, in lower case. 1/0/-1 */
MUST_CHECK int vault_by_name(struct pg_conn *conn, struct arena *a, const char *name_key,
                             struct resource **ret, struct error *err);
/* 1 when a vault, or a deleted one, has the name; 0 when it is free. */
MUST_CHECK int vault_name_is_taken(struct pg_pool *db, struct arena *a, const char *name_key,
                                   struct error *err);
/* Principals whose rights are also this one's: itself first, then the groups it is in. */
MUST_CHECK int vault_principals(struct pg_conn *conn, struct arena *a, const char *object_id,
                                const char ***ret, size_t *ret_count, struct error *err);

/* uid NULL: the newest version. 1/0/-1 */
MUST_CHECK int vault_version_get(struct pg_conn *conn, struct arena *a, const struct vault_query *q,
                                 const char *uid, struct vault_version *ret, struct error *err);
/* Makes the object with its first version, or adds a version. v->name as written. Fills times. 1, or
 * 0 when an object of that name is deleted and not purged. */
MUST_CHECK int vault_version_add(struct pg_conn *conn, struct arena *a, const struct vault_query *q,
                                 struct vault_version *v, struct error *err);
/* Attributes, tags and what is shown. */
MUST_CHECK int vault_version_change(struct pg_conn *conn, struct arena *a, struct vault_version *v,
                                    struct error *err);
/* The newest version of each object, by name; after NULL: from the start. */
MUST_CHECK int vault_object_list(struct pg_conn *conn, struct arena *a, const struct vault_query *q,
                                 const char *after, int64_t limit, struct vault_version **ret,
                                 size_t *ret_count, struct error *err);
/* The versions of one object that is not deleted, in the order they were made. */
MUST_CHECK int vault_version_list(struct pg_conn *conn, struct arena *a,
                                  const struct vault_query *q, int64_t after, int64_t limit,
                                  struct vault_version **ret, size_t *ret_count,
                                  struct error *err);
/* The object with all its versions, in their order, out of a backup; `name` as written. 1, or 0 when there is
 * an object of that name, deleted or not. */
MUST_CHECK int vault_object_restore(struct pg_conn *conn, struct arena *a,
                                    const struct vault_query *q, const char *name,
                                    const struct vault_version *versions, size_t count,
                                    struct error *err);
/* 1/0/-1 each. */
MUST_CHECK int vault_object_delete(struct pg_conn *conn, struct arena *a,
                                   const struct vault_query *q, int64_t days, struct error *err);
MUST_CHECK int vault_object_recover(struct pg_conn *conn, struct arena *a,
                                    const struct vault_query *q, struct error *err);
MUST_CHECK int vault_object_purge(struct pg_conn *conn, struct arena *a,
                                  const struct vault_query *q, struct error *err);

/* vault_rotation.c: when keys get their next version by themselves. */

/* The policy, NULL when none was set, and when a version that is made now expires by it, or 0. 1/0/-1 */
MUST_CHECK int vault_rotation_get(struct pg_conn *conn, struct arena *a,
                                  const struct vault_query *q, struct json_object **ret,
                                  int64_t *ret_expires_us, struct error *err);
/* 1/0/-1 */
MUST_CHECK int vault_rotation_set(struct pg_conn *conn, struct arena *a,
                                  const struct vault_query *q, struct json_object *policy,
                                  struct error *err);
struct due_key {
    struct vault_query query;
    const char *vault_key; /* of the vault's resource */
};
/* Those whose next version is due, the longest waiting first. */
MUST_CHECK int vault_rotation_due(struct pg_conn *conn, struct arena *a, int64_t limit,
                                  struct due_key **ret, size_t *ret_count, struct error *err);
/* Takes the key's row, if its next version is due still. 1/0/-1 */
MUST_CHECK int vault_rotation_take(struct pg_conn *conn, struct arena *a,
                                   const struct vault_query *q, struct error *err);

struct deleted_vault {
    const char *uid;
    const char *name;
    const char *name_key;
    const char *id, *key;
    const char *subscription_id;
    const char *location;
    struct json_object *tags;
    struct json_object *body;
    bool is_protected;
    int64_t deleted_us, purge_us;
};
/* Takes the row's lock. 1/0/-1 */
MUST_CHECK int deleted_vault_get(struct pg_conn *conn, struct arena *a, const char *name_key,
                                 struct deleted_vault *ret, struct error *err);
MUST_CHECK int deleted_vault_list(struct pg_conn *conn, struct arena *a,
                                  const char *subscription_id, const char *after, int64_t limit,
                                  struct deleted_vault **ret, size_t *ret_count,
                                  struct error *err);
MUST_CHECK int deleted_vault_purge(struct pg_conn *conn, struct arena *a, const char *uid,
                                   struct error *err);
/* Hands what the deleted vault holds, its body and its tags to the resource new_uid. */
MUST_CHECK int deleted_vault_recover(struct pg_conn *conn, struct arena *a,
                                     const struct deleted_vault *v, const char *new_uid,
                                     struct error *err);
/* Purges what has been deleted for long enough. */
MUST_CHECK int vaults_prune(struct pg_conn *conn, struct arena *a, struct error *err);

#endif
