/* Who is calling and what they may do: the directory, its tokens, role-based access. */
#ifndef PORTOLAN_IDENTITY_IDENTITY_H
#define PORTOLAN_IDENTITY_IDENTITY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/cleanup.h"
#include "common/http/server.h"

struct arena;
struct control;
struct directory;
struct error;
struct json_object;
struct pg_conn;

/* An authenticated identity. Texts live in the request's arena. */
struct caller {
    const char *tenant_id;
    const char *object_id;
    const char *app_id; /* NULL for users */
    const char *name;   /* display name or appid, for systemData and the activity log */
    const char *kind;   /* "Application", "User", "ManagedIdentity": systemData's createdByType */
    /* The deployment stack in whose name the caller works: what that one denies others, it may. NULL
     * for all requests from outside. */
    const char *stack_uid;
};

/* The codes of a failed sign-in, as ARM names them. */
extern const struct error_code E_AUTHENTICATION_FAILED;      /* 401 AuthenticationFailed */
extern const struct error_code E_INVALID_TOKEN;              /* 401 InvalidAuthenticationToken */
extern const struct error_code E_EXPIRED_TOKEN;              /* 401 ExpiredAuthenticationToken */
extern const struct error_code E_INVALID_TOKEN_TENANT;       /* 401 InvalidAuthenticationTokenTenant */
extern const struct error_code E_AUTHORIZATION_FAILED;       /* 403 AuthorizationFailed */

/* Opens the directory: loads (or, under a lock, makes) signing keys, and sets control->tenant_id to
 * the installation's tenant (until the directory is closed). Comes after directory_init(). */
MUST_CHECK int directory_open(struct control *control, struct directory **ret, struct error *err);
void directory_close(struct directory *d);
/* First start: tenant, subscription, first service principal (Owner of the subscription) as the
 * secrets file says; the file is written (0600, durable) before the database, so a crash in between
 * is healed by running it again. Idempotent. */
MUST_CHECK int directory_init(struct control *control, struct error *err);

/* Checks `Authorization: Bearer` for the management audience. *ret_challenge (arena) is the
 * WWW-Authenticate value to send with a 401. */
MUST_CHECK int identity_authenticate(struct control *control, struct http_request *req,
                                     struct caller *ret, const char **ret_challenge,
                                     struct error *err);
/* Fails with E_AUTHORIZATION_FAILED and the documented text unless a role assignment at scope or
 * above allows action ("Microsoft.ContainerRegistry/registries/read"). scope is an ARM id. */
MUST_CHECK int access_check(struct control *control, struct arena *a, const struct caller *caller,
                            const char *action, const char *scope, struct error *err);
/* The same for data actions, which only dataActions of roles allow. */
MUST_CHECK int access_check_data(struct control *control, struct arena *a,
                                 const struct caller *caller, const char *action,
                                 const char *scope, struct error *err);
/* 1 when any assignment lets the caller see something at or below scope, 0 when not. */
MUST_CHECK int access_any(struct control *control, struct arena *a, const struct caller *caller,
                          const char *scope, struct error *err);

/* A token of the directory in the caller's name, for an import from that registry: it is done with the
 * caller's own rights, looked up there, and passes the registry's network rules as a trusted service.
 * It lives for an hour, and is never shown to the caller. */
MUST_CHECK int identity_import_token(const struct control *control, struct arena *a,
                                     const struct caller *caller, const char *registry_uid,
                                     char **ret, struct error *err);

/* What data planes need of the directory, for the published projection. */
struct directory_key_row {
    const char *kid;
    const char *public_pem;
    const char *verifies_until; /* RFC 3339 */
};
MUST_CHECK int directory_public_keys(struct control *control, struct arena *a,
                                     struct directory_key_row **ret, size_t *ret_count,
                                     struct error *err);
/* Effective permissions on registries of one subscription, per principal: for each of them a list of
 * {principal_id, actions[], notActions[], dataActions[], notDataActions[], condition?} made from every
 * assignment at or above its id, in a fixed order; one entry per assignment, because what a role
 * withholds another may grant. An entry with a condition grants nothing unless the condition is
 * understood and holds. Disabled principals are left out. ret has count places; neighbours with the
 * same assignments share one list. */
MUST_CHECK int access_grants(struct control *control, struct arena *a,
                             const char *const *registry_ids, size_t count,
                             struct json_object **ret, struct error *err);

/* What the login host serves (OpenID configuration, keys, token endpoints), with its own server:
 * routes, fault and missing in OAuth's error form. Fills *ret; ctx is control. */
void identity_app(struct control *control, struct http_app *ret);
/* What the graph host serves: the part of Microsoft Graph by which clients manage a directory. */
void graph_app(struct control *control, struct http_app *ret);

#endif
