/* What a resource type is: one const table per file in types/, listed in all.c. From it come
 * decoding, defaults (on write and on read), validation, SKU gates, quotas, RBAC action names,
 * /operations, provider metadata and documentation. The engine (api/, reconcile/) knows only this
 * struct, never a concrete type. A type's own code is validate(), its steps and its actions. */
#ifndef PORTOLAN_TYPES_TYPE_H
#define PORTOLAN_TYPES_TYPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/cleanup.h"
#include "common/json/fields.h"

#include "controlplane/types/tiers.h"

struct arena;
struct error;
struct json_object;
struct operation;
struct pg_conn;
struct pg_result;
struct resource;
struct caller;
struct control; /* the running control plane: controlplane/control.h */

/* In `struct field`: gate is the lowest SKU that may set another value than the default. since is
 * the first api-version that shows the member (older versions neither show nor accept it; what is
 * stored survives their PUT): "2021-09-01", or first preview and first stable one joined by a slash
 * ("2020-11-01-preview/2021-09-01"), or a preview alone while no stable version has it. */
bool since_shows(const char *since, const char *api_version); /* since NULL: always */
const char *sku_text(enum sku sku);

/* Where a type's resources live. */
enum type_scope {
    SCOPE_SUBSCRIPTION, /* resource groups */
    SCOPE_GROUP,        /* …/resourceGroups/{g}/providers/{type}/{name} */
    SCOPE_CHILD,        /* below a parent resource */
    SCOPE_MAX
};

#define LRO_PUT (1u << 0)    /* 201/200 with Azure-AsyncOperation while steps run */
#define LRO_PATCH (1u << 1)
#define LRO_DELETE (1u << 2) /* 202 with Location */

/* What a step says after it observed, then acted. */
enum verdict {
    VERDICT_DONE,
    VERDICT_WAIT,   /* not yet: ask again after step_run.retry_ms */
    VERDICT_FAILED, /* *err filled; retried with back-off while E_UNAVAILABLE, E_TIMEOUT or
                       E_INTERNAL, final otherwise */
    VERDICT_MAX
};

/* One pass of the step runner over one resource, under its lease. */
struct step_run {
    struct arena *arena;
    struct control *control;
    const struct resource *resource; /* as claimed; body complete with defaults */
    const struct resource *parent;   /* of what is hastened, for a child; else NULL */
    const void *decoded;             /* the type's struct, from body */
    struct json_object *status;      /* owned by the arena; steps change it, the runner stores it */
    int64_t retry_ms;                /* set with VERDICT_WAIT; default 1,000 */
    bool (*still_ours)(struct step_run *run); /* heartbeat: false when the lease is lost; steps ask
                                                 before an effect after something slow */
};

/* Steps run in table order on create and update, undo in reverse on delete; each observes first,
 * then acts, and may be run again at any time: after a crash, a lost lease, or for drift. */
struct step {
    const char *name; /* NULL ends the table */
    enum verdict (*ensure)(struct step_run *run, struct error *err);
    enum verdict (*undo)(struct step_run *run, struct error *err); /* NULL: nothing to undo */
};

/* What is known of an action that goes on after its answer. */
struct action_end {
    bool is_over;
    struct json_object *failure; /* {code, message}, the arena's; NULL: it succeeded */
};

/* A POST (or GET) action on a resource, or on the subscription when is_on_subscription. */
struct action_run {
    struct arena *arena;
    struct control *control;
    const struct caller *caller;
    const char *api_version;
    const char *subscription_id;
    const struct resource *resource; /* NULL for subscription actions */
    const struct resource *parent;   /* of what has one, where the method is POST; else NULL */
    const void *decoded;
    struct json_object *body; /* checked against `request`; NULL when there is none */
    const char *query;        /* the value of the parameter; NULL: it is not there */
    struct json_object *answer; /* to fill: owned by the arena; NULL gives an empty 200 */
    const char *operation_id;   /* of an action with `settle`; else NULL */
};

struct action {
    const char *name;   /* last path segment, "listCredentials"; NULL ends the table */
    const char *method; /* "POST" or "GET" */
    const char *rbac;   /* below the type's name: "listCredentials/action"; full when it has a dot
                           before its first slash */
    const char *description;
    const struct field *request; /* NULL: body ignored */
    const char *query; /* the one parameter of the query that it takes; NULL: none */
    const char *const *api_versions; /* NULL: the type's */
    bool is_on_subscription;
    int (*run)(struct action_run *run, struct error *err);
    /* Of an action that goes on: it is answered with 202 and an operation, run() only begins it, and
     * this looks, again and again, whether it is over. NULL: it is over when run() returns. */
    int (*settle)(struct control *control, struct arena *a, const struct operation *op,
                  struct action_end *ret, struct error *err);
};

/* An RBAC action that the data plane checks; here so that /operations tells of it. */
struct rbac_row {
    const char *name; /* below the type's name: "pull/read"; NULL ends the table */
    const char *description;
    bool is_data;
};

/* A change of one resource, inside its transaction and after the row was written (of a delete:
 * before). The row is locked, and so is its parent against change. */
enum change { CHANGE_CREATE, CHANGE_UPDATE, CHANGE_DELETE, CHANGE_MAX };
struct admission {
    struct pg_conn *conn;
    struct arena *arena;
    struct control *control;
    enum change change;
    const struct caller *caller;
    const struct resource *was;      /* NULL on create */
    const struct resource *resource; /* as it will be; of a delete: as it is */
    const struct resource *parent;   /* NULL at the top, and of a delete; of its JSON, the body */
    const void *decoded;             /* NULL of a delete */
    /* Where a type puts the answer of a statement that affects rows only if there is something to hasten. */
    struct pg_result **hastens;
};

/* A word that the $filter of a type's list knows, and the member it means. */
struct filter_member {
    const char *word; /* NULL ends the table */
    const char *path;
};

/* Methods that a type does not answer. */
#define REFUSES_PUT (1u << 0)
#define REFUSES_PATCH (1u << 1)
#define REFUSES_DELETE (1u << 2)
#define REFUSES_WRITES (REFUSES_PUT | REFUSES_PATCH | REFUSES_DELETE)

struct resource_type {
    const char *name; /* "Microsoft.ContainerRegistry/registries", canonical spelling */
    const char *rbac; /* what RBAC actions call it where that differs from name; NULL: name */
    const char *description;
    enum type_scope scope;
    const struct resource_type *parent; /* for SCOPE_CHILD */
    const char *pattern; /* extended regular expression of the whole name */
    size_t name_min, name_max;
    const char *pattern_text; /* what the pattern means, for the error */
    bool is_tracked;     /* has location and tags */
    bool is_global;      /* its location is "global" */
    bool has_etag;       /* shows one, and If-Match and If-None-Match hold for it */
    bool is_projected;   /* its writes change what it shows beyond its body: shown as read back */
    bool moves_parent;   /* what the parent shows follows from it: writes take turns */
    bool hides_system_data; /* systemData is recorded, never shown */
    bool is_made_elsewhere; /* a PUT changes what is there and makes nothing */
    bool is_implied; /* no request names it: a row of it is made with the first one below it */
    bool is_body_optional; /* a PUT may come without one */
    bool is_created_with_200; /* a PUT that makes one answers 200: some clients know no 201 */
    unsigned refuses;
    unsigned lro; /* without steps, the operation is over when it is answered */
    enum sku gate; /* of children: the lowest SKU of the registry that may have any */
    const char *const *api_versions; /* NULL-terminated, newest first; stable ones first */
    size_t size;         /* of the decoded struct */
    const struct field *fields; /* of sku, identity, properties …; not id, name, type, location,
                                   tags, systemData */
    const struct step *steps;     /* NULL: Succeeded in the transaction of the request. Rows of before a
                                     type had any are never due: a migration makes them so */
    int64_t drift_ms; /* how often a settled one is observed again; 0: as leases.h says */
    const struct action *actions; /* may be NULL */
    const struct filter_member *filters; /* may be NULL: a $filter is ignored */
    const struct rbac_row *data_plane; /* may be NULL */
    /* What a new resource takes of one installation-wide name space (DNS, places) for as long as it is there;
     * kept with the row. `row` is what is to be inserted. NULL: names are told apart by place. */
    char *(*global_name)(struct arena *a, const struct control *control,
                         const struct resource *row, const void *decoded);
    /* Before the table's own checks, on the whole desired body: refusals that have a documented code
     * of their own. May be NULL. */
    int (*precheck)(struct arena *a, const struct json_object *body, struct error *err);
    /* Moves members that some requests spell in another place than the resource. May be NULL. */
    void (*reshape)(struct json_object *request);
    /* Read-only members that the server sets when it writes (times of change), put into `now`; was
     * is the stored body, NULL on create. Must leave `now` as it was when nothing changed. */
    void (*stamp)(struct arena *a, const struct json_object *was, struct json_object *now,
                  const char *time);
    /* Fills *err for what only one resource may have (a global name, a place) and another one has;
     * returns -1. Needed by types whose rows a unique index of their own tells apart. */
    int (*name_taken)(const struct resource *resource, struct error *err);
    /* Rules across fields; was is NULL on create, so a tightened rule can spare old values. Both are
     * decoded structs. */
    int (*validate)(struct arena *a, const void *was, const void *now, struct error *err);
    /* Rules that need other rows, and what changes with this one. May be NULL. */
    int (*admit)(const struct admission *admission, struct error *err);
    /* Of resources that follow from their parent and are no rows: adds one object with name and
     * properties for each to `list`, or a whole one with an id of its own. run->resource and
     * run->decoded are the parent. The type is only read. */
    int (*derive)(struct action_run *run, struct json_object *list, struct error *err);
    /* Whether a new one has all it needs already: it is settled in the transaction of the request, and
     * observed later as others are. May be NULL. */
    bool (*is_made)(const struct resource *resource);
    /* What an update changes at once, after its commit and before its answer, so that it holds even if
     * this control plane dies right then. At best: the steps do it again. May be NULL. */
    int (*hasten)(struct step_run *run, struct error *err);
    /* Of updates of what is settled that ask no more than to be published: what brief() carries out whole, in
     * hasten()'s place; the request then settles the row itself. 1 done, 0 somebody has published something
     * newer. is_brief() tells them by the bodies. Until the row is settled the steps are not far: they do
     * what brief() could not. May be NULL, both. */
    bool (*is_brief)(const struct json_object *was, const struct json_object *now);
    int (*brief)(struct step_run *run, struct error *err);
    /* The same for a delete: what must be taken away at once. run->decoded is NULL. */
    int (*revoke)(struct step_run *run, struct error *err);
    /* The SKU of a body, for gates; NULL: SKU_NONE (children: the parent's). */
    enum sku (*sku)(const struct json_object *body);
    /* Last touch on what a GET shows (computed read-only members such as loginServer); `shown` is
     * body with status laid over it and defaults. May be NULL. */
    void (*show)(struct arena *a, struct control *control, const struct resource *resource,
                 struct json_object *shown);
    enum tier_limit quota; /* how many one parent may have, by its SKU */
};

/* all.c: NULL-terminated. */
extern const struct resource_type *const all_types[];
const struct resource_type *type_find(const char *name); /* without case; NULL */
/* Proves every table well formed; for start-up and a unit test. */
MUST_CHECK int types_check(struct error *err);

#endif
