/* What keys and secrets have in common: how they are shown, listed, deleted, recovered and purged. */
#include "controlplane/keyvault/call.h"

#include "common/base/arena.h"
#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/text.h"
#include "common/json/json.h"

#include "controlplane/keyvault/secrets.h"
#include "controlplane/types/vault.h"

#define PAGE_DEFAULT 25
#define PAGE_MAX     25

static const struct kind {
    const char *folder, *deleted_folder, *word;
    const struct error_code *missing;
} kinds[VAULT_KIND_MAX] = {
    [VAULT_KEY] = { "keys", "deletedkeys", "key", &E_KEY_NOT_FOUND },
    [VAULT_SECRET] = { "secrets", "deletedsecrets", "secret", &E_SECRET_NOT_FOUND },
};

static char *plain_version(struct arena *a, const char *uuid)
{
    return arena_printf(a, "%.8s%.4s%.4s%.4s%.12s", uuid, uuid + 9, uuid + 14, uuid + 19,
                        uuid + 24);
}

int vault_fail_missing(const struct vault_call *v, struct error *err)
{
    const struct kind *k = &kinds[v->query.kind];

    if (v->query.is_deleted)
        return fail(err, k->missing, "Deleted %s not found: %s", k->word, v->name);
    return fail(err, k->missing,
                "A %s with (name/id) %s was not found in this key vault. If you recently deleted "
                "this %s you may be able to recover it using the correct recovery command. For "
                "help resolving this issue, please see "
                "https://go.microsoft.com/fwlink/?linkid=2125182",
                k->word, v->name, k->word);
}

char *vault_object_id(const struct vault_call *v, const struct vault_version *object,
                      bool has_version)
{
    const char *base = vault_uri(v->arena, v->control, v->vault->name);
    const char *folder = kinds[v->query.kind].folder;

    if (!has_version)
        return arena_printf(v->arena, "%s%s/%s", base, folder, object->name);
    return arena_printf(v->arena, "%s%s/%s/%s", base, folder, object->name,
                        plain_version(v->arena, object->uid));
}

char *vault_recovery_id(const struct vault_call *v, const struct vault_version *object)
{
    return arena_printf(v->arena, "%s%s/%s", vault_uri(v->arena, v->control, v->vault->name),
                        kinds[v->query.kind].deleted_folder, object->name);
}

static int64_t retention_days(const struct vault_call *v)
{
    return json_int(v->vault->body, "properties.softDeleteRetentionInDays", 90);
}

static bool is_protected(const struct vault_call *v)
{
    return json_bool(v->vault->body, "properties.enablePurgeProtection", false);
}

static const char *recovery_level(const struct vault_call *v)
{
    bool is_custom = retention_days(v) < 90;

    if (is_protected(v))
        return is_custom ? "CustomizedRecoverable" : "Recoverable";
    return is_custom ? "CustomizedRecoverable+Purgeable" : "Recoverable+Purgeable";
}

static void set_time(struct json_object *out, const char *name, int64_t us)
{
    if (us)
        json_set_int(out, name, us / 1000000);
}

void vault_show_common(const struct vault_call *v, const struct vault_version *object,
                       struct json_object *out)
{
    struct json_object *attributes = json_new_object();

    json_set_bool(attributes, "enabled", object->is_enabled);
    set_time(attributes, "nbf", object->not_before_us);
    set_time(attributes, "exp", object->expires_us);
    set_time(attributes, "created", object->created_us);
    set_time(attributes, "updated", object->updated_us);
    json_set_text(attributes, "recoveryLevel", recovery_level(v));
    json_set_int(attributes, "recoverableDays", retention_days(v));
    json_set(out, "attributes", attributes);
    if (json_count(object->tags) > 0)
        json_set(out, "tags", json_get(object->tags));
    if (!object->deleted_us)
        return;
    json_set_text(out, "recoveryId", vault_recovery_id(v, object));
    set_time(out, "deletedDate", object->deleted_us);
    set_time(out, "scheduledPurgeDate", object->purge_us);
}

static void show_key(const struct vault_call *v, const struct vault_version *object,
                     struct json_object *out)
{
    struct json_object *jwk = json_copy(json_at(object->shown, "key"));

    json_set_text(jwk, "kid", vault_object_id(v, object, true));
    json_set(out, "key", jwk);
}

struct json_object *vault_bundle(const struct vault_call *v, const struct vault_version *object,
                                 const char *value)
{
    struct json_object *out = json_new_object();

    if (v->query.kind == VAULT_KEY) {
        show_key(v, object, out);
    } else {
        if (value)
            json_set_text(out, "value", value);
        json_set_text(out, "id", vault_object_id(v, object, true));
        if (json_text(object->shown, "contentType"))
            json_set_text(out, "contentType", json_text(object->shown, "contentType"));
    }
    vault_show_common(v, object, out);
    return out;
}

struct json_object *vault_item(const struct vault_call *v, const struct vault_version *object,
                               bool has_version)
{
    struct json_object *out = json_new_object();

    json_set_text(out, v->query.kind == VAULT_KEY ? "kid" : "id",
                  vault_object_id(v, object, has_version));
    if (json_text(object->shown, "contentType"))
        json_set_text(out, "contentType", json_text(object->shown, "contentType"));
    vault_show_common(v, object, out);
    return out;
}

/* Lists ------------------------------------------------------------------------------------------ */

struct page {
    struct vault_call *call;
    const char *after; /* a name */
    int64_t after_position;
    int64_t limit;
    struct vault_version *items;
    size_t count;
};

static int read_page(struct vault_call *v, bool is_of_versions, struct page *ret, struct error *err)
{
    const char *size = http_query_nocase(v->req, "maxresults");
    const char *after = http_query_nocase(v->req, "$skiptoken");

    *ret = (struct page){ .call = v, .limit = PAGE_DEFAULT };
    if (size && (!text_parse_i64(size, &ret->limit) || ret->limit < 1 || ret->limit > PAGE_MAX))
        return fail(err, &E_VAULT_PARAMETER, "maxresults is a number from 1 to %d.", PAGE_MAX);
    if (!after || !after[0])
        return 0;
    if (is_of_versions ? !text_parse_i64(after, &ret->after_position)
                       : vault_check_name(after, err) != 0)
        return fail(err, &E_VAULT_PARAMETER, "The $skiptoken is not one of this service's.");
    ret->after = text_lower(v->arena, after);
    return 0;
}

static void reply_page(struct page *p, bool is_of_versions)
{
    struct vault_call *v = p->call;
    struct json_object *body = json_new_object(), *value = json_new_array();
    size_t shown = p->count < (size_t)p->limit ? p->count : (size_t)p->limit;
    const struct vault_version *last = shown ? &p->items[shown - 1] : NULL;
    const char *token;

    for (size_t i = 0; i < shown; i++)
        json_add(value, vault_item(v, &p->items[i], is_of_versions));
    json_set(body, "value", value);
    if (p->count > shown && last) {
        token = is_of_versions ? arena_printf(v->arena, "%lld", (long long)last->position)
                               : text_lower(v->arena, last->name);
        json_set_text(body, "nextLink",
                      arena_printf(v->arena, "%s%s?api-version=%s&$skiptoken=%s&maxresults=%lld",
                                   vault_uri(v->arena, v->control, v->vault->name),
                                   v->req->path + 1, v->api_version, token, (long long)p->limit));
    } else {
        json_set_text(body, "nextLink", NULL);
    }
    vault_reply(v, 200, body);
}

static int list(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct page *p = ctx;

    return vault_object_list(conn, a, &p->call->query, p->after, p->limit + 1, &p->items, &p->count,
                             err);
}

int vault_run_list(struct vault_call *v, struct error *err)
{
    struct page p;

    if (read_page(v, false, &p, err) || pg_with(v->control->db, v->arena, list, &p, err))
        return -1;
    reply_page(&p, false);
    return 0;
}

static int list_versions(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct page *p = ctx;

    return vault_version_list(conn, a, &p->call->query, p->after_position, p->limit + 1, &p->items,
                              &p->count, err);
}

int vault_run_versions(struct vault_call *v, struct error *err)
{
    struct page p;

    if (read_page(v, true, &p, err) || pg_with(v->control->db, v->arena, list_versions, &p, err))
        return -1;
    reply_page(&p, true);
    return 0;
}

/* One object ------------------------------------------------------------------------------------- */

int vault_run_show(struct vault_call *v, struct error *err)
{
    if (vault_load(v, err))
        return -1;
    vault_reply(v, 200, vault_bundle(v, &v->object, NULL));
    return 0;
}

static int remove_object(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct vault_call *v = ctx;
    struct vault_query gone = v->query;

    v->found = vault_object_delete(conn, a, &v->query, retention_days(v), err);
    if (v->found <= 0)
        return v->found;
    gone.is_deleted = true;
    v->found = vault_version_get(conn, a, &gone, NULL, &v->object, err);
    return v->found < 0 ? -1 : 0;
}

int vault_run_delete(struct vault_call *v, struct error *err)
{
    if (vault_transact(v, remove_object, v, err))
        return -1;
    if (!v->found)
        return vault_fail_missing(v, err);
    vault_reply(v, 200, vault_bundle(v, &v->object, NULL));
    return 0;
}

static int recover(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct vault_call *v = ctx;
    struct vault_query back = v->query;

    v->found = vault_object_recover(conn, a, &v->query, err);
    if (v->found <= 0)
        return v->found;
    back.is_deleted = false;
    v->found = vault_version_get(conn, a, &back, NULL, &v->object, err);
    return v->found < 0 ? -1 : 0;
}

int vault_run_recover(struct vault_call *v, struct error *err)
{
    if (vault_transact(v, recover, v, err))
        return -1;
    if (!v->found)
        return vault_fail_missing(v, err);
    vault_reply(v, 200, vault_bundle(v, &v->object, NULL));
    return 0;
}

static int purge(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct vault_call *v = ctx;

    v->found = vault_object_purge(conn, a, &v->query, err);
    return v->found < 0 ? -1 : 0;
}

int vault_run_purge(struct vault_call *v, struct error *err)
{
    if (is_protected(v))
        return fail(err, &E_PURGE_PROTECTED,
                    "Operation \"purge\" is not allowed because purge protection is enabled for "
                    "this vault.");
    if (vault_transact(v, purge, v, err))
        return -1;
    if (!v->found)
        return vault_fail_missing(v, err);
    http_reply_empty(v->req, 204);
    return 0;
}

static int change(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct vault_call *v = ctx;
    const char *type = json_text(v->body, "contentType");

    v->found = vault_version_get(conn, a, &v->query, v->version, &v->object, err);
    if (v->found <= 0)
        return v->found;
    if (vault_read_common(v, &v->object, err))
        return -1;
    if (v->query.kind == VAULT_SECRET && type)
        json_set_text(v->object.shown, "contentType", type);
    if (v->query.kind == VAULT_KEY && json_at(v->body, "key_ops"))
        json_put_at(v->object.shown, "key.key_ops", json_copy(json_at(v->body, "key_ops")));
    return vault_version_change(conn, a, &v->object, err);
}

int vault_run_change(struct vault_call *v, struct error *err)
{
    if (vault_transact(v, change, v, err))
        return -1;
    if (!v->found)
        return vault_fail_missing(v, err);
    vault_reply(v, 200, vault_bundle(v, &v->object, NULL));
    return 0;
}
