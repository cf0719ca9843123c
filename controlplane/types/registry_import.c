/* importImage: what may be asked for, and what a data plane is then told to fetch. The bytes go from
 * the source to the data plane; nothing of them comes by here. */
#include "controlplane/types/registry_rules.h"

#include <string.h>

#include "common/base/arena.h"
#include "common/base/text.h"
#include "common/json/json.h"
#include "common/pg/pg.h"

#include "controlplane/api/errors.h"
#include "controlplane/control.h"
#include "controlplane/identity/identity.h"
#include "controlplane/provision/imports.h"
#include "controlplane/store/resources.h"
#include "controlplane/types/registry.h"
#include "controlplane/types/rows.h"

#define TARGETS_MAX 100
/* Written in any case, as the service takes names; they are in lower case. */
#define PART_PATTERN "[A-Za-z0-9]+((\\.|_|__|-+)[A-Za-z0-9]+)*"
#define NAME_PATTERN PART_PATTERN "(/" PART_PATTERN ")*"
#define TAG_PATTERN "[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}"

static const char *const modes[] = { "NoForce", "Force", NULL };

const struct field registry_import_request[] = {
    { ROW("source.resourceId", FIELD_TEXT), RW, .max = ID_MAX_BYTES },
    { ROW("source.registryUri", FIELD_TEXT), RW, .max = 512,
      .pattern = "(https://)?[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?(:[0-9]{1,5})?/?" },
    { ROW("source.credentials.username", FIELD_TEXT), RW, .max = 512 },
    { ROW("source.credentials.password", FIELD_TEXT), RW_SECRET, .max = 4096 },
    { ROW("source.sourceImage", FIELD_TEXT), RW_REQUIRED, .max = 512,
      .pattern = NAME_PATTERN "(:" TAG_PATTERN "|@sha(256|512):[0-9a-f]{64,128})?" },
    { ROW("targetTags", FIELD_TEXT_LIST), RW, .max = TARGETS_MAX,
      .pattern = NAME_PATTERN "(:" TAG_PATTERN ")?" },
    { ROW("untaggedTargetRepositories", FIELD_TEXT_LIST), RW, .max = TARGETS_MAX,
      .pattern = NAME_PATTERN },
    { ROW("mode", FIELD_TEXT), RW_NOCASE, .oneof = modes, .def = "\"NoForce\"" },
    { 0 },
};

struct order {
    struct action_run *run;
    struct arena *arena;
    const char *repository, *tag, *digest; /* of the source; tag or digest NULL */
    struct json_object *source, *targets, *secret;
    struct resource *registry; /* the source, when it is one of this installation */
};

/* Splits "repo:tag" and "repo@digest". */
static void read_image(struct order *o, const char *image)
{
    const char *at = strchr(image, '@'), *colon = strchr(image, ':');

    o->repository = text_lower(o->arena, arena_strndup(o->arena, image, strcspn(image, "@:")));
    o->digest = at ? at + 1 : NULL;
    o->tag = at ? NULL : colon ? colon + 1 : "latest";
}

/* --- the source -------------------------------------------------------------------------------- */

static int find_registry(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct order *o = ctx;
    const char *id = json_text(o->run->body, "source.resourceId");

    return resource_by_key(conn, a, text_lower(a, id), false, &o->registry, err) < 0 ? -1 : 0;
}

/* A registry of this installation is read in the caller's name: what the caller may not pull there it
 * cannot import either. */
static int from_registry(struct order *o, struct error *err)
{
    const char *id = json_text(o->run->body, "source.resourceId");
    char *token = NULL;

    if (access_check(o->run->control, o->arena, o->run->caller,
                     "Microsoft.ContainerRegistry/registries/read", id, err))
        return -1;
    if (pg_with(o->run->control->db, o->arena, find_registry, o, err))
        return wrap(err, "source registry");
    if (!o->registry || o->registry->state == STATE_DELETING ||
        !text_eq_nocase(o->registry->type_key, registry_type.name))
        return fail_at(err, &E_RESOURCE_NOT_FOUND, "source.resourceId",
                       "The registry '%.300s' could not be found.", id);
    if (text_eq(json_text(o->registry->body, "properties.policies.exportPolicy.status"),
                "disabled"))
        return fail_at(err, &E_EXPORT_DISABLED, "source.resourceId",
                       "The registry '%s' does not let its artifacts be exported.",
                       o->registry->name);
    if (identity_import_token(o->run->control, o->arena, o->run->caller, o->registry->uid, &token,
                              err))
        return wrap(err, "token for the source registry");
    json_set_text(o->source, "registryId", o->registry->uid);
    json_set_text(o->source, "url",
                  arena_printf(o->arena, "https://%s",
                               registry_login_server(o->arena, o->run->control, o->registry)));
    o->secret = json_own(o->arena, json_new_object());
    json_set_text(o->secret, "directoryToken", token);
    return 0;
}

/* Docker Hub goes by a name that is not its registry's, and has its own images below one more. */
static void name_host(struct order *o, const char *host)
{
    bool is_hub = text_eq(host, "docker.io") || text_eq(host, "index.docker.io");

    json_set_text(o->source, "url",
                  arena_printf(o->arena, "https://%s", is_hub ? "registry-1.docker.io" : host));
    if (is_hub && !strchr(o->repository, '/'))
        o->repository = arena_printf(o->arena, "library/%s", o->repository);
}

static int from_elsewhere(struct order *o, const char *uri, struct error *err)
{
    const char *user = json_text(o->run->body, "source.credentials.username");
    const char *password = json_text(o->run->body, "source.credentials.password");
    const char *host = uri + (text_starts_nocase(uri, "https://") ? strlen("https://") : 0);

    if (user && !password)
        return fail_at(err, &E_INVALID_PARAMETER, "source.credentials.password",
                       "A username needs a password.");
    name_host(o, text_lower(o->arena, arena_strndup(o->arena, host, strcspn(host, "/"))));
    if (!password)
        return 0;
    o->secret = json_own(o->arena, json_new_object());
    /* A password alone is a token, as docker signs in with one. */
    json_set_text(o->secret, "username", user ? user : "00000000-0000-0000-0000-000000000000");
    json_set_text(o->secret, "password", password);
    return 0;
}

static int read_source(struct order *o, struct error *err)
{
    const char *uri = json_text(o->run->body, "source.registryUri");
    const char *id = json_text(o->run->body, "source.resourceId");

    if (!uri == !id)
        return fail_at(err, &E_INVALID_PARAMETER, "source",
                       "A source has a resourceId or a registryUri, and not both.");
    read_image(o, json_text(o->run->body, "source.sourceImage"));
    o->source = json_new_object();
    if (id ? from_registry(o, err) : from_elsewhere(o, uri, err)) {
        json_put(o->source);
        return -1;
    }
    json_set_text(o->source, "repository", o->repository);
    json_set_text(o->source, "reference", o->digest ? o->digest : o->tag);
    return 0;
}

/* --- the targets ------------------------------------------------------------------------------- */

static void add_target(struct order *o, const char *repository, const char *tag)
{
    struct json_object *target = json_new_object();

    json_set_text(target, "repository", text_lower(o->arena, repository));
    if (tag)
        json_set_text(target, "tag", tag);
    json_add(o->targets, target);
}

/* Without a tag it is the source's. */
static void add_tagged(struct order *o, const char *text)
{
    const char *colon = strchr(text, ':');

    add_target(o, arena_strndup(o->arena, text, strcspn(text, ":")),
               colon    ? colon + 1
               : o->tag ? o->tag
                        : "latest");
}

static struct json_object *read_targets(struct order *o)
{
    const struct json_object *tagged = json_at(o->run->body, "targetTags");
    const struct json_object *untagged = json_at(o->run->body, "untaggedTargetRepositories");

    o->targets = json_new_array();
    for (size_t i = 0; i < json_count(tagged); i++)
        add_tagged(o, json_text(json_item(tagged, i), ""));
    for (size_t i = 0; i < json_count(untagged); i++)
        add_target(o, json_text(json_item(untagged, i), ""), NULL);
    if (json_count(o->targets) == 0)
        add_target(o, o->repository, o->tag);
    return o->targets;
}

/* An import writes as a trusted service; what it reads from decides for itself whether it lets one in. */
static int check_target(const struct resource *registry, struct error *err)
{
    const struct json_object *body = registry->body;
    bool is_closed = text_eq(json_text(body, "properties.publicNetworkAccess"), "Disabled") ||
                     text_eq(json_text(body, "properties.networkRuleSet.defaultAction"), "Deny");

    if (!is_closed ||
        !text_eq(json_text(body, "properties.networkRuleBypassOptions"), "None"))
        return 0;
    return fail(err, &E_NO_BYPASS,
                "The registry '%s' has network rules and lets no trusted service bypass them: an "
                "import needs networkRuleBypassOptions 'AzureServices'.",
                registry->name);
}

int registry_import(struct action_run *run, struct error *err)
{
    struct json_object *request = json_own(run->arena, json_new_object());
    struct order o = { .run = run, .arena = run->arena };

    if (check_target(run->resource, err) || read_source(&o, err))
        return -1;
    json_set(request, "source", o.source);
    json_set(request, "targets", read_targets(&o));
    json_set_bool(request, "force", text_eq(json_text(run->body, "mode"), "Force"));
    return import_begin(run->control, run->arena, run->resource, run->operation_id, request,
                        o.secret, err);
}
