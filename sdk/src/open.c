/* Opening and closing a client: its configuration, completed from the environment and checked. */
#include "sdk/src/internal.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/base/text.h"
#include "common/client/client.h"

#define PATIENCE_MS  30000
#define OPERATION_MS (30 * 60 * INT64_C(1000))

static const char *either(const char *given, const char *variable)
{
    const char *value = given && *given ? given : getenv(variable);

    return value && *value ? value : NULL;
}

/* The URL without slashes at its end. */
static int take_url(struct arena *a, const char *value, const char *variable, const char **ret,
                    struct error *err)
{
    size_t len = value ? strlen(value) : 0;

    if (!value)
        return fail_at(err, &E_INVALID, variable,
                       "Where the service is stands nowhere: set %s (./dev env prints it).",
                       variable);
    while (len && value[len - 1] == '/')
        len--;
    if (!text_starts(value, "https://") && !text_starts(value, "http://"))
        return fail_at(err, &E_INVALID, variable, "'%s' is not an https URL.", value);
    *ret = arena_strndup(a, value, len);
    return 0;
}

static int take_text(struct arena *a, const char *value, const char *variable, const char **ret,
                     struct error *err)
{
    if (!value)
        return fail_at(err, &E_INVALID, variable,
                       "Who signs in stands nowhere: set %s (./dev env prints it).", variable);
    *ret = arena_strdup(a, value);
    return 0;
}

static int complete(struct portolan *p, const struct portolan_config *c, struct error *err)
{
    struct arena *a = p->arena;
    const char *login = either(c->login, "PORTOLAN_LOGIN");

    if (take_url(a, either(c->management, "PORTOLAN_MANAGEMENT"), "PORTOLAN_MANAGEMENT",
                 &p->management, err) ||
        take_url(a, login ? login : either(NULL, "AZURE_AUTHORITY_HOST"), "PORTOLAN_LOGIN",
                 &p->login, err) ||
        take_text(a, either(c->tenant, "AZURE_TENANT_ID"), "AZURE_TENANT_ID", &p->tenant, err) ||
        take_text(a, either(c->client_id, "AZURE_CLIENT_ID"), "AZURE_CLIENT_ID", &p->client_id,
                  err) ||
        take_text(a, either(c->client_secret, "AZURE_CLIENT_SECRET"), "AZURE_CLIENT_SECRET",
                  &p->client_secret, err))
        return -1;
    p->subscription = arena_strdup(a, either(c->subscription, "AZURE_SUBSCRIPTION_ID"));
    p->patience_ms = c->patience_ms > 0 ? c->patience_ms : PATIENCE_MS;
    p->operation_ms = c->operation_ms > 0 ? c->operation_ms : OPERATION_MS;
    return 0;
}

int portolan_open(const struct portolan_config *config, struct portolan **ret,
                  struct portolan_error *err)
{
    static const struct portolan_config nothing = { 0 };
    const struct portolan_config *c = config ? config : &nothing;
    struct client_config http = { .reach = CLIENT_OWN,
                                  .ca_file = either(c->ca_file, "PORTOLAN_CA_FILE") };
    struct portolan *p = calloc(1, sizeof(*p));
    struct error why;

    if (!p || pthread_mutex_init(&p->lock, NULL))
        abort();
    p->arena = arena_new();
    if (complete(p, c, &why) || client_new(&http, &p->http, &why)) {
        portolan_close(p);
        return sdk_report(&why, err);
    }
    *ret = p;
    return 0;
}

void portolan_close(struct portolan *p)
{
    if (!p)
        return;
    client_free(p->http);
    sdk_versions_free(p->versions);
    if (p->token)
        explicit_bzero(p->token, strlen(p->token));
    free(p->token);
    if (p->client_secret)
        explicit_bzero((char *)(uintptr_t)p->client_secret, strlen(p->client_secret));
    pthread_mutex_destroy(&p->lock);
    arena_free(p->arena);
    free(p);
}

/* One segment of a path. */
static bool is_segment(const char *s)
{
    return s && *s && !strpbrk(s, "/?#%\r\n") && !text_eq(s, ".") && !text_eq(s, "..");
}

char *portolan_group_id(const struct portolan *p, const char *group)
{
    _cleanup_(arena_freep) struct arena *a = arena_new();
    char *out = NULL;

    if (p->subscription && is_segment(group))
        (void)sdk_give(arena_printf(a, "/subscriptions/%s/resourceGroups/%s", p->subscription,
                                    text_percent_encode(a, group)),
                       &out);
    return out;
}

char *portolan_registry_id(const struct portolan *p, const char *group, const char *registry)
{
    _cleanup_(arena_freep) struct arena *a = arena_new();
    _cleanup_(freep) char *above = portolan_group_id(p, group);
    char *out = NULL;

    if (above && is_segment(registry))
        (void)sdk_give(arena_printf(a, "%s/providers/Microsoft.ContainerRegistry/registries/%s",
                                    above, text_percent_encode(a, registry)),
                       &out);
    return out;
}
