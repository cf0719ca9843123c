/* /metadata/endpoints, in the shape each generation of clients knows. The login endpoint ends in
 * /adfs: clients then take the authority as it is instead of asking the public cloud about it. */
#include "controlplane/api/metadata.h"

#include "common/base/arena.h"
#include "common/base/text.h"
#include "common/json/json.h"

#include "controlplane/api/call.h"

/* The name under which clients keep this cloud. */
#define CLOUD_NAME "Portolan"

static const char *const versions[] = { "2023-11-01", "2023-01-01", "2022-09-01", "2020-06-01",
                                        "2019-05-01", "2018-05-01", "2015-01-01", "2014-04-01",
                                        NULL };

/* With the port unless it is the default one, as every URL of this installation. */
static char *host_of(struct call *c, const char *prefix)
{
    const struct control_settings *s = c->control->settings;

    if (s->port == 443)
        return arena_printf(c->arena, "%s%s", prefix, s->domain);
    return arena_printf(c->arena, "%s%s:%lld", prefix, s->domain, (long long)s->port);
}

static struct json_object *authentication(struct call *c, bool is_whole)
{
    struct json_object *out = json_new_object();
    struct json_object *audiences = json_new_array();

    json_set_text(out, "loginEndpoint", arena_printf(c->arena, "%s/adfs", c->control->login_url));
    json_add_text(audiences, c->control->management_url);
    json_set(out, "audiences", audiences);
    if (is_whole) {
        json_set_text(out, "tenant", "common");
        json_set_text(out, "identityProvider", "AAD");
    }
    return out;
}

static struct json_object *oldest(struct call *c)
{
    struct json_object *out = json_new_object();

    json_set_text(out, "galleryEndpoint", c->control->management_url);
    json_set_text(out, "graphEndpoint", c->control->graph_url);
    json_set_text(out, "graphAudience", c->control->graph_url);
    json_set_text(out, "portalEndpoint", c->control->management_url);
    json_set(out, "authentication", authentication(c, false));
    return out;
}

static struct json_object *whole(struct call *c)
{
    struct json_object *out = json_new_object();
    struct json_object *suffixes = json_new_object();
    const char *management = c->control->management_url;
    const char *graph = arena_printf(c->arena, "%s/", c->control->graph_url);

    json_set_text(out, "portal", management);
    json_set(out, "authentication", authentication(c, true));
    json_set_text(out, "graphAudience", graph);
    json_set_text(out, "graph", graph);
    json_set_text(out, "name", CLOUD_NAME);
    json_set_text(suffixes, "acrLoginServer", host_of(c, "cr."));
    json_set_text(suffixes, "keyVaultDns", host_of(c, "vault."));
    json_set_text(suffixes, "storage", host_of(c, ""));
    json_set(out, "suffixes", suffixes);
    json_set_text(out, "resourceManager", management);
    json_set_text(out, "microsoftGraphResourceId", graph);
    json_set_text(out, "gallery", management);
    return out;
}

static int run(struct call *c, struct error *err)
{
    struct json_object *list;

    if (call_api_version(c, versions, err))
        return -1;
    if (text_starts(c->api_version, "2014") || text_starts(c->api_version, "2015")) {
        reply_json(c, 200, json_own(c->arena, oldest(c)));
    } else if (text_starts(c->api_version, "2022") || text_starts(c->api_version, "2023")) {
        reply_json(c, 200, json_own(c->arena, whole(c)));
    } else {
        list = json_own(c->arena, json_new_array());
        json_add(list, whole(c));
        reply_json(c, 200, list);
    }
    return 0;
}

const struct endpoint metadata_endpoints = {
    .is_open = true,
    .description = "Where this installation's endpoints are",
    .run = run,
};
