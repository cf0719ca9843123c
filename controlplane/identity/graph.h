/* The graph host inside identity/: the directory in the form of Microsoft Graph v1.0, as far as
 * `az ad` and `az role assignment --assignee` use it. Whoever is signed in may read; changes need a
 * role over the whole tenant that allows "Microsoft.Directory/<what>/write". */
#ifndef PORTOLAN_IDENTITY_GRAPH_H
#define PORTOLAN_IDENTITY_GRAPH_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/cleanup.h"
#include "common/http/server.h"

#include "controlplane/control.h"
#include "controlplane/identity/identity.h"
#include "controlplane/store/directory.h"

struct error;
struct json_object;
struct pg_conn;
struct user_identity;

struct graph_call {
    struct http_request *req;
    struct arena *arena;
    struct control *control;
    struct caller caller;
    struct json_object *body; /* NULL of GET and DELETE */
};

/* What a route does: replies, or fails. */
struct graph_endpoint {
    const char *writes; /* "users": the right that is needed; NULL: none but signing in */
    bool needs_body;
    int (*run)(struct graph_call *g, struct error *err);
};

extern const struct error_code E_GRAPH_REQUEST;  /* Request_BadRequest */
extern const struct error_code E_GRAPH_MISSING;  /* Request_ResourceNotFound */
extern const struct error_code E_GRAPH_CONFLICT; /* Request_MultipleObjectsWithSameKeyValue */

void graph_reply(struct graph_call *g, int status, struct json_object *value);
/* {"value": […]}, with a link to the next page when there were more entries than a page holds. */
void graph_reply_list(struct graph_call *g, const struct entry *entries, size_t count);
/* One page and one more. */
int64_t graph_page(struct graph_call *g);
/* $filter, $top, $search and $skiptoken over *filter. E_GRAPH_REQUEST for what is not understood. */
MUST_CHECK int graph_filter(struct graph_call *g, struct entry_filter *filter, struct error *err);
/* As Graph shows an entry of its kind. */
struct json_object *graph_show(struct graph_call *g, const struct entry *e);
struct json_object *graph_show_full(struct graph_call *g, const struct entry *e,
                                    const struct credential *credentials, size_t count);
/* Runs in a transaction; a unique name that is taken becomes E_GRAPH_CONFLICT. */
MUST_CHECK int graph_transact(struct graph_call *g,
                              int (*fn)(struct pg_conn *conn, struct arena *a, void *ctx,
                                        struct error *err),
                              void *ctx, struct error *err);
/* A change of who somebody is reaches the data planes of where he has rights. Called inside the
 * transaction before an entry goes, after it otherwise; graph_tell() tells them once it is done. */
struct graph_scopes {
    const char **keys;
    size_t count;
};
MUST_CHECK int graph_tell(struct graph_call *g, const struct graph_scopes *scopes,
                          struct error *err);
char *graph_uuid(struct arena *a);

/* The federated identities in a user's body; E_GRAPH_REQUEST. */
MUST_CHECK int graph_identities_read(struct graph_call *g, struct user_identity **ret,
                                     size_t *ret_count, struct error *err);
void graph_identities_show(struct json_object *user, const struct user_identity *list,
                           size_t count);

/* graph_providers.c */
extern const struct graph_endpoint graph_providers, graph_provider, graph_provider_make,
    graph_provider_change, graph_provider_drop;
/* graph_principals.c */
extern const struct graph_endpoint graph_users, graph_user, graph_user_make, graph_user_change,
    graph_user_drop, graph_me;
extern const struct graph_endpoint graph_groups, graph_group, graph_group_make, graph_group_change,
    graph_group_drop, graph_members, graph_member_add, graph_member_drop;
extern const struct graph_endpoint graph_by_ids, graph_object, graph_member_groups,
    graph_check_groups, graph_member_of;
/* graph_applications.c */
extern const struct graph_endpoint graph_apps, graph_application, graph_app_make, graph_app_change,
    graph_app_drop, graph_app_secret, graph_app_secret_drop, graph_federated, graph_federated_make,
    graph_federated_drop, graph_owners;
extern const struct graph_endpoint graph_sps, graph_sp, graph_sp_make, graph_sp_change,
    graph_sp_drop, graph_sp_secret, graph_sp_secret_drop;

#endif
