/* Registries: making them, their passwords, and the questions who may do what and from where. */
#include "sdk/src/internal.h"

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/json/json.h"

/* Runs METHOD path with the object as its body; the object is given to the arena. */
static int run_body(struct portolan *p, struct arena *a, const char *method, const char *path,
                    struct json_object *body, char **ret, struct portolan_error *err)
{
    struct portolan_request request = { .method = method,
                                        .path = path,
                                        .body = json_print(a, json_own(a, body)) };
    struct error why;
    char *text;

    return sdk_run(p, a, &request, &text, &why) ? sdk_report(&why, err) : sdk_give(text, ret);
}

static void set_given(struct json_object *object, const char *name, const char *value)
{
    if (value)
        json_set_text(object, name, value);
}

int portolan_registry_create(struct portolan *p, const char *group, const char *name,
                             const struct portolan_registry *want, char **ret,
                             struct portolan_error *err)
{
    _cleanup_(arena_freep) struct arena *a = arena_new();
    _cleanup_(freep) char *id = portolan_registry_id(p, group, name);
    struct json_object *body;
    struct error why;

    if (!id) {
        (void)fail_at(&why, &E_INVALID, "name",
                      "A registry needs a subscription, a group and a name.");
        return sdk_report(&why, err);
    }
    body = json_new_object();
    json_set_text(body, "location", want && want->location ? want->location : "eastus");
    json_put_at(body, "sku.name", json_new_text(want && want->sku ? want->sku : "Basic"));
    json_put_at(body, "properties.adminUserEnabled", json_new_bool(want && want->is_admin_enabled));
    return run_body(p, a, "PUT", id, body, ret, err);
}

int portolan_registry_credentials(struct portolan *p, const char *registry_id, char **ret,
                                  struct portolan_error *err)
{
    _cleanup_(arena_freep) struct arena *a = arena_new();

    return portolan_act(p, arena_printf(a, "%s/listCredentials", registry_id), NULL, ret, err);
}

int portolan_token_credentials(struct portolan *p, const char *registry_id,
                               const struct portolan_token_password *want, char **ret,
                               struct portolan_error *err)
{
    _cleanup_(arena_freep) struct arena *a = arena_new();
    struct json_object *body = json_new_object();

    json_set_text(body, "tokenId", arena_printf(a, "%s/tokens/%s", registry_id, want->token));
    set_given(body, "name", want->name);
    set_given(body, "expiry", want->expiry);
    return run_body(p, a, "POST", arena_printf(a, "%s/generateCredentials", registry_id), body, ret,
                    err);
}

int portolan_why(struct portolan *p, const char *registry_id,
                 const struct portolan_question *question, char **ret, struct portolan_error *err)
{
    _cleanup_(arena_freep) struct arena *a = arena_new();
    struct json_object *body = json_new_object();

    set_given(body, "repository", question->repository);
    set_given(body, "action", question->action);
    set_given(body, "principalId", question->principal_id);
    set_given(body, "userName", question->user_name);
    return run_body(p, a, "POST", arena_printf(a, "%s/checkAccess", registry_id), body, ret, err);
}

int portolan_network_check(struct portolan *p, const char *registry_id,
                           const struct portolan_origin *origin, char **ret,
                           struct portolan_error *err)
{
    _cleanup_(arena_freep) struct arena *a = arena_new();
    struct json_object *body = json_new_object();

    set_given(body, "ipAddress", origin->address);
    set_given(body, "link", origin->link);
    set_given(body, "service", origin->service);
    return run_body(p, a, "POST", arena_printf(a, "%s/checkNetworkAccess", registry_id), body, ret,
                    err);
}
