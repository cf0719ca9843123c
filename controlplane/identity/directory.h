/* The directory inside identity/: what the files of this folder share. Threads may share it. */
#ifndef PORTOLAN_IDENTITY_DIRECTORY_H
#define PORTOLAN_IDENTITY_DIRECTORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/cleanup.h"

struct access_cache;
struct arena;
struct control;
struct error;
struct key_ring;
struct principal_row;
struct throttle;
struct token_cache;

#define TOKEN_LIFE_S 3600

struct directory {
    struct control *control;
    struct key_ring *keys;
    struct token_cache *tokens;  /* authenticate.c: tokens verified lately */
    struct access_cache *access; /* access.c: principals and their assignments */
    struct throttle *throttle;   /* token endpoint: wrong secrets */
    char tenant_id[37];          /* the installation's tenant */
};

/* "iss" of every token of a tenant, also the base of its OpenID configuration. */
char *directory_issuer(struct arena *a, const struct control *control, const char *tenant_id);

enum audience {
    AUDIENCE_MANAGEMENT,
    AUDIENCE_REGISTRY, /* https://containerregistry.azure.net */
    AUDIENCE_GRAPH,
    AUDIENCE_VAULT,
    AUDIENCE_MAX
};
/* Every name of an audience, NULL-terminated, in the arena; the first is the canonical one. */
const char *const *directory_audience_names(struct arena *a, const struct control *control,
                                            enum audience audience);
/* The canonical name of the audience that a client means by resource, or NULL. */
const char *directory_audience(struct arena *a, const struct control *control,
                               const char *resource);

enum sign_in {
    SIGN_IN_OK,
    SIGN_IN_NO_CLIENT, /* no such application in the tenant */
    SIGN_IN_WRONG_SECRET,
    SIGN_IN_EXPIRED_SECRET,
    SIGN_IN_DISABLED,
    SIGN_IN_MAX
};
/* Checks an application's secret. Takes as long for an application that does not exist as for a
 * wrong secret. tenant_id NULL: whatever tenant the application is of. */
MUST_CHECK int directory_sign_in(struct control *control, struct arena *a, const char *tenant_id,
                                 const char *app_id, const char *secret, enum sign_in *ret,
                                 struct principal_row *ret_principal, struct error *err);

struct new_service_principal {
    const char *tenant_id;
    const char *display_name;
    const char *app_id;    /* NULL: made */
    const char *object_id; /* NULL: made */
    const char *secret;    /* NULL: made, with 238 random bits */
};
/* Creates a service principal with one generated secret; fills in what was NULL. Inside the
 * caller's transaction. The secret is not kept anywhere but in *sp. */
struct pg_conn;
MUST_CHECK int directory_add_service_principal(struct pg_conn *conn, struct arena *a,
                                               struct new_service_principal *sp, struct error *err);

struct caller;
struct http_request;
/* identity_authenticate() for a token of another audience. */
MUST_CHECK int identity_authenticate_for(struct control *control, struct http_request *req,
                                         enum audience audience, struct caller *ret,
                                         const char **ret_challenge, struct error *err);
/* authenticate.c */
struct token_cache *token_cache_new(void);
void token_cache_free(struct token_cache *cache);
/* access.c */
struct access_cache *access_cache_new(void);
void access_cache_free(struct access_cache *cache);

#endif
