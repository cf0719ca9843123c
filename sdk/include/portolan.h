/* The C client library of Portolan: signs in as a service principal and drives the management API.
 * It needs no header but this one.
 *
 * Functions return 0, or -1 with *err filled; portolan_show() returns 1 found, 0 absent, -1 failed.
 * err may be NULL for callers that only want to know whether it worked. Text that comes back through
 * `char **ret` is JSON (portolan_text: plain), NUL-terminated, and the caller's to portolan_free().
 * ret may be NULL for callers that do not want it.
 *
 * A struct portolan may be used by several threads at once. It asks for a token when it first needs
 * one and renews it by itself. A service that is restarting or says "later" is asked again, as long
 * as `patience_ms` allows. Long-running operations are followed to their end unless told otherwise.
 * Out of memory ends the process. */
#ifndef PORTOLAN_H
#define PORTOLAN_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define PORTOLAN_API __attribute__((visibility("default")))
#define PORTOLAN_MUST_CHECK __attribute__((warn_unused_result))

struct portolan;

struct portolan_error {
    int status;         /* of the reply; 0: there was none */
    char code[96];      /* "ResourceNotFound" */
    char message[1024]; /* a sentence */
    char target[256];   /* what in the request is wrong, or "" */
};

/* Members that are NULL or 0 come from the environment, as `./dev env` prints it. */
struct portolan_config {
    const char *management;    /* PORTOLAN_MANAGEMENT: https://management.portolan.localhost:8443 */
    const char *login;         /* PORTOLAN_LOGIN, else AZURE_AUTHORITY_HOST */
    const char *ca_file;       /* PORTOLAN_CA_FILE; without one, the system's authorities */
    const char *tenant;        /* AZURE_TENANT_ID */
    const char *subscription;  /* AZURE_SUBSCRIPTION_ID */
    const char *client_id;     /* AZURE_CLIENT_ID */
    const char *client_secret; /* AZURE_CLIENT_SECRET */
    int64_t patience_ms;       /* with a service that is away; 0: 30,000 */
    int64_t operation_ms;      /* the longest a long-running operation is followed; 0: 30 minutes */
};

/* Nothing is sent yet: the first call signs in. */
PORTOLAN_API PORTOLAN_MUST_CHECK int portolan_open(const struct portolan_config *config,
                                                   struct portolan **ret,
                                                   struct portolan_error *err);
PORTOLAN_API void portolan_close(struct portolan *p); /* NULL is accepted */
PORTOLAN_API void portolan_free(void *text);          /* NULL is accepted */
PORTOLAN_API const char *portolan_version(void);
/* Signs in now: for finding out whether the credentials are good. */
PORTOLAN_API PORTOLAN_MUST_CHECK int portolan_sign_in(struct portolan *p,
                                                      struct portolan_error *err);

/* --- any resource ----------------------------------------------------------------------------- */

struct portolan_request {
    const char *method;      /* GET, HEAD, PUT, PATCH, POST, DELETE */
    const char *path;        /* the id of a resource, an action or a list; a query may follow */
    const char *api_version; /* NULL: the newest released one that the service lists for the type */
    const char *body;        /* JSON, or NULL */
    int no_wait;             /* 1: return while the operation goes on */
};

/* Sends it. After a long-running operation *ret is the resource as it then is (PUT, PATCH), or the
 * operation's result, or "". */
PORTOLAN_API PORTOLAN_MUST_CHECK int portolan_call(struct portolan *p,
                                                   const struct portolan_request *request,
                                                   char **ret, struct portolan_error *err);
PORTOLAN_API PORTOLAN_MUST_CHECK int portolan_show(struct portolan *p, const char *id, char **ret,
                                                   struct portolan_error *err);
PORTOLAN_API PORTOLAN_MUST_CHECK int portolan_put(struct portolan *p, const char *id,
                                                  const char *body, char **ret,
                                                  struct portolan_error *err);
PORTOLAN_API PORTOLAN_MUST_CHECK int portolan_patch(struct portolan *p, const char *id,
                                                    const char *body, char **ret,
                                                    struct portolan_error *err);
PORTOLAN_API PORTOLAN_MUST_CHECK int portolan_delete(struct portolan *p, const char *id,
                                                     struct portolan_error *err);
/* An action: the id of a resource, a slash, its name. body may be NULL. */
PORTOLAN_API PORTOLAN_MUST_CHECK int portolan_act(struct portolan *p, const char *path,
                                                  const char *body, char **ret,
                                                  struct portolan_error *err);
/* Calls each item of a list, page after page; stops early, with success, when `each` returns
 * something else than 0. */
PORTOLAN_API PORTOLAN_MUST_CHECK int portolan_list(struct portolan *p, const char *path,
                                                   const char *api_version,
                                                   int (*each)(void *ctx, const char *item),
                                                   void *ctx, struct portolan_error *err);

/* --- ids and values --------------------------------------------------------------------------- */

/* Of a group of the configured subscription, and of a registry in it; NULL without a subscription
 * or for names that cannot be. */
PORTOLAN_API char *portolan_group_id(const struct portolan *p, const char *group);
PORTOLAN_API char *portolan_registry_id(const struct portolan *p, const char *group,
                                        const char *registry);
/* The value at a path of member names and indices joined by dots ("properties.loginServer",
 * "passwords.0.value"): texts as they are, other values as JSON. NULL when it is not there. */
PORTOLAN_API char *portolan_text(const char *json, const char *path);

/* --- registries ------------------------------------------------------------------------------- */

struct portolan_registry {
    const char *location; /* NULL: eastus */
    const char *sku;      /* Basic, Standard, Premium; NULL: Basic */
    int is_admin_enabled;
};

/* Makes it, or brings it to this; returns when it takes pushes. */
PORTOLAN_API PORTOLAN_MUST_CHECK int
portolan_registry_create(struct portolan *p, const char *group, const char *name,
                         const struct portolan_registry *want, char **ret,
                         struct portolan_error *err);
/* Name and passwords of the admin user. */
PORTOLAN_API PORTOLAN_MUST_CHECK int
portolan_registry_credentials(struct portolan *p, const char *registry_id, char **ret,
                              struct portolan_error *err);

struct portolan_token_password {
    const char *token;  /* name of a token of the registry */
    const char *name;   /* password1 or password2; NULL: both */
    const char *expiry; /* RFC 3339; NULL: none */
};

/* New passwords of a repository-scoped token; they are shown this once. */
PORTOLAN_API PORTOLAN_MUST_CHECK int
portolan_token_credentials(struct portolan *p, const char *registry_id,
                           const struct portolan_token_password *want, char **ret,
                           struct portolan_error *err);

struct portolan_question {
    const char *repository;
    const char *action;       /* pull, push, delete, metadata_read, metadata_write */
    const char *principal_id; /* who: the object id of a principal, */
    const char *user_name;    /* or a token's or the admin user's name; both NULL: anybody */
};

/* May they, and which rule says so? */
PORTOLAN_API PORTOLAN_MUST_CHECK int portolan_why(struct portolan *p, const char *registry_id,
                                                  const struct portolan_question *question,
                                                  char **ret, struct portolan_error *err);

struct portolan_origin {
    const char *address; /* IPv4 or IPv6, */
    const char *link;    /* or the id of a subnet or private endpoint */
    const char *service; /* None, TrustedService, Task; NULL: None */
};

/* Would a client that comes from there be let in, and by which rule? */
PORTOLAN_API PORTOLAN_MUST_CHECK int
portolan_network_check(struct portolan *p, const char *registry_id,
                       const struct portolan_origin *origin, char **ret,
                       struct portolan_error *err);

/* --- templates -------------------------------------------------------------------------------- */

enum portolan_deploy_verb { PORTOLAN_DEPLOY, PORTOLAN_VALIDATE, PORTOLAN_WHAT_IF };

struct portolan_deployment {
    const char *scope;      /* id of a group, or "/subscriptions/…" */
    const char *name;
    const char *template_;  /* text of the template */
    const char *parameters; /* text of a parameter file or of its "parameters" member; NULL: none */
    const char *location;   /* at subscription scope: where its record is kept; NULL: eastus */
    int is_complete;        /* 1: what the template does not name is removed from the group */
    int no_wait;
};

PORTOLAN_API PORTOLAN_MUST_CHECK int portolan_deploy(struct portolan *p,
                                                     enum portolan_deploy_verb verb,
                                                     const struct portolan_deployment *what,
                                                     char **ret, struct portolan_error *err);

#ifdef __cplusplus
}
#endif

#endif
