/* What checking a bearer token costs a data plane, in processor time: one that was seen before, and one
 * for the first time. Prints two lines and the same as JSON; part of ./dev bench tokens. */
/* links: portolan_data */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/crypto/token.h"
#include "dataplane/auth/bearer.h"
#include "dataplane/auth/identity.h"
#include "dataplane/store/snapshot.h"

#define REGISTRY "5b0e1d7c-0000-4000-8000-000000000001"
#define TOKENS   64
#define ROUNDS   200000

static int64_t processor_ns(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void must(int rc, const struct error *err)
{
    if (rc == 0)
        return;
    (void)fprintf(stderr, "%s (%s)\n", err->message, err->cause);
    exit(1);
}

int main(void)
{
    struct arena *a = arena_new();
    struct snapshot *s = snapshot_new(1);
    struct bearer_cache *cache = bearer_cache_new();
    struct authority who = { .snapshot = s };
    struct identity nobody = { .kind = IDENTITY_ANONYMOUS, .name = "", .mark = "" };
    struct scope item = { SCOPE_REPOSITORY, "team/a", ACT_PULL };
    struct scopes access = { &item, 1 };
    char *tokens[TOKENS];
    struct bearer *bearer = NULL;
    struct error err = { 0 };
    int64_t found = 0;

    struct token_key *key = token_key_new();
    s->key = key;
    s->login_server = "registry.cr.portolan.localhost";
    s->is_anonymous_enabled = true;
    for (size_t i = 0; i < TOKENS; i++)
        must(identity_token_issue(s, a, REGISTRY, TOKEN_ACCESS, &nobody, &access, &tokens[i], &err),
             &err);
    int64_t began = processor_ns();
    for (size_t round = 0; round < 16; round++) {
        for (size_t i = 0; i < TOKENS; i++) {
            must(bearer_check(cache, &who, REGISTRY, tokens[i], &bearer, &err), &err);
            bearer_unref(bearer);
        }
    }
    double new_us = (double)(processor_ns() - began) / 1000 / (16 * TOKENS);
    began = processor_ns();
    for (size_t i = 0; i < ROUNDS; i++) {
        bearer = bearer_find(cache, s, tokens[i % TOKENS]);
        found += bearer != NULL;
        bearer_unref(bearer);
    }
    double seen_us = (double)(processor_ns() - began) / 1000 / ROUNDS;
    printf("new   %8.2f us\nseen  %8.3f us  (%d%% found)\n", new_us, seen_us,
           (int)(found * 100 / ROUNDS));
    printf("{\"new_us\":%.2f,\"seen_us\":%.3f}\n", new_us, seen_us);
    bearer_cache_free(cache);
    snapshot_unref(s);
    token_key_free(key);
    arena_free(a);
    return 0;
}
