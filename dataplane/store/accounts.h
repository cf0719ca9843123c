/* Names that sign in with a password (the admin user, scoped tokens) and what they may do, looked up
 * in the regional database when they are needed and remembered in bounded memory.
 *
 * Freshness: accounts_compare() is part of every comparison of the published projection. It looks at
 * what is remembered and drops what is not so any more, so what it leaves was true when it ran. A
 * scope map's permissions are held once for all its tokens. Thread-safe. */
#ifndef PORTOLAN_STORE_ACCOUNTS_H
#define PORTOLAN_STORE_ACCOUNTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/cleanup.h"
#include "dataplane/auth/scope.h"

struct arena;
struct error;
struct pg_conn;
struct pg_pool;

struct password {
    bool is_admin;
    const char *hash;
    char mark[17];      /* of the hash: part of tokens, so that a new password ends old tokens */
    int64_t expires_us; /* 0: never */
    const struct scopes *permissions;
};

/* Immutable; counted by references. */
struct account {
    const char *name;
    struct password *passwords;
    size_t count;
};

struct accounts;
struct accounts *accounts_new(struct pg_pool *db, const char *registry_id);
void accounts_free(struct accounts *s);

/* NULL when the name is not remembered. The caller releases it. Never blocks. */
struct account *accounts_find(struct accounts *s, const char *name);
/* Asks the database. 1 found and remembered, 0 when there is no such name. */
MUST_CHECK int accounts_look_up(struct accounts *s, const char *name, struct account **ret,
                                struct error *err);
/* False once a comparison found it changed, or it was forgotten. */
bool account_is_current(const struct account *account);
struct account *account_ref(struct account *account);
void account_unref(void *account); /* struct account; NULL is accepted */

/* Drops what the database says otherwise by now. */
MUST_CHECK int accounts_compare(struct accounts *s, struct pg_conn *conn, struct arena *a,
                                struct error *err);
/* Keeps what signed in last, for idle times. */
void accounts_trim(struct accounts *s);

#endif
