/* Rows of `resources` and what changes with them in one transaction: operations, events, leases.
 * The only SQL on these tables. state_move() is the only writer of `state`. */
#ifndef PORTOLAN_STORE_RESOURCES_H
#define PORTOLAN_STORE_RESOURCES_H

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

enum resource_state {
    STATE_CREATING,
    STATE_UPDATING,
    STATE_DELETING,
    STATE_SUCCEEDED,
    STATE_FAILED,
    STATE_CANCELED,
    STATE_MAX
};
const char *state_name(enum resource_state state);

enum state_event {
    EVENT_PUT,      /* a new desired state was written */
    EVENT_DELETE,   /* a delete was asked for */
    EVENT_SETTLED,  /* every step is done for the newest generation */
    EVENT_GAVE_UP,  /* a step failed for good */
    EVENT_CANCELED, /* a caller called off what was under way */
    EVENT_MAX
};

/* The transition table: {from, event, to, comment}; anything else is refused. Also printed as a
 * Mermaid diagram by `portolan-controlplane --dump states`. */
struct state_row {
    enum resource_state from;
    enum state_event event;
    enum resource_state to;
    const char *comment;
};
extern const struct state_row state_table[];
extern const size_t state_table_len;
const char *state_event_name(enum state_event event);
/* 1 with *ret_to, or 0 when the table has no such row. */
int state_next(enum resource_state from, enum state_event event, enum resource_state *ret_to);

/* Moves a row by the table; its SQL repeats the `from` states. 1 moved, 0 when the table has no such
 * row for the state it is in, or there is no such resource. */
MUST_CHECK int state_move(struct pg_conn *conn, struct arena *a, const char *uid,
                          enum state_event event, struct error *err);
MUST_CHECK bool state_parse(const char *name, enum resource_state *ret);

#define NEVER_DUE (-1)

struct resource {
    const char *uid;
    const char *key; /* id in lower case */
    const char *id;
    const char *type_key; /* lower case */
    const char *name;
    const char *subscription_id;
    const char *group_key;  /* NULL for what is not in a group; of a group: its own name */
    const char *parent_uid; /* NULL */
    const char *location;   /* normalised ("eastus"); NULL when not tracked */
    const char *global_name; /* NULL; of a registry the first label of its host names */
    struct json_object *tags;        /* JSON kinds are owned by the arena that loaded the row */
    struct json_object *body;
    struct json_object *status;
    struct json_object *system_data;
    enum resource_state state;
    int64_t generation;
    int64_t observed_generation;
    int64_t attempts;
    struct json_object *last_error; /* NULL */
    struct json_object *projected;  /* members that follow from other rows; read only */
    const char *created_at; /* RFC 3339 */
    const char *updated_at;
    const char *revision; /* another one whenever the row is written, leases included */
    bool is_system; /* made by the service: not the callers' to change */
    /* Of one that is written: when the reconcile loop looks at it; NEVER_DUE where no steps are. An update
     * leaves alone what is never due. */
    int64_t due_in_ms;
    const char *unparsed[6]; /* between resource_peek and resource_parse: the JSON columns */
};

/* Look-ups: 1 found, 0 absent, -1 failed. `lock` takes the row FOR UPDATE (inside a transaction). */
MUST_CHECK int resource_by_key(struct pg_conn *conn, struct arena *a, const char *key, bool lock,
                               struct resource **ret, struct error *err);
MUST_CHECK int resource_by_uid(struct pg_conn *conn, struct arena *a, const char *uid, bool lock,
                               struct resource **ret, struct error *err);
/* resource_by_key without its JSON, which resource_parse() reads when it is wanted after all: whoever
 * knows what this revision looks like need not take it apart again. */
MUST_CHECK int resource_peek(struct pg_conn *conn, struct arena *a, const char *key,
                             struct resource **ret, struct error *err);
MUST_CHECK int resource_parse(struct arena *a, struct resource *r, struct error *err);
/* resource_by_key in two halves, for what is asked along with something else: the question for a row and
 * its parent, or NULL, is queued (pg_queue), and each answer read once it is there. Of the parent's JSON
 * there is the body alone. */
MUST_CHECK int resource_ask(struct pg_conn *conn, struct arena *a, const char *key,
                            const char *parent_key, struct pg_result **ret, struct error *err);
MUST_CHECK int resource_told(const struct pg_result *r, struct arena *a, const char *key,
                             struct resource **ret, struct error *err);

/* What a write stands on: its parent, or else its group, which stays as it is until the transaction ends,
 * and the row itself, which nobody else writes meanwhile. A group below which there is a parent is read
 * alone: a delete of it finds what is written meanwhile. */
struct resource_held {
    bool is_there;
    const char *uid, *name;
    enum resource_state state;
    int64_t generation;
    bool is_system;
};
struct resource_hold {
    const char *group_key, *parent_key, *key; /* in: NULL for what it does not have */
    bool is_parent_alone;                     /* in: nobody else stands on the parent meanwhile */
    struct resource_held group, parent, self;
};
MUST_CHECK int resource_hold(struct pg_conn *conn, struct arena *a, struct resource_hold *hold,
                             struct error *err);
/* The same below a parent, queued (pg_queue): uid and generation of parent and self (without a uid: that it
 * is not there) are told instead of asked, and neither they nor the group may be about to go. Where that is
 * not so the transaction fails as one that lost a race, and pg_transact() repeats it. */
MUST_CHECK int resource_hold_expected(struct pg_conn *conn, struct arena *a,
                                      const struct resource_hold *hold, struct error *err);
/* Takes the row FOR SHARE: a parent or group that must not vanish while a child is written. */
MUST_CHECK int resource_share(struct pg_conn *conn, struct arena *a, const char *key,
                              struct resource **ret, struct error *err);

struct resource_filter {
    const char *subscription_id;
    const char *group_key;  /* NULL: any */
    const char *type_key;   /* NULL: any; then only what is on top of a group */
    const char *parent_key; /* NULL: any; with a type */
    const char *name;       /* NULL: any; without case */
    const char *name_part;  /* NULL: any; occurs in the name, without case */
    const char *location;   /* NULL: any; normalised */
    const char *tag_name;   /* NULL: any; without case */
    const char *tag_value;  /* NULL: any */
    const char *after_key;  /* paging by key; NULL: from the start */
    int64_t limit;
    bool is_top_level_only; /* no resource groups and no children */
};
/* A page in order of key, so that pages stay consistent while rows change: at most `limit` references (uid,
 * key, type_key and revision alone), and the key to go on from, or NULL. A page may be short, or empty, and
 * not be the last one. Below a parent that is not there is nothing. */
MUST_CHECK int resource_page(struct pg_conn *conn, struct arena *a,
                             const struct resource_filter *filter, struct resource **ret_items,
                             size_t *ret_count, const char **ret_after, struct error *err);
/* The rest of references, which are in order of key. One that is gone by now has no uid any more. */
MUST_CHECK int resource_load(struct pg_conn *conn, struct arena *a, struct resource **items,
                             size_t count, struct error *err);
/* Up to `limit` children of a type (NULL: of every) in order of type and key. */
MUST_CHECK int resource_children(struct pg_conn *conn, struct arena *a, const char *parent_uid,
                                 const char *type_key, int64_t limit, struct resource **ret_items,
                                 size_t *ret_count, struct error *err);
/* Number of rows below a parent, or in a group (without the group itself). */
MUST_CHECK int resource_count_below(struct pg_conn *conn, struct arena *a, const char *parent_uid,
                                    int64_t *ret, struct error *err);
MUST_CHECK int resource_count_in_group(struct pg_conn *conn, struct arena *a,
                                       const char *subscription_id, const char *group_key,
                                       int64_t *ret, struct error *err);

/* Inserts with state Creating (has_steps) or Succeeded; queued (see pg_queue). E_CONFLICT with target
 * "resources_key_key" or "resources_global_name" when taken. */
MUST_CHECK int resource_insert(struct pg_conn *conn, struct arena *a, const struct resource *r,
                               bool has_steps, struct error *err);
/* Writes tags, body, system_data; generation + 1; EVENT_PUT. The row is locked by the caller. */
MUST_CHECK int resource_update(struct pg_conn *conn, struct arena *a, const struct resource *r,
                               bool has_steps, struct error *err);
/* The same for who has seen, holding the row, that it is not about to go: queued (see pg_queue), and *ret
 * affects one row. */
MUST_CHECK int resource_update_held(struct pg_conn *conn, struct arena *a, const struct resource *r,
                                    bool has_steps, struct pg_result **ret, struct error *err);
/* EVENT_DELETE and generation + 1. 1 moved, 0 when it was already Deleting. */
MUST_CHECK int resource_start_delete(struct pg_conn *conn, struct arena *a, const char *uid,
                                     struct error *err);
/* The same for everything in a group or below a parent that is not Deleting yet; returns how many. */
MUST_CHECK int resource_start_delete_group(struct pg_conn *conn, struct arena *a,
                                           const char *subscription_id, const char *group_key,
                                           int64_t *ret_moved, struct error *err);
MUST_CHECK int resource_start_delete_below(struct pg_conn *conn, struct arena *a,
                                           const char *parent_uid, int64_t *ret_moved,
                                           struct error *err);
/* generation + 1 without a change of state: something outside the body that steps publish changed
 * (a secret, a child), so the row is due at once. 1 done, 0 when it is Deleting or gone. */
MUST_CHECK int resource_touch(struct pg_conn *conn, struct arena *a, const char *uid,
                              struct error *err);
/* Removes the row at once, with what is below it (types without steps). */
MUST_CHECK int resource_remove(struct pg_conn *conn, struct arena *a, const char *uid,
                               struct error *err);
/* Wakes the reconcile loops of every control plane at commit (NOTIFY portolan_work). Queued. */
MUST_CHECK int work_notify(struct pg_conn *conn, struct arena *a, struct error *err);

/* Secrets of a resource, wrapped. 1/0/-1; create keeps an existing one (two copies agree). */
MUST_CHECK int resource_secret_get(struct pg_conn *conn, struct arena *a, const char *uid,
                                   const char *name, const char **ret_wrapped, struct error *err);
MUST_CHECK int resource_secret_create(struct pg_conn *conn, struct arena *a, const char *uid,
                                      const char *name, const char *wrapped, struct error *err);
MUST_CHECK int resource_secret_replace(struct pg_conn *conn, struct arena *a, const char *uid,
                                       const char *name, const char *wrapped, struct error *err);

/* For types' actions and steps, which hold no connection: each is one transaction or statement. */

/* How many children of each type a resource has. */
struct resource_tally {
    const char *type_key;
    int64_t count;
};
MUST_CHECK int resource_tally_below(struct pg_pool *db, struct arena *a, const char *parent_uid,
                                    struct resource_tally **ret, size_t *ret_count,
                                    struct error *err);
/* 1 when the global name is taken in the type, 0 when it is free. */
MUST_CHECK int resource_name_taken(struct pg_pool *db, struct arena *a, const char *type_key,
                                   const char *global_name, struct error *err);
/* Starts the delete of whatever is in a group and not Deleting yet, wakes the reconcile loops, and
 * tells how many rows are left. Rows of plain types (in lower case), whose delete is nobody's work,
 * go at once, children first. */
MUST_CHECK int resource_empty_group(struct pg_pool *db, struct arena *a,
                                    const char *subscription_id, const char *group_key,
                                    const char *const *plain_types, size_t plain_count,
                                    int64_t *ret_left, struct error *err);
/* Creates the secrets a resource lacks (each wrapped by the caller) and reads all the named ones
 * back, in one transaction: two copies agree on whichever was first. */
struct resource_secret {
    const char *name;
    const char *wrapped; /* in: a candidate; out: what is stored */
};
MUST_CHECK int resource_secrets_settle(struct pg_pool *db, struct arena *a, const char *uid,
                                       struct resource_secret *secrets, size_t count,
                                       struct error *err);
/* Replaces one secret and touches its resource, so that steps publish it. 1 done, 0 when the
 * resource is Deleting or gone (nothing changed). */
MUST_CHECK int resource_secret_rotate(struct pg_pool *db, struct arena *a, const char *uid,
                                      const char *name, const char *wrapped, struct error *err);

#endif
