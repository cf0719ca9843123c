/* A request to a vault host: which vault, who calls, what it is about; errors in Key Vault's form. */
#include "controlplane/keyvault/call.h"

#include <string.h>

#include "common/base/arena.h"
#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/log.h"
#include "common/base/text.h"
#include "common/json/json.h"

#include "controlplane/identity/directory.h"
#include "controlplane/keyvault/access.h"
#include "controlplane/types/vault.h"

#define NAME_MAX_CHARS 127
#define VERSION_CHARS  32
#define TAGS_MAX       15
#define TAG_MAX_BYTES  256

const struct error_code E_VAULT_PARAMETER = { "BadParameter", 400 };
const struct error_code E_VAULT_MISSING = { "VaultNotFound", 404 };
const struct error_code E_KEY_NOT_FOUND = { "KeyNotFound", 404 };
const struct error_code E_OBJECT_DELETED = { "ObjectIsDeletedButRecoverable", 409 };
const struct error_code E_OBJECT_DISABLED = { "ObjectIsDisabled", 403 };
const struct error_code E_PURGE_PROTECTED = { "PurgeProtected", 403 };

static const char *const api_versions[] = { "2025-07-01", "7.6", "7.5", "7.4", "7.3", "7.2", "7.1",
                                            "7.0", "2016-10-01", "2025-06-01-preview",
                                            "7.6-preview.2", "7.6-preview.1", "7.5-preview.1",
                                            "7.4-preview.1", "7.3-preview", "7.2-preview", NULL };

/* What stands outside, and then the code itself inside; of the rest the code is outside. */
static const struct {
    int status;
    const char *name;
} outer_names[] = {
    { 401, "Unauthorized" }, { 403, "Forbidden" }, { 409, "Conflict" }
};

void vault_reply_error(struct http_request *req, const struct error *err)
{
    struct json_object *body = json_own(req->arena, json_new_object());
    struct json_object *error = json_new_object(), *inner;
    const char *outer = NULL;
    size_t len = 0;

    for (size_t i = 0; i < ARRAY_LEN(outer_names); i++) {
        if (outer_names[i].status == err->code->status)
            outer = outer_names[i].name;
    }
    if (err->code->status >= 500)
        log_failure(LOG_ERROR, "vault.failed", err);
    /* All that is kept with a request of these hosts: why it was refused, for the log. */
    if (err->code->status == 401 || err->code->status == 403)
        req->plane = arena_printf(req->arena, "%s: %.400s", err->code->name, err->message);
    json_set_text(error, "code", outer ? outer : err->code->name);
    json_set_text(error, "message", err->message);
    if (outer && err->code->status != 401) {
        inner = json_new_object();
        json_set_text(inner, "code", err->code->name);
        json_set(error, "innererror", inner);
    }
    json_set(body, "error", error);
    if (err->code->status == 503 || err->code->status == 429)
        http_reply_header(req, "Retry-After", "1");
    http_reply_header(req, "x-ms-request-id", req->id);
    const char *text = json_print_len(req->arena, body, &len);
    http_reply_bytes(req, err->code->status, "application/json; charset=utf-8", text, len);
}

void vault_reply(struct vault_call *v, int status, struct json_object *value)
{
    size_t len = 0;
    const char *text = json_print_len(v->arena, json_own(v->arena, value), &len);

    http_reply_header(v->req, "Cache-Control", "no-cache");
    http_reply_header(v->req, "x-ms-request-id", v->req->id);
    http_reply_header(v->req, "x-ms-keyvault-service-version", "1.9.0.0");
    http_reply_bytes(v->req, status, "application/json; charset=utf-8", text, len);
}

/* The vault's name out of "name.vault.domain:port"; NULL: another host. */
static const char *vault_name(const struct vault_call *v)
{
    const char *host = arena_strndup(v->arena, v->req->host, strcspn(v->req->host, ":"));
    const char *suffix = arena_printf(v->arena, ".vault.%s", v->control->settings->domain);
    size_t len = strlen(host), tail = strlen(suffix);

    if (len <= tail || !text_eq_nocase(host + len - tail, suffix))
        return NULL;
    return text_lower(v->arena, arena_strndup(v->arena, host, len - tail));
}

static int read_vault(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct vault_call *v = ctx;
    const char *name = vault_name(v);

    v->found = name ? vault_by_name(conn, a, name, &v->vault, err) : 0;
    return v->found < 0 ? -1 : 0;
}

static int find_vault(struct vault_call *v, struct error *err)
{
    if (pg_with(v->control->db, v->arena, read_vault, v, err))
        return -1;
    if (v->found && v->vault->state != STATE_DELETING)
        return 0;
    return fail(err, &E_VAULT_MISSING, "There is no key vault at '%.200s'.", v->req->host);
}

int vault_check_name(const char *name, struct error *err)
{
    static const char letters[] =
        "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-";
    size_t len = strlen(name);

    if (len == 0 || len > NAME_MAX_CHARS || strspn(name, letters) != len)
        return fail(err, &E_VAULT_PARAMETER,
                    "The request URI contains an invalid name: %.128s. A name has 1 to %d letters, "
                    "digits and '-'.",
                    name, NAME_MAX_CHARS);
    return 0;
}

const char *vault_version_uuid(struct arena *a, const char *v)
{
    if (strlen(v) != VERSION_CHARS || strspn(v, "0123456789abcdefABCDEF") != VERSION_CHARS)
        return NULL;
    return text_lower(a, arena_printf(a, "%.8s-%.4s-%.4s-%.4s-%.12s", v, v + 8, v + 12, v + 16,
                                      v + 20));
}

static int read_path(struct vault_call *v, const struct vault_endpoint *e, struct error *err)
{
    const char *version = e->has_version ? v->req->params[1] : NULL;

    v->query = (struct vault_query){ .vault_uid = v->vault->uid,
                                     .kind = e->kind,
                                     .is_deleted = e->is_deleted };
    if (!e->has_name)
        return 0;
    v->name = v->req->params[0];
    v->query.name_key = text_lower(v->arena, v->name);
    if (vault_check_name(v->name, err))
        return -1;
    if (!version)
        return 0;
    v->has_version = true;
    v->version = vault_version_uuid(v->arena, version);
    return v->version ? 0 : vault_fail_missing(v, err);
}

static int read_body(struct vault_call *v, struct error *err)
{
    struct error reason;

    if (json_parse_object(v->req->body, v->req->body_len, v->req->route->max_body, &v->body, &reason))
        return fail(err, &E_VAULT_PARAMETER, "The request body is no JSON object: %.300s",
                    reason.message);
    json_own(v->arena, v->body);
    return 0;
}

static int check_version(struct vault_call *v, struct error *err)
{
    const char *asked = http_query_nocase(v->req, "api-version");

    for (size_t i = 0; asked && api_versions[i]; i++) {
        if (text_eq_nocase(api_versions[i], asked)) {
            v->api_version = api_versions[i];
            return 0;
        }
    }
    if (!asked || !asked[0])
        return fail(err, &E_VAULT_PARAMETER, "api-version must be specified");
    return fail(err, &E_VAULT_PARAMETER, "The specified version (%.40s) is not recognized.", asked);
}

/* Clients learn here whom to sign in to, and for what. The path of the authority is the tenant alone:
 * its first segment is what they take for it. */
static void challenge(struct vault_call *v, const char *error)
{
    http_reply_headerf(v->req, "WWW-Authenticate",
                       "Bearer authorization=\"%s\", resource=\"%s\"%s%s%s",
                       directory_issuer(v->arena, v->control, v->control->tenant_id),
                       vault_resource(v->arena, v->control), error ? ", error=\"" : "",
                       error ? error : "", error ? "\"" : "");
}

static int authenticate(struct vault_call *v, struct error *err)
{
    const char *ignored = NULL;
    bool has_token = http_header(v->req, "Authorization") != NULL;

    if (identity_authenticate_for(v->control, v->req, AUDIENCE_VAULT, &v->caller, &ignored, err) ==
        0)
        return 0;
    if (err->code->status == 401)
        challenge(v, has_token ? "invalid_token" : NULL);
    return -1;
}

void vault_refuse(struct http_request *req)
{
    struct vault_call v = { .req = req, .arena = req->arena, .control = req->app };
    struct error err;

    challenge(&v, NULL);
    (void)fail(&err, &E_UNAUTHENTICATED, "AKV10000: Request is missing a Bearer or PoP token.");
    vault_reply_error(req, &err);
}

static int run(struct vault_call *v, struct error *err)
{
    const struct vault_endpoint *e = v->req->route->plane;

    if (authenticate(v, err) || find_vault(v, err) || check_version(v, err) ||
        read_path(v, e, err) || vault_authorise(v, e, err) || (e->needs_body && read_body(v, err)))
        return -1;
    return e->run(v, err);
}

void vault_serve(struct http_request *req)
{
    struct vault_call *v = ARENA_NEW(req->arena, struct vault_call);
    struct error err = { 0 };

    *v = (struct vault_call){ .req = req, .arena = req->arena, .control = req->app };
    if (run(v, &err))
        vault_reply_error(req, &err);
}

struct work {
    struct vault_call *call;
    pg_work *fn;
    void *ctx;
};

static int hold(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct work *w = ctx;
    struct resource *vault = NULL;
    int found = resource_share(conn, a, w->call->vault->key, &vault, err);

    if (found < 0)
        return -1;
    if (!found || !text_eq(vault->uid, w->call->vault->uid))
        return fail(err, &E_VAULT_MISSING, "The key vault '%s' was deleted.",
                    w->call->vault->name);
    return w->fn(conn, a, w->ctx, err);
}

int vault_transact(struct vault_call *v, pg_work *fn, void *ctx, struct error *err)
{
    struct work w = { .call = v, .fn = fn, .ctx = ctx };

    return pg_transact(v->control->db, v->arena, hold, &w, err);
}

static int load(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct vault_call *v = ctx;

    v->found = vault_version_get(conn, a, &v->query, v->version, &v->object, err);
    return v->found < 0 ? -1 : 0;
}

int vault_load(struct vault_call *v, struct error *err)
{
    if (pg_with(v->control->db, v->arena, load, v, err))
        return -1;
    return v->found ? 0 : vault_fail_missing(v, err);
}

/* What the request says of an object, over what it is --------------------------------------------- */

static int read_time(const struct json_object *attributes, const char *name, int64_t *us,
                     struct error *err)
{
    if (!json_has(attributes, name))
        return 0;
    if (!json_at(attributes, name)) {
        *us = 0;
        return 0;
    }
    if (json_kind(json_at(attributes, name)) != JSON_INT || json_int(attributes, name, 0) < 0 ||
        json_int(attributes, name, 0) > 253402300799)
        return fail(err, &E_VAULT_PARAMETER, "The attribute '%s' is a number of seconds since 1970.",
                    name);
    *us = json_int(attributes, name, 0) * 1000000;
    return 0;
}

struct tag_check {
    bool is_bad;
};

static void check_tag(void *ctx, const char *key, struct json_object *value)
{
    struct tag_check *check = ctx;
    const char *text = json_text(value, "");

    check->is_bad = check->is_bad || strlen(key) > TAG_MAX_BYTES || !text ||
                    strlen(text) > TAG_MAX_BYTES;
}

int vault_read_common(struct vault_call *v, struct vault_version *object, struct error *err)
{
    struct json_object *attributes = json_at(v->body, "attributes"), *tags = json_at(v->body, "tags");
    struct tag_check check = { false };

    if ((attributes && json_kind(attributes) != JSON_OBJECT) ||
        (tags && json_kind(tags) != JSON_OBJECT))
        return fail(err, &E_VAULT_PARAMETER, "The attributes and the tags are objects.");
    if (json_at(attributes, "enabled") && json_kind(json_at(attributes, "enabled")) != JSON_BOOL)
        return fail(err, &E_VAULT_PARAMETER, "The attribute 'enabled' is true or false.");
    object->is_enabled = json_bool(attributes, "enabled", object->is_enabled);
    if (read_time(attributes, "nbf", &object->not_before_us, err) ||
        read_time(attributes, "exp", &object->expires_us, err))
        return -1;
    if (object->expires_us && object->not_before_us >= object->expires_us)
        return fail(err, &E_VAULT_PARAMETER, "The attribute 'exp' must be after 'nbf'.");
    if (!tags)
        return 0;
    json_each(tags, check_tag, &check);
    if (check.is_bad || json_count(tags) > TAGS_MAX)
        return fail(err, &E_VAULT_PARAMETER,
                    "There are at most %d tags, texts of at most %d bytes.", TAGS_MAX,
                    TAG_MAX_BYTES);
    object->tags = tags;
    return 0;
}

int vault_fail_parameter(struct error *err)
{
    if (err->code == &E_INVALID)
        err->code = &E_VAULT_PARAMETER;
    return -1;
}

char *vault_context(struct arena *a, const char *version_uid)
{
    return arena_printf(a, "vault-version/%s", version_uid);
}
