/* Microsoft.ContainerRegistry/registries/tokens. Passwords are made by generateCredentials alone:
 * the body keeps their names and times, the hashes are secrets of the resource, the text is nowhere. A
 * request that lists passwords says which of them stay. */
#include "controlplane/types/token.h"

#include "common/base/arena.h"
#include "common/base/text.h"
#include "common/json/json.h"

#include "controlplane/provision/publish_tokens.h"
#include "controlplane/store/related.h"
#include "controlplane/store/resources.h"
#include "controlplane/types/registry.h"
#include "controlplane/types/rows.h"
#include "controlplane/types/scope_map.h"
#include "controlplane/types/shared.h"
#include "controlplane/types/versions.h"

#define PASSWORDS "properties.credentials.passwords"
#define NOT_PUBLISHED_RETRY_MS 200
/* A registry may have 50,000 tokens. */
#define TOKEN_DRIFT_MS 600000

struct token {
    char *scope_map_id; /* NULL */
};

const char *const token_password_names[] = { "password1", "password2", NULL };
static const char *const certificate_names[] = { "certificate1", "certificate2", NULL };

static const struct field certificate_fields[] = {
    { ROW("name", FIELD_TEXT), RW_NOCASE, .oneof = certificate_names },
    { ROW("expiry", FIELD_TIME), RW },
    { ROW("thumbprint", FIELD_TEXT), RW, .max = 128 },
    { ROW("encodedPemCertificate", FIELD_TEXT), RW_SECRET, .max = 16384 },
    { 0 },
};

static const struct field password_fields[] = {
    { ROW("name", FIELD_TEXT), .flags = FIELD_RW | FIELD_NOCASE | FIELD_REQUIRED,
      .oneof = token_password_names },
    { ROW("creationTime", FIELD_TIME), RW },
    { ROW("expiry", FIELD_TIME), RW },
    { ROW_SHOWN("value", FIELD_TEXT) },
    { 0 },
};

static const struct field fields[] = {
    ROW_CREATED,
    ROW_STATE,
    { ROW_IN(token, "properties.scopeMapId", FIELD_TEXT, scope_map_id), RW, .max = ID_MAX_BYTES },
    { ROW("properties.credentials.certificates", FIELD_LIST), RW, .def = "[]",
      .of = certificate_fields, .max = 2 },
    { ROW(PASSWORDS, FIELD_LIST), RW, .of = password_fields, .max = TOKEN_PASSWORDS },
    { ROW("properties.status", FIELD_TEXT), RW_NOCASE, .oneof = states_lower,
      .def = "\"enabled\"" },
    { 0 },
};

static struct json_object *entry_of(const struct json_object *list, const char *name)
{
    for (size_t i = 0; i < json_count(list); i++) {
        if (text_eq_nocase(json_text(json_item(list, i), "name"), name))
            return json_item(list, i);
    }
    return NULL;
}

/* Of the passwords there are, those the request keeps; their expiry may be moved. */
static void token_stamp(struct arena *a, const struct json_object *was, struct json_object *now,
                        const char *time)
{
    const struct json_object *given = json_at(now, PASSWORDS);
    const struct json_object *stored = was ? json_at(was, PASSWORDS) : NULL;
    struct json_object *kept = json_new_array();

    (void)a;
    (void)time;
    for (size_t i = 0; i < json_count(stored); i++) {
        struct json_object *entry = json_copy(json_item(stored, i));
        const struct json_object *wish = entry_of(given, json_text(entry, "name"));

        if (wish && json_text(wish, "expiry"))
            json_set_text(entry, "expiry", json_text(wish, "expiry"));
        if (wish || !given)
            json_add(kept, entry);
        else
            json_put(entry);
    }
    json_put_at(now, PASSWORDS, kept);
}

static int token_admit(const struct admission *admission, struct error *err)
{
    const struct token *token = admission->decoded;
    struct resource *map = NULL;
    const char *map_uid = NULL;

    if (admission->change == CHANGE_DELETE)
        return 0;
    if (token->scope_map_id) {
        if (sibling_hold(admission, "properties.scopeMapId", token->scope_map_id, &scope_map_type,
                         &map, err))
            return -1;
        map_uid = map->uid;
    }
    return resource_links_replace(admission->conn, admission->arena, admission->resource->uid,
                                  &map_uid, map_uid ? 1 : 0, err);
}

static enum verdict publish(struct step_run *run, struct error *err)
{
    int done = publish_token(run->control, run->arena, run->resource, err);

    if (done < 0)
        return VERDICT_FAILED;
    if (done > 0)
        return VERDICT_DONE;
    run->retry_ms = NOT_PUBLISHED_RETRY_MS;
    return VERDICT_WAIT;
}

/* A registry that is not published has no credentials either. */
static enum verdict withdraw(struct step_run *run, struct error *err)
{
    return publish_token(run->control, run->arena, run->resource, err) < 0 ? VERDICT_FAILED
                                                                           : VERDICT_DONE;
}

static const struct step steps[] = {
    { .name = "publish", .ensure = publish, .undo = withdraw },
    { 0 },
};

const struct resource_type token_type = {
    .name = "Microsoft.ContainerRegistry/registries/tokens",
    .description = "token",
    .scope = SCOPE_CHILD,
    .parent = &registry_type,
    .pattern = "[A-Za-z0-9-]*",
    .name_min = 5,
    .name_max = 50,
    .pattern_text = "a token name has 5 to 50 letters, digits and '-'.",
    .lro = LRO_PUT | LRO_PATCH | LRO_DELETE,
    .api_versions = scope_map_versions,
    .size = sizeof(struct token),
    .fields = fields,
    .steps = steps,
    .drift_ms = TOKEN_DRIFT_MS,
    .stamp = token_stamp,
    .admit = token_admit,
    .show = show_created,
    .quota = TIER_TOKENS,
};
