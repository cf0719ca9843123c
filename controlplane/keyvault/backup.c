/* Backups of keys and secrets: one object with all its versions, sealed with the service key, for a vault of
 * the same subscription. What is in it was wrapped before and stays so: no value is in the clear on the way
 * out or back. The form is a sealed file (common/crypto/seal.h), whose header says its version, around a JSON
 * object with the members that are written here; CONTEXT says the version of these. */
#include "controlplane/keyvault/call.h"

#include <string.h>

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/base/text.h"
#include "common/crypto/seal.h"
#include "common/json/json.h"

#define CONTEXT "vault-backup/1"
#define PLAIN_MAX_BYTES (4u << 20) /* in base64 with its wrapping it fits VAULT_BACKUP_MAX_BYTES */
/* https://learn.microsoft.com/azure/key-vault/general/backup: of more, none is made. */
#define VERSIONS_MAX 500

static const struct error_code E_OBJECT_EXISTS = { "ObjectAlreadyExists", 409 };
static const char *const kind_names[VAULT_KIND_MAX] = { [VAULT_KEY] = "key",
                                                        [VAULT_SECRET] = "secret" };

struct backup {
    struct vault_call *call;
    struct vault_version *versions;
    size_t count;
    struct json_object *rotation; /* of a key; NULL: none */
    const char *name;
};

/* Sealing ---------------------------------------------------------------------------------------- */

static const char *seal_text(const struct vault_call *v, const char *text, size_t len)
{
    size_t total = (size_t)seal_file_bytes(len), at = SEAL_HEADER_BYTES, done = 0;
    uint8_t *out = arena_alloc(v->arena, total);
    struct sealer *s = sealer_new(v->control->service_key.bytes, 0, CONTEXT, out);

    while (done < len) {
        size_t part = len - done < SEAL_CHUNK_BYTES ? len - done : SEAL_CHUNK_BYTES;

        sealer_chunk(s, text + done, part, done + part == len, out + at);
        done += part;
        at += part + SEAL_TAG_BYTES;
    }
    sealer_free(s);
    return text_base64url(v->arena, out, total);
}

static void opener_freep(struct opener **o)
{
    opener_free(*o);
}

/* NULL: it is none of ours. */
static char *unseal(const struct vault_call *v, const uint8_t *sealed, size_t len, size_t *ret_len)
{
    _cleanup_(opener_freep) struct opener *o = NULL;
    size_t at = SEAL_HEADER_BYTES, done = 0;
    struct error ignored;
    char *out;

    if (len <= SEAL_HEADER_BYTES + SEAL_TAG_BYTES ||
        opener_new(v->control->service_key.bytes, CONTEXT, sealed, &o, &ignored))
        return NULL;
    out = arena_alloc(v->arena, len);
    for (uint64_t i = 0; at < len; i++) {
        size_t whole = SEAL_CHUNK_BYTES + SEAL_TAG_BYTES;
        size_t part = len - at < whole ? len - at : whole;

        if (part <= SEAL_TAG_BYTES ||
            opener_chunk(o, i, sealed + at, part, at + part == len, out + done, &ignored))
            return NULL;
        at += part;
        done += part - SEAL_TAG_BYTES;
    }
    *ret_len = done;
    return out;
}

/* Out -------------------------------------------------------------------------------------------- */

static struct json_object *show_version(const struct vault_version *x)
{
    struct json_object *out = json_new_object();

    json_set_text(out, "uid", x->uid);
    json_set_text(out, "wrapped", x->wrapped);
    json_set(out, "shown", json_get(x->shown));
    json_set(out, "tags", json_get(x->tags));
    json_set_bool(out, "enabled", x->is_enabled);
    json_set_int(out, "notBefore", x->not_before_us);
    json_set_int(out, "expires", x->expires_us);
    json_set_int(out, "created", x->created_us);
    json_set_int(out, "updated", x->updated_us);
    return out;
}

static struct json_object *show_backup(const struct backup *b)
{
    struct json_object *out = json_new_object(), *list = json_new_array();

    json_set_text(out, "kind", kind_names[b->call->query.kind]);
    json_set_text(out, "name", b->versions[0].name);
    json_set_text(out, "subscription", b->call->vault->subscription_id);
    if (b->rotation)
        json_set(out, "rotation", json_get(b->rotation));
    for (size_t i = 0; i < b->count; i++)
        json_add(list, show_version(&b->versions[i]));
    json_set(out, "versions", list);
    return out;
}

static int read_all(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct backup *b = ctx;
    const struct vault_query *q = &b->call->query;
    int64_t ignored;

    if (q->kind == VAULT_KEY && vault_rotation_get(conn, a, q, &b->rotation, &ignored, err) < 0)
        return -1;
    return vault_version_list(conn, a, q, 0, VERSIONS_MAX + 1, &b->versions, &b->count, err);
}

static int run_backup(struct vault_call *v, struct error *err)
{
    struct backup b = { .call = v };
    struct json_object *out;
    const char *text;
    size_t len = 0;

    if (pg_with(v->control->db, v->arena, read_all, &b, err))
        return -1;
    if (b.count == 0)
        return vault_fail_missing(v, err);
    text = json_print_len(v->arena, json_own(v->arena, show_backup(&b)), &len);
    if (b.count > VERSIONS_MAX || len > PLAIN_MAX_BYTES)
        return fail(err, &E_VAULT_PARAMETER,
                    "A %s with more than %d versions, or more than %u bytes, is not backed up.",
                    kind_names[v->query.kind], VERSIONS_MAX, PLAIN_MAX_BYTES);
    out = json_new_object();
    json_set_text(out, "value", seal_text(v, text, len));
    vault_reply(v, 200, out);
    return 0;
}

/* Back ------------------------------------------------------------------------------------------- */

static struct vault_version read_version(const struct json_object *from)
{
    return (struct vault_version){
        .uid = json_text(from, "uid"),
        .wrapped = json_text(from, "wrapped"),
        .shown = json_at(from, "shown"),
        .tags = json_at(from, "tags"),
        .is_enabled = json_bool(from, "enabled", true),
        .not_before_us = json_int(from, "notBefore", 0),
        .expires_us = json_int(from, "expires", 0),
        .created_us = json_int(from, "created", 0),
        .updated_us = json_int(from, "updated", 0),
    };
}

/* What is authentic was written by show_backup(), and is well formed. */
static int read_backup(struct backup *b, const struct json_object *from, struct error *err)
{
    const struct json_object *list = json_at(from, "versions");
    struct vault_call *v = b->call;

    if (!text_eq(json_text(from, "kind"), kind_names[v->query.kind]))
        return fail(err, &E_VAULT_PARAMETER, "The backup is none of a %s.",
                    kind_names[v->query.kind]);
    if (!text_eq(json_text(from, "subscription"), v->vault->subscription_id))
        return fail(err, &E_VAULT_PARAMETER,
                    "The backup is of a vault in another subscription, and is restored there only.");
    b->name = json_text(from, "name");
    b->rotation = json_at(from, "rotation");
    b->count = json_count(list);
    b->versions = arena_array(v->arena, b->count + 1, sizeof(*b->versions));
    for (size_t i = 0; i < b->count; i++)
        b->versions[i] = read_version(json_item(list, i));
    v->query.name_key = text_lower(v->arena, b->name);
    return 0;
}

static int open_backup(struct backup *b, struct error *err)
{
    const char *value = json_text(b->call->body, "value");
    struct json_object *parsed = NULL;
    uint8_t *sealed = NULL;
    struct error ignored;
    size_t len = 0;
    char *text = NULL;

    if (value)
        sealed = text_unbase64(b->call->arena, value, strlen(value), &len);
    if (sealed)
        text = unseal(b->call, sealed, len, &len);
    if (!text || json_parse_object(text, len, PLAIN_MAX_BYTES, &parsed, &ignored))
        return fail(err, &E_VAULT_PARAMETER,
                    "The parameter 'value' is no backup that was made here, or it was changed.");
    return read_backup(b, json_own(b->call->arena, parsed), err);
}

static int write_all(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct backup *b = ctx;
    struct vault_call *v = b->call;

    v->found = vault_object_restore(conn, a, &v->query, b->name, b->versions, b->count, err);
    if (v->found <= 0)
        return v->found;
    if (b->rotation && vault_rotation_set(conn, a, &v->query, b->rotation, err) < 0)
        return -1;
    return vault_version_get(conn, a, &v->query, NULL, &v->object, err) < 0 ? -1 : 0;
}

static int run_restore(struct vault_call *v, struct error *err)
{
    struct backup b = { .call = v };

    if (open_backup(&b, err) || vault_transact(v, write_all, &b, err))
        return -1;
    if (!v->found)
        return fail(err, &E_OBJECT_EXISTS,
                    "There is a %s '%s' in this key vault, or a deleted one that can be recovered: "
                    "a backup is restored where there is none.",
                    kind_names[v->query.kind], b.name);
    vault_reply(v, 200, vault_bundle(v, &v->object, NULL));
    return 0;
}

const struct vault_endpoint key_backup = { .kind = VAULT_KEY, .right = "backup",
                                           .action = "keys/backup/action", .has_name = true,
                                           .run = run_backup };
const struct vault_endpoint key_restore = { .kind = VAULT_KEY, .right = "restore",
                                            .action = "keys/restore/action", .needs_body = true,
                                            .run = run_restore };
const struct vault_endpoint secret_backup = { .kind = VAULT_SECRET, .right = "backup",
                                              .action = "secrets/backup/action", .has_name = true,
                                              .run = run_backup };
const struct vault_endpoint secret_restore = { .kind = VAULT_SECRET, .right = "restore",
                                               .action = "secrets/restore/action",
                                               .needs_body = true, .run = run_restore };
