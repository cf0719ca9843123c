/* Microsoft.ContainerRegistry/registries/tokens. Passwords are made by generateCredentials alone:
 * the body keeps their names and times, the hashes are secrets of the resource, the text is
 * nowhere. A request that lists passwords says which of them stay. */
#include "controlplane/types/token.h"

#include <string.h>

#include "common/base/arena.h"
#include "common/base/clock.h"
#include "common/base/text.h"
#include "common/crypto/certificate.h"
#include "common/json/json.h"

#include "controlplane/api/errors.h"
#include "controlplane/provision/publish_tokens.h"
#include "controlplane/store/related.h"
#include "controlplane/store/resources.h"
#include "controlplane/types/registry.h"
#include "controlplane/types/rows.h"
#include "controlplane/types/scope_map.h"
#include "controlplane/types/shared.h"
#include "controlplane/types/versions.h"

#define PASSWORDS              "properties.credentials.passwords"
#define CERTIFICATES           "properties.credentials.certificates"
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
    { ROW(CERTIFICATES, FIELD_LIST), .flags = FIELD_RW | FIELD_BY_NAME, .def = "[]",
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

/* 1: *ret is what the entry's text holds; 0: it has none. */
static int read_certificate(struct arena *a, const struct json_object *entry,
                            struct certificate *ret, struct error *err)
{
    const char *text = json_text(entry, "encodedPemCertificate");
    size_t len = 0;
    const uint8_t *pem = text ? text_unbase64(a, text, strlen(text), &len) : NULL;

    if (!text)
        return 0;
    if (!pem || certificate_parse(a, pem, len, ret, err))
        return fail_at(err, &E_INVALID_PARAMETER, CERTIFICATES,
                       "'encodedPemCertificate' is not the Base64 text of a PEM file with a"
                       " certificate of an RSA key of 2048 to 8192 bits or a P-256 key.");
    return 1;
}

static int token_precheck(struct arena *a, const struct json_object *body, struct error *err)
{
    const struct json_object *list = json_at(body, CERTIFICATES);
    struct certificate certificate;

    for (size_t i = 0; i < json_count(list); i++) {
        if (read_certificate(a, json_item(list, i), &certificate, err) < 0)
            return -1;
    }
    return 0;
}

/* What a certificate says of itself counts, not what the request says of it. */
static void describe_certificates(struct arena *a, struct json_object *now)
{
    struct json_object *list = json_at(now, CERTIFICATES);

    for (size_t i = 0; i < json_count(list); i++) {
        struct json_object *entry = json_item(list, i);
        struct certificate certificate;
        struct error ignored = { 0 };

        if (read_certificate(a, entry, &certificate, &ignored) <= 0)
            continue; /* the precheck has refused what cannot be read */
        json_set_text(entry, "thumbprint", certificate.fingerprint);
        json_set_text(entry, "expiry", clock_rfc3339(a, certificate.expires_us));
    }
}

/* Of the passwords there are, those the request keeps; their expiry may be moved. */
static void token_stamp(struct arena *a, const struct json_object *was, struct json_object *now,
                        const char *time)
{
    const struct json_object *given = json_at(now, PASSWORDS);
    const struct json_object *stored = was ? json_at(was, PASSWORDS) : NULL;
    struct json_object *kept = json_new_array();

    (void)time;
    describe_certificates(a, now);
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

/* What has no passwords is not published. */
static bool token_is_made(const struct resource *token)
{
    return json_count(json_at(token->body, PASSWORDS)) == 0;
}

static int token_hasten(struct step_run *run, struct error *err)
{
    return publish_token(run->control, run->arena, run->resource, err) < 0 ? -1 : 0;
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
    .precheck = token_precheck,
    .steps = steps,
    .drift_ms = TOKEN_DRIFT_MS,
    .stamp = token_stamp,
    .admit = token_admit,
    .is_made = token_is_made,
    .hasten = token_hasten,
    .revoke = token_hasten,
    .show = show_created,
    .quota = TIER_TOKENS,
};
