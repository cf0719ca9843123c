/* Who calls, and the registry's own tokens (ACR's refresh and access tokens).
 *
 * A token names an identity; what the identity may do is looked up in the current snapshot each
 * time, so a revoked grant, a disabled admin user or a new password ends old tokens at once. */
#ifndef PORTOLAN_AUTH_IDENTITY_H
#define PORTOLAN_AUTH_IDENTITY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/cleanup.h"
#include "dataplane/auth/scope.h"

struct account;
struct accounts;
struct arena;
struct error;
struct snapshot;

/* Stands for "the password is a token" (docker login with an exchanged token). */
#define NULL_USER "00000000-0000-0000-0000-000000000000"

enum identity_kind {
    IDENTITY_ANONYMOUS,
    IDENTITY_PRINCIPAL, /* of the directory */
    IDENTITY_ADMIN,
    IDENTITY_TOKEN, /* a scoped token's name */
    IDENTITY_KIND_MAX
};

/* An import by the service itself, in the principal's name. */
#define IDENTITY_IMPORT "import"

struct identity {
    enum identity_kind kind;
    const char *name; /* principal id, user name, or "" */
    const char *mark; /* of the password's hash; of a principal: IDENTITY_IMPORT; "": none */
};

/* Who is asked about identities. */
struct authority {
    struct snapshot *snapshot;
    struct accounts *accounts;
    const char *registry_id;
    bool is_quick; /* on an event thread: what only the database knows is E_UNAVAILABLE */
};

/* What an identity may do now. */
struct permissions {
    const struct scopes *scopes;   /* NULL: it is not, or no longer, let in */
    const struct account *account; /* whose they are; NULL: of the snapshot */
    int64_t until_s;               /* when its password ends; INT64_MAX when it does not */
};

/* What *ret points at lasts as long as the arena and the snapshot. */
MUST_CHECK int identity_permissions(const struct authority *who, struct arena *a,
                                    const struct identity *id, struct permissions *ret,
                                    struct error *err);
/* 1 when the password is right and the name may sign in; 0 when not. A password that memory calls
 * wrong is asked for in the database: that takes as long for names that exist as for others, and a
 * new password works at once. Texts of *ret live in a. */
MUST_CHECK int identity_sign_in(const struct authority *who, struct arena *a, const char *username,
                                const char *password, struct identity *ret, struct error *err);
/* A directory token of this tenant whose principal has a grant. E_UNAUTHENTICATED otherwise. */
MUST_CHECK int identity_from_directory(const struct authority *who, struct arena *a,
                                       const char *token, const char *tenant,
                                       struct identity *ret, struct error *err);

/* --- the registry's own tokens --- */

enum token_kind { TOKEN_REFRESH, TOKEN_ACCESS, TOKEN_KIND_MAX };
#define REFRESH_TOKEN_S 10800
#define ACCESS_TOKEN_S  4500

/* access is part of access tokens only. */
MUST_CHECK int identity_token_issue(const struct snapshot *s, struct arena *a,
                                    const char *registry_id, enum token_kind kind,
                                    const struct identity *id, const struct scopes *access,
                                    char **ret, struct error *err);

struct token_facts {
    enum token_kind kind;
    struct identity identity;
    struct scopes access; /* of access tokens */
    int64_t expires_s;
};
/* now_s 0: the clock. Texts live in a. E_UNAUTHENTICATED or E_TOKEN_EXPIRED. */
MUST_CHECK int identity_token_read(const struct snapshot *s, struct arena *a,
                                   const char *registry_id, const char *token, int64_t now_s,
                                   struct token_facts *ret, struct error *err);

#endif
