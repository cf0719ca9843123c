/* Rows in relation to others: how many a parent has, which name which, and the change of a row from
 * outside the write pipeline. */
#ifndef PORTOLAN_STORE_RELATED_H
#define PORTOLAN_STORE_RELATED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/cleanup.h"

struct arena;
struct error;
struct json_object;
struct pg_conn;
struct pg_pool;
struct pg_result;
struct resource;
struct resource_secret;

/* How many children of a type a parent has (decision 0020). What others add and have not committed yet is
 * not in it, unless the caller holds the parent's row alone, or the key of the counter. */
MUST_CHECK int resource_usage(struct pg_conn *conn, struct arena *a, const char *parent_uid,
                              const char *type_key, int64_t *ret, struct error *err);
/* The same, once others that hold the key have ended; until this transaction ends, nobody else gets it. For
 * those who do not hold it shared. */
MUST_CHECK int resource_usage_alone(struct pg_conn *conn, struct arena *a, const char *parent_uid,
                                    const char *type_key, int64_t *ret, struct error *err);
/* Whether there is room for one more below a limit, whoever else adds meanwhile: asked before it is inserted
 * (queued, see pg_queue), told before the transaction commits. Far from the limit all who add hold the key
 * of the counter shared: they are at most one a connection of the server. When that leaves it unsure, ask
 * again alone, in another transaction: two who would exchange a shared key wait for each other. */
enum room { ROOM_NONE, ROOM_ENOUGH, ROOM_UNSURE };
MUST_CHECK int resource_room_ask(struct pg_conn *conn, struct arena *a, const char *parent_uid,
                                 const char *type_key, bool is_alone, struct pg_result **ret,
                                 struct error *err);
enum room resource_room_told(const struct pg_result *r, int64_t limit, bool is_alone);
/* Both at once, where the limit is expected to be far: a transaction that finds it near fails as one that
 * lost a race, and pg_transact() repeats it. */
MUST_CHECK int resource_room_expected(struct pg_conn *conn, struct arena *a, const char *parent_uid,
                                      const char *type_key, int64_t limit, struct error *err);
/* How many children of a type have these members in their status. */
MUST_CHECK int resource_count_like(struct pg_pool *db, struct arena *a, const char *parent_uid,
                                   const char *type_key, const struct json_object *like,
                                   int64_t *ret, struct error *err);

/* Makes what a row names exactly these. */
MUST_CHECK int resource_links_replace(struct pg_conn *conn, struct arena *a, const char *uid,
                                      const char *const *to_uids, size_t count,
                                      struct error *err);
/* 1 with the id of a row that names this one and is not being deleted, 0 when there is none. */
MUST_CHECK int resource_link_user(struct pg_conn *conn, struct arena *a, const char *uid,
                                  const char **ret_id, struct error *err);
/* Of these uids, those that are gone, go, or have a newer generation than the one beside them. */
MUST_CHECK int resource_outdated(struct pg_conn *conn, struct arena *a, const char *const *uids,
                                 const int64_t *generations, size_t count, const char ***ret,
                                 size_t *ret_count, struct error *err);
/* Made at least once and not being deleted, of a type, at or below a scope ("": everywhere), by key
 * from after_key ("": the first) on: uid, key, subscription and location of each. */
MUST_CHECK int resource_at_or_below(struct pg_conn *conn, struct arena *a, const char *type_key,
                                    const char *scope_key, const char *after_key, int64_t limit,
                                    struct resource **ret, size_t *ret_count, struct error *err);
/* Rows of a statement like it. */
void resource_read_places(struct arena *a, const struct pg_result *r, struct resource **ret,
                          size_t *ret_count);
/* Those of the uids that are in the subscription: uid and key of each, by uid. */
MUST_CHECK int resource_still_in(struct pg_conn *conn, struct arena *a, const char *subscription_id,
                                 const char *const *uids, size_t count, struct resource **ret,
                                 size_t *ret_count, struct error *err);
/* 1 with the name of a child of the type at the location, other than except_uid. */
MUST_CHECK int resource_child_at(struct pg_conn *conn, struct arena *a, const char *parent_uid,
                                 const char *type_key, const char *location,
                                 const char *except_uid, const char **ret_name, struct error *err);
/* Inserts a row unless its key is taken; with has_steps it becomes work. 1 inserted, 0 not. */
MUST_CHECK int resource_insert_absent(struct pg_conn *conn, struct arena *a,
                                      const struct resource *r, bool has_steps, struct error *err);

/* Rows of these types whose body gives them the user-assigned identity, in order. */
struct identity_user {
    const char *id, *name, *type_key, *group_key, *subscription_id, *subscription_name;
};
MUST_CHECK int resource_identity_users(struct pg_pool *db, struct arena *a, const char *identity_key,
                                       const char *const *type_keys, size_t type_count,
                                       struct identity_user **ret, size_t *ret_count,
                                       struct error *err);

/* One change of a stored row, for actions: the row is locked, `edit` changes r->body and r->status
 * (the latter only of types without steps, whose passes write it) and fills secrets[].wrapped (it may
 * run several times), and all is written in one transaction with the generation moved and the row
 * due. 1 done, 0 when there is no such row or it is Deleting. */
struct resource_edit {
    const char *key;
    int (*edit)(void *ctx, struct arena *a, struct resource *r, struct error *err);
    void *ctx;
    struct resource_secret *secrets;
    size_t secret_count;
};
MUST_CHECK int resource_edit(struct pg_pool *db, struct arena *a, const struct resource_edit *edit,
                             struct resource **ret, struct error *err);

#endif
