/* The control plane's side of imports. */
#include "controlplane/provision/imports.h"

#include <string.h>

#include "common/base/arena.h"
#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/client/client.h"
#include "common/crypto/secret.h"
#include "common/json/json.h"
#include "common/pg/pg.h"

#include "controlplane/control.h"
#include "controlplane/provision/region.h"
#include "controlplane/store/operations.h"
#include "controlplane/store/published_imports.h"
#include "controlplane/store/resources.h"
#include "controlplane/types/registry.h"
#include "controlplane/types/type.h"

#define WAKE_MS    2000
#define MISSING_US (INT64_C(60) * 1000000)

struct asked {
    const char *id;
    struct published_import *import;
    struct import_state state;
    struct resource *registry;
    int found;
};

static int add(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct asked *asked = ctx;

    asked->found = published_import_add(conn, a, asked->import, err);
    return asked->found < 0 ? -1 : 0;
}

static int find_region(const struct control *control, const char *name,
                       const struct region **ret, struct error *err)
{
    *ret = region_find(control->regions, name);
    return *ret ? 0 : fail_cause(err, &E_INTERNAL, "no region '%s'", name ? name : "");
}

int import_begin(struct control *control, struct arena *a, const struct resource *registry,
                 const char *operation_id, struct json_object *request,
                 const struct json_object *secret, struct error *err)
{
    struct published_import import = { .id = operation_id,
                                       .registry_id = registry->uid,
                                       .request = request };
    struct asked asked = { .import = &import };
    const struct region *region;

    if (secret) {
        const char *text = json_print(a, secret);

        import.wrapped_secret = secret_wrap(a, &control->service_key,
                                            arena_printf(a, "import/%s", operation_id), text,
                                            strlen(text));
    }
    if (find_region(control, registry->location, &region, err) ||
        pg_transact(region->db, a, add, &asked, err))
        return wrap(err, "ask for import");
    return asked.found ? 0
                       : fail_cause(err, &E_UNAVAILABLE, "registry %s is not published",
                                    registry->uid);
}

static int read_state(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct asked *asked = ctx;

    asked->found = published_import_state(conn, a, asked->id, &asked->state, err);
    return asked->found < 0 ? -1 : 0;
}

static int read_registry(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct asked *asked = ctx;

    return resource_by_uid(conn, a, asked->id, false, &asked->registry, err) < 0 ? -1 : 0;
}

/* One that idles looks at its generation when a request comes, and not before. Whatever it answers,
 * it is awake. */
static void wake(const struct control *control, struct arena *a, const char *login_server)
{
    const struct client_config config = { .reach = CLIENT_OWN,
                                          .ca_file = control->settings->ca_file };
    const struct client_request request = {
        .url = arena_printf(a, "https://%s/v2/", login_server), .timeout_ms = WAKE_MS
    };
    struct client_response ignored;
    struct client *client = NULL;
    struct error why;

    if (client_new(&config, &client, &why) == 0) {
        (void)!client_send(client, a, &request, &ignored, &why);
        client_free(client);
    }
}

static struct json_object *missing(struct arena *a)
{
    struct json_object *failure = json_own(a, json_new_object());

    json_set_text(failure, "code", "ImportNotBegun");
    json_set_text(failure, "message",
                  "The import was not begun, or its registry is gone. Ask for it again.");
    return failure;
}

int import_settle(struct control *control, struct arena *a, const struct operation *op,
                  struct action_end *ret, struct error *err)
{
    struct asked import = { .id = op->id }, registry = { .id = op->resource_uid };
    const struct region *region;

    if (find_region(control, op->location, &region, err) ||
        pg_with(region->db, a, read_state, &import, err))
        return wrap(err, "state of import %s", op->id);
    if (!import.found) {
        /* Between the operation and the row a control plane may have died. */
        ret->is_over = clock_wall_us() - op->started_us > MISSING_US;
        ret->failure = ret->is_over ? missing(a) : NULL;
        return 0;
    }
    ret->is_over = import.state.is_over;
    ret->failure = import.state.failure;
    if (import.state.is_over || import.state.is_begun)
        return 0;
    if (pg_with(control->db, a, read_registry, &registry, err))
        return wrap(err, "registry of import %s", op->id);
    if (registry.registry)
        wake(control, a, registry_login_server(a, control, registry.registry));
    return 0;
}
