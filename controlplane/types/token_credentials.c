/* generateCredentials: new passwords for a token, shown in this one answer. The hash is kept; the
 * region is told before the answer goes out where it can be reached, and by the reconcile loop
 * otherwise. */
#include "controlplane/types/token.h"

#include <string.h>

#include "common/base/arena.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/text.h"
#include "common/crypto/digest.h"
#include "common/crypto/secret.h"
#include "common/json/json.h"

#include "controlplane/api/errors.h"
#include "controlplane/control.h"
#include "controlplane/provision/publish_tokens.h"
#include "controlplane/store/related.h"
#include "controlplane/store/resources.h"
#include "controlplane/types/registry.h"
#include "controlplane/types/rows.h"

#define PASSWORD_CHARS 52
#define PASSWORDS "properties.credentials.passwords"

const struct field token_generate_request[] = {
    { ROW("tokenId", FIELD_TEXT), RW_REQUIRED, .max = ID_MAX_BYTES },
    { ROW("expiry", FIELD_TIME), RW },
    { ROW("name", FIELD_TEXT), RW_NOCASE, .oneof = token_password_names },
    { 0 },
};

struct generation {
    struct action_run *run;
    const char *created;
    const char *expiry; /* NULL: never */
    size_t count;
    const char *names[TOKEN_PASSWORDS];
    char *passwords[TOKEN_PASSWORDS];
    struct resource_secret secrets[TOKEN_PASSWORDS];
};

/* "2026-11-20T22:52:13.1234567+00:00" */
static char *time_text(struct arena *a, int64_t us)
{
    char *z = clock_arm(a, us);

    return arena_printf(a, "%.*s+00:00", (int)(strlen(z) - 1), z);
}

static int read_request(struct generation *g, struct error *err)
{
    struct action_run *run = g->run;
    const char *expiry = json_text(run->body, "expiry");
    const char *name = json_text(run->body, "name");
    int64_t expires_us = 0;

    g->created = time_text(run->arena, clock_wall_us());
    if (expiry && (!clock_parse(expiry, &expires_us) || expires_us <= clock_wall_us()))
        return fail_at(err, &E_INVALID_PARAMETER, "expiry",
                       "The expiry '%.40s' is not in the future.", expiry);
    g->expiry = expiry ? time_text(run->arena, expires_us) : NULL;
    for (const char *const *known = token_password_names; *known; known++) {
        if (!name || text_eq(name, *known))
            g->names[g->count++] = *known;
    }
    for (size_t i = 0; i < g->count; i++)
        g->passwords[i] = random_text(run->arena, PASSWORD_CHARS);
    return 0;
}

static struct json_object *describe(const struct generation *g, size_t i)
{
    struct json_object *entry = json_new_object();

    json_set_text(entry, "creationTime", g->created);
    if (g->expiry)
        json_set_text(entry, "expiry", g->expiry);
    json_set_text(entry, "name", g->names[i]);
    return entry;
}

/* Index among the new ones, or count. */
static size_t index_of(const struct generation *g, const char *name)
{
    size_t i = 0;

    while (i < g->count && !text_eq(g->names[i], name))
        i++;
    return i;
}

/* The stored list with the new entries in the place of their namesakes, by name. */
static int edit(void *ctx, struct arena *a, struct resource *token, struct error *err)
{
    struct generation *g = ctx;
    const struct json_object *stored = json_at(token->body, PASSWORDS);
    struct json_object *list = json_new_array();

    (void)err;
    for (const char *const *name = token_password_names; *name; name++) {
        size_t fresh = index_of(g, *name);

        if (fresh < g->count)
            json_add(list, describe(g, fresh));
        for (size_t i = 0; fresh == g->count && i < json_count(stored); i++) {
            if (text_eq(json_text(json_item(stored, i), "name"), *name))
                json_add(list, json_copy(json_item(stored, i)));
        }
    }
    json_put_at(token->body, PASSWORDS, list);
    for (size_t i = 0; i < g->count; i++) {
        const char *hash = secret_hash_generated(a, g->passwords[i]);

        g->secrets[i] = (struct resource_secret){
            .name = g->names[i],
            .wrapped = secret_wrap(a, &g->run->control->service_key,
                                   resource_secret_context(a, token->uid, g->names[i]), hash,
                                   strlen(hash)),
        };
    }
    return 0;
}

static void answer(struct generation *g, const struct resource *token)
{
    struct json_object *list = json_new_array();

    for (size_t i = 0; i < g->count; i++) {
        struct json_object *entry = describe(g, i);

        json_set_text(entry, "value", g->passwords[i]);
        json_add(list, entry);
        secret_cleanse(g->passwords[i], strlen(g->passwords[i]));
    }
    json_set_text(g->run->answer, "username", token->name);
    json_set(g->run->answer, "passwords", list);
}

/* A region that cannot be told now is told by the reconcile loop, whose work this is. */
static void publish_now(struct action_run *run, const struct resource *token)
{
    struct error err;
    struct log_line l;

    if (publish_token(run->control, run->arena, token, &err) >= 0)
        return;
    log_start(&l, LOG_WARN, "publish-token");
    log_text(&l, "resource", token->id);
    log_text(&l, "cause", err.cause);
    log_end(&l);
}

int token_generate(struct action_run *run, struct error *err)
{
    const char *id = json_text(run->body, "tokenId");
    char *key = text_lower(run->arena, id);
    struct generation g = { .run = run };
    struct resource *token = NULL;
    struct resource_edit change = { .key = key, .edit = edit, .ctx = &g, .secrets = g.secrets };
    int done;

    if (!text_starts(key, arena_printf(run->arena, "%s/tokens/", run->resource->key)))
        return fail_at(err, &E_INVALID_PARAMETER, "tokenId",
                       "'%.300s' is not the id of a token of this registry.", id);
    if (read_request(&g, err))
        return -1;
    change.secret_count = g.count;
    done = resource_edit(run->control->db, run->arena, &change, &token, err);
    if (done < 0)
        return -1;
    if (!done)
        return fail_at(err, &E_RESOURCE_NOT_FOUND, "tokenId",
                       "The token '%.300s' could not be found.", id);
    publish_now(run, token);
    answer(&g, token);
    return 0;
}
