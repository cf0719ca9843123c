/* Rows of the directory as Graph shows and changes them: users, groups and their members, service
 * principals, applications, credentials. Ids must be uuids: callers check first. */
#ifndef PORTOLAN_STORE_DIRECTORY_H
#define PORTOLAN_STORE_DIRECTORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/cleanup.h"

struct arena;
struct error;
struct pg_conn;

struct entry {
    const char *id;
    const char *kind; /* User, Group, ServicePrincipal, ManagedIdentity, Application */
    const char *app_id;       /* NULL */
    const char *display_name;
    const char *upn;          /* of users */
    const char *description;  /* of groups */
    bool is_enabled;
    const char *created_at;
    const char **identifier_uris, **redirect_uris; /* of applications, and their principals */
    size_t identifier_count, redirect_count;
};

struct entry_filter {
    const char *tenant_id;
    const char *kind;         /* NULL: every principal; "ServicePrincipal" means managed ones too */
    const char *name;         /* display name, without case; NULL: any */
    const char *name_prefix;
    const char *app_id;
    const char *uri;          /* an identifier URI */
    const char *upn;          /* without case */
    const char *const *ids;   /* NULL: any */
    size_t id_count;
    const char *group_id;     /* members of it */
    const char *member_id;    /* groups it is in */
    bool is_transitive;       /* of member_id: groups of groups too */
    const char *after_id;
    int64_t limit;
};
/* In order of id. */
MUST_CHECK int entry_list(struct pg_conn *conn, struct arena *a, const struct entry_filter *filter,
                          struct entry **ret, size_t *ret_count, struct error *err);
MUST_CHECK int application_list(struct pg_conn *conn, struct arena *a,
                                const struct entry_filter *filter, struct entry **ret,
                                size_t *ret_count, struct error *err);

/* E_CONFLICT when the app id or the principal name is taken. password_hash may be NULL. */
MUST_CHECK int entry_insert(struct pg_conn *conn, struct arena *a, const char *tenant_id,
                            const struct entry *entry, const char *password_hash,
                            struct error *err);
/* Name, description, principal name, enabled; the password's hash where it is not NULL. */
MUST_CHECK int entry_update(struct pg_conn *conn, struct arena *a, const char *tenant_id,
                            const struct entry *entry, const char *password_hash,
                            struct error *err);
/* 1/0/-1. Assignments of it stay, as those of nobody. */
MUST_CHECK int entry_delete(struct pg_conn *conn, struct arena *a, const char *tenant_id,
                            const char *id, struct error *err);
MUST_CHECK int application_insert(struct pg_conn *conn, struct arena *a, const char *tenant_id,
                                  const struct entry *entry, struct error *err);
MUST_CHECK int application_update(struct pg_conn *conn, struct arena *a, const char *tenant_id,
                                  const struct entry *entry, struct error *err);
/* With the service principal of the application. 1/0/-1 */
MUST_CHECK int application_delete(struct pg_conn *conn, struct arena *a, const char *tenant_id,
                                  const char *id, struct error *err);
/* Scopes where any of the principals, or a group it is in, has a role. */
MUST_CHECK int entry_scopes(struct pg_conn *conn, struct arena *a, const char *id,
                            const char ***ret, size_t *ret_count, struct error *err);

MUST_CHECK int member_add(struct pg_conn *conn, struct arena *a, const char *group_id,
                          const char *member_id, struct error *err);
MUST_CHECK int member_remove(struct pg_conn *conn, struct arena *a, const char *group_id,
                             const char *member_id, struct error *err);

/* A secret, a certificate or a federated credential. */
struct credential {
    const char *id;
    const char *kind;         /* Secret, Certificate, Federated */
    const char *display_name; /* of federated ones: the name */
    const char *hint;         /* secrets */
    const char *thumbprint, *thumbprint_sha256, *public_pem; /* certificates; base64url */
    const char *starts_at, *expires_at;
    bool is_expired;
    const char *issuer, *subject; /* federated */
    const char **audiences;
    size_t audience_count;
};
MUST_CHECK int credential_list(struct pg_conn *conn, struct arena *a, const char *owner_id,
                               struct credential **ret, size_t *ret_count, struct error *err);
/* Those with which the principal signs in: its own and its application's. */
MUST_CHECK int credential_list_for(struct pg_conn *conn, struct arena *a, const char *principal_id,
                                   struct credential **ret, size_t *ret_count, struct error *err);
MUST_CHECK int credential_add_secret(struct pg_conn *conn, struct arena *a, const char *owner_id,
                                     const struct credential *secret, const char *hash,
                                     struct error *err);
MUST_CHECK int credential_add_certificate(struct pg_conn *conn, struct arena *a,
                                          const char *owner_id, const struct credential *c,
                                          struct error *err);
/* E_CONFLICT when the name is taken. */
MUST_CHECK int credential_add_federated(struct pg_conn *conn, struct arena *a, const char *owner_id,
                                        const struct credential *c, struct error *err);
/* 1/0/-1 */
MUST_CHECK int credential_remove(struct pg_conn *conn, struct arena *a, const char *owner_id,
                                 const char *id, struct error *err);

/* A user as it signs in. 1/0/-1; *ret_hash NULL: without a password. */
MUST_CHECK int user_by_name(struct pg_conn *conn, struct arena *a, const char *upn,
                            struct entry *ret, const char **ret_tenant_id, const char **ret_hash,
                            struct error *err);

/* What signing in leaves for a while: authorization codes, device codes, refresh tokens. */
struct login_grant {
    const char *hash; /* of what the client holds */
    const char *kind; /* code, device, refresh */
    const char *client_id, *tenant_id;
    const char *principal_id; /* NULL while pending */
    const char *user_code;    /* device */
    const char *audience;
    const char *redirect_uri, *challenge, *nonce; /* code */
    const char *state;        /* pending, granted, denied, used */
    int64_t life_s;           /* in */
    bool is_expired;          /* out */
};
MUST_CHECK int login_grant_add(struct pg_conn *conn, struct arena *a, const struct login_grant *g,
                               struct error *err);
/* Locks the row. 1/0/-1 */
MUST_CHECK int login_grant_get(struct pg_conn *conn, struct arena *a, const char *kind,
                               const char *hash, struct login_grant *ret, struct error *err);
/* What a code is exchanged for is decided once. 1 when it was in `from`. */
MUST_CHECK int login_grant_move(struct pg_conn *conn, struct arena *a, const char *hash,
                                const char *from, const char *to, struct error *err);
/* The user behind a device's code says yes or no. 1 when it was pending and alive. */
MUST_CHECK int login_grant_decide(struct pg_conn *conn, struct arena *a, const char *user_code,
                                  const char *principal_id, const char *state, struct error *err);
MUST_CHECK int login_grant_prune(struct pg_conn *conn, struct arena *a, struct error *err);

#endif
