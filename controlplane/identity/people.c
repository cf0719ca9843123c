/* Names and passwords, and the clients that ask for them: see the header. */
#include "controlplane/identity/people.h"

#include <ctype.h>
#include <string.h>

#include "common/base/arena.h"
#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/text.h"
#include "common/crypto/digest.h"
#include "common/crypto/secret.h"
#include "common/network/throttle.h"
#include "common/pg/pg.h"

#include "controlplane/control.h"
#include "controlplane/identity/directory.h"
#include "controlplane/store/directory.h"

#define PASSWORD_MAX 1024
#define NAME_MAX_BYTES 256

/* Public clients that come with Azure's tools: az, Az PowerShell, azd, Visual Studio Code. */
static const char *const tools[] = { "04b07795-8ddb-461a-bbee-02f9e1bf7b46",
                                     "1950a258-227b-4e31-a9cf-717495945fc2",
                                     "c44b4083-3bb0-49c1-b47d-974e53cbdf3c",
                                     "aebc6443-996d-45c2-90f0-388ff96faa56" };

/* argon2id of nothing anybody knows, with the cost of a real one. */
static const char *nobodys_hash(struct arena *a)
{
    char *hash = NULL;
    struct error ignored;
    return secret_hash_chosen(a, "nobody", &hash, &ignored) == 0 ? hash : "";
}

struct query {
    const char *name;
    const char *id;
    struct entry user;
    const char *tenant_id, *hash;
    struct person *person;
    const char *client_id;
    const char *redirect_uri;
    bool is_good;
    int found;
};

static int read_user(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct query *q = ctx;
    q->found = user_by_name(conn, a, q->name, &q->user, &q->tenant_id, &q->hash, err);
    return q->found < 0 ? -1 : 0;
}

int people_sign_in(struct control *control, struct http_request *req, const char *tenant_id,
                   const char *name, const char *password, enum people_verdict *ret,
                   struct person *ret_person, struct error *err)
{
    struct arena *a = req->arena;
    struct throttle *throttle = control->directory->throttle;
    int64_t retry_ms = 0;
    if (strlen(name) > NAME_MAX_BYTES || strlen(password) > PASSWORD_MAX) {
        *ret = PEOPLE_WRONG;
        return 0;
    }
    struct query q = { .name = text_lower(a, name) };
    if (!throttle_try(throttle, q.name, &req->peer, clock_mono_ms(), &retry_ms)) {
        http_reply_headerf(req, "Retry-After", "%lld", (long long)(retry_ms / 1000 + 1));
        *ret = PEOPLE_TOO_MANY;
        return 0;
    }
    if (pg_with(control->db, a, read_user, &q, err) != 0) {
        throttle_return(throttle, q.name, &req->peer);
        return -1;
    }
    bool is_known = q.found && q.hash && q.user.is_enabled &&
                    (!tenant_id || text_eq_nocase(q.tenant_id, tenant_id));
    bool is_right = is_known ? secret_verify(q.hash, password) : (nobodys_hash(a), false);
    *ret = is_right ? PEOPLE_OK : PEOPLE_WRONG;
    if (!is_right)
        return 0;
    throttle_return(throttle, q.name, &req->peer);
    *ret_person = (struct person){ .principal = { .object_id = q.user.id,
                                                  .tenant_id = q.tenant_id,
                                                  .kind = "User",
                                                  .display_name = q.user.display_name,
                                                  .is_enabled = true },
                                   .upn = q.user.upn };
    return 0;
}

static int read_person(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct query *q = ctx;
    const char *ids[] = { q->id };
    struct entry *rows = NULL;
    size_t count = 0;
    q->found = identity_principal(conn, a, q->id, &q->person->principal, err);
    if (q->found <= 0)
        return q->found;
    const struct entry_filter filter = { .tenant_id = q->person->principal.tenant_id,
                                         .kind = "User",
                                         .ids = ids,
                                         .id_count = 1,
                                         .limit = 1 };
    if (entry_list(conn, a, &filter, &rows, &count, err) != 0)
        return -1;
    q->found = count == 1 && rows[0].is_enabled;
    q->person->upn = q->found ? rows[0].upn : NULL;
    return 0;
}

int people_find(struct control *control, struct arena *a, const char *object_id,
                struct person *ret, struct error *err)
{
    struct query q = { .id = object_id, .person = ret };
    return pg_with(control->db, a, read_person, &q, err) != 0 ? -1 : q.found;
}

char *people_hash(struct arena *a, const char *secret)
{
    struct digest d;
    digest_of(DIGEST_SHA256, secret, strlen(secret), &d);
    return text_hex(a, d.bytes, SHA256_LEN);
}

/* "http://localhost", "http://127.0.0.1" or "http://[::1]" with any port (RFC 8252 section 7.3). */
static bool is_loopback(const char *uri)
{
    static const char *const hosts[] = { "http://localhost", "http://127.0.0.1", "http://[::1]" };
    for (size_t i = 0; i < ARRAY_LEN(hosts); i++) {
        if (!text_starts(uri, hosts[i]))
            continue;
        const char *rest = uri + strlen(hosts[i]);
        if (*rest == ':') {
            rest++;
            while (isdigit((unsigned char)*rest))
                rest++;
        }
        return *rest == '\0' || *rest == '/';
    }
    return false;
}

static int read_client(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct query *q = ctx;
    const struct entry_filter filter = { .tenant_id = q->tenant_id,
                                         .app_id = q->client_id,
                                         .limit = 1 };
    struct entry *rows = NULL;
    size_t count = 0;
    if (application_list(conn, a, &filter, &rows, &count, err) != 0)
        return -1;
    q->found = count == 1;
    for (size_t i = 0; q->found && i < rows[0].redirect_count; i++)
        q->is_good = q->is_good || text_eq(rows[0].redirect_uris[i], q->redirect_uri);
    return 0;
}

int people_client(struct control *control, struct arena *a, const char *client_id,
                  const char *redirect_uri, bool *ret_is_redirect_good, struct error *err)
{
    struct query q = { .client_id = client_id,
                       .redirect_uri = redirect_uri,
                       .tenant_id = control->tenant_id };
    for (size_t i = 0; i < ARRAY_LEN(tools); i++) {
        if (!text_eq_nocase(tools[i], client_id))
            continue;
        *ret_is_redirect_good = redirect_uri && is_loopback(redirect_uri);
        return 1;
    }
    if (!uuid_is_valid(client_id))
        return 0;
    if (pg_with(control->db, a, read_client, &q, err) != 0)
        return -1;
    *ret_is_redirect_good = redirect_uri && q.is_good;
    return q.found;
}
