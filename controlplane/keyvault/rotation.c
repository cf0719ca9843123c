/* Rotation policies: a key gets its next version by itself, so long after the newest was made or before it
 * expires, and what is made expires after the policy's time. A notice before the expiry is kept with the
 * policy; there is nobody here to send it to. */
#include "controlplane/keyvault/keyvault.h"

#include <stdlib.h>

#include "common/base/arena.h"
#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/log.h"
#include "common/base/text.h"
#include "common/crypto/key_pair.h"
#include "common/json/fields.h"
#include "common/json/json.h"

#include "controlplane/keyvault/call.h"
#include "controlplane/keyvault/keys.h"
#include "controlplane/types/rows.h"
#include "controlplane/types/vault.h"

/* https://learn.microsoft.com/azure/key-vault/keys/how-to-configure-key-rotation */
#define EXPIRY_MIN_DAYS 28
#define TRIGGER_MIN_DAYS 7
#define ACTIONS_MAX 2
#define DUE_MAX 4 /* at once: making a key takes its time */

#define DURATION "P([0-9]{1,4}Y)?([0-9]{1,4}M)?([0-9]{1,4}W)?([0-9]{1,5}D)?(T[0-9]{1,6}H)?"
#define ROW_DURATION(path) { ROW(path, FIELD_TEXT), RW, .pattern = DURATION, .min = 3, .max = 32 }

static const char *const kinds[] = { "Rotate", "Notify", NULL };

static const struct field action_fields[] = {
    ROW_DURATION("trigger.timeAfterCreate"),
    ROW_DURATION("trigger.timeBeforeExpiry"),
    { ROW("action.type", FIELD_TEXT), .flags = FIELD_RW | FIELD_REQUIRED | FIELD_NOCASE,
      .oneof = kinds },
    { 0 },
};

static const struct field policy_fields[] = {
    { ROW("lifetimeActions", FIELD_LIST), RW, .def = "[]", .of = action_fields, .of_size = 1,
      .max = ACTIONS_MAX },
    ROW_DURATION("attributes.expiryTime"),
    { 0 },
};

/* The policy of a key without one, as the service documents it. */
static const char default_policy[] =
    "{\"lifetimeActions\":[{\"trigger\":{\"timeBeforeExpiry\":\"P30D\"},"
    "\"action\":{\"type\":\"Notify\"}}],\"attributes\":{}}";

/* Of a checked duration, roughly: months have 30 days here, and days 24 hours. */
static int64_t days_of(const char *duration)
{
    static const struct {
        char unit;
        int hours;
    } units[] = { { 'Y', 365 * 24 }, { 'M', 30 * 24 }, { 'W', 7 * 24 }, { 'D', 24 }, { 'H', 1 } };
    int64_t hours = 0;

    for (const char *at = duration; *at;) {
        char *end = NULL;
        long n;

        if (*at < '0' || *at > '9') {
            at++;
            continue;
        }
        n = strtol(at, &end, 10);
        for (size_t i = 0; i < ARRAY_LEN(units); i++)
            hours += units[i].unit == *end ? n * units[i].hours : 0;
        at = end;
    }
    return hours / 24;
}

static int check_action(const struct json_object *policy, const struct json_object *item,
                        struct error *err)
{
    const char *after = json_text(item, "trigger.timeAfterCreate");
    const char *before = json_text(item, "trigger.timeBeforeExpiry");
    const char *expiry = json_text(policy, "attributes.expiryTime");
    int64_t days = after || before ? days_of(after ? after : before) : 0;

    if (!after == !before)
        return fail(err, &E_VAULT_PARAMETER,
                    "An action has one trigger: 'timeAfterCreate' or 'timeBeforeExpiry'.");
    if (after && text_eq(json_text(item, "action.type"), "Notify"))
        return fail(err, &E_VAULT_PARAMETER, "The trigger of 'Notify' is 'timeBeforeExpiry'.");
    if (days < TRIGGER_MIN_DAYS || (expiry && days > days_of(expiry) - TRIGGER_MIN_DAYS))
        return fail(err, &E_VAULT_PARAMETER,
                    "A trigger is at least %d days from the creation and from the expiry.",
                    TRIGGER_MIN_DAYS);
    return 0;
}

static int check_policy(struct vault_call *v, struct error *err)
{
    const struct json_object *list;
    const char *expiry;

    if (fields_check(v->arena, policy_fields, v->body, true, &E_VAULT_PARAMETER, err))
        return -1;
    list = json_at(v->body, "lifetimeActions");
    expiry = json_text(v->body, "attributes.expiryTime");
    if (expiry && days_of(expiry) < EXPIRY_MIN_DAYS)
        return fail(err, &E_VAULT_PARAMETER, "The expiryTime is at least %d days.", EXPIRY_MIN_DAYS);
    for (size_t i = 0; i < json_count(list); i++) {
        if (check_action(v->body, json_item(list, i), err))
            return -1;
    }
    if (json_count(list) == ACTIONS_MAX && text_eq(json_text(json_item(list, 0), "action.type"),
                                                   json_text(json_item(list, 1), "action.type")))
        return fail(err, &E_VAULT_PARAMETER, "There is one action to rotate, and one to notify.");
    return 0;
}

struct policy {
    struct vault_call *call;
    struct json_object *kept, *wanted;
};

static int read_policy(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct policy *p = ctx;
    struct vault_call *v = p->call;
    int64_t ignored;

    v->found = vault_rotation_get(conn, a, &v->query, &p->kept, &ignored, err);
    if (v->found > 0) /* for the name as it was written */
        v->found = vault_version_get(conn, a, &v->query, NULL, &v->object, err);
    return v->found < 0 ? -1 : 0;
}

static void reply_policy(struct vault_call *v, const struct json_object *policy)
{
    struct json_object *out = json_copy(policy);

    json_set_text(out, "id", arena_printf(v->arena, "%s/rotationpolicy",
                                          vault_object_id(v, &v->object, false)));
    vault_reply(v, 200, out);
}

static int run_show(struct vault_call *v, struct error *err)
{
    struct policy p = { .call = v };

    if (pg_with(v->control->db, v->arena, read_policy, &p, err))
        return -1;
    if (!v->found)
        return vault_fail_missing(v, err);
    if (!p.kept && json_parse_object(default_policy, sizeof(default_policy) - 1,
                                     sizeof(default_policy), &p.kept, err))
        return wrap(err, "default rotation policy");
    reply_policy(v, json_own(v->arena, json_get(p.kept)));
    return 0;
}

/* The members that the table knows, and no others. */
static struct json_object *kept_members(const struct vault_call *v, const struct json_object *was)
{
    struct json_object *out = json_own(v->arena, json_new_object()), *list = json_new_array();
    const struct json_object *given = json_at(v->body, "lifetimeActions");
    int64_t now = clock_wall_us() / 1000000;

    for (size_t i = 0; i < json_count(given); i++) {
        struct json_object *item = json_new_object();

        for (const struct field *f = action_fields; f->path; f++) {
            if (json_text(json_item(given, i), f->path))
                json_put_at(item, f->path, json_new_text(json_text(json_item(given, i), f->path)));
        }
        json_add(list, item);
    }
    json_set(out, "lifetimeActions", list);
    if (json_text(v->body, "attributes.expiryTime"))
        json_put_at(out, "attributes.expiryTime",
                    json_new_text(json_text(v->body, "attributes.expiryTime")));
    json_put_at(out, "attributes.created", json_new_int(json_int(was, "attributes.created", now)));
    json_put_at(out, "attributes.updated", json_new_int(now));
    return out;
}

static int write_policy(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct policy *p = ctx;
    struct vault_call *v = p->call;

    if (read_policy(conn, a, p, err))
        return -1;
    if (!v->found)
        return 0;
    p->wanted = kept_members(v, p->kept);
    v->found = vault_rotation_set(conn, a, &v->query, p->wanted, err);
    return v->found < 0 ? -1 : 0;
}

static int run_set(struct vault_call *v, struct error *err)
{
    struct policy p = { .call = v };

    if (check_policy(v, err) || vault_transact(v, write_policy, &p, err))
        return -1;
    if (!v->found)
        return vault_fail_missing(v, err);
    reply_policy(v, p.wanted);
    return 0;
}

/* By themselves ---------------------------------------------------------------------------------- */

struct turn {
    const struct due_key *key;
    struct vault_version version; /* the newest one, and then the next */
    struct due_key *all;
    size_t count;
    int found;
};

static int find_due(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct turn *t = ctx;

    return vault_rotation_due(conn, a, DUE_MAX, &t->all, &t->count, err);
}

static int read_newest(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct turn *t = ctx;

    t->found = vault_version_get(conn, a, &t->key->query, NULL, &t->version, err);
    return t->found < 0 ? -1 : 0;
}

/* The first of several control planes makes the version; to the others the key is not due. */
static int add_next(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    const struct vault_query *q;
    struct turn *t = ctx;
    struct json_object *policy = NULL;
    struct resource *vault = NULL;

    q = &t->key->query;
    t->found = resource_share(conn, a, t->key->vault_key, &vault, err);
    if (t->found <= 0 || !text_eq(vault->uid, q->vault_uid))
        return t->found < 0 ? -1 : 0;
    t->found = vault_rotation_take(conn, a, q, err);
    if (t->found <= 0)
        return t->found;
    if (vault_rotation_get(conn, a, q, &policy, &t->version.expires_us, err) < 0)
        return -1;
    t->found = vault_version_add(conn, a, q, &t->version, err);
    return t->found < 0 ? -1 : 0;
}

static int rotate(struct control *control, struct arena *a, struct turn *t, struct error *err)
{
    _cleanup_(key_pair_freep) struct key_pair *key = NULL;
    struct log_line l;

    if (pg_with(control->db, a, read_newest, t, err))
        return -1;
    if (!t->found)
        return 0;
    key = vault_key_like(t->version.shown);
    t->version.is_enabled = true;
    t->version.not_before_us = 0;
    vault_key_version(a, control, key, json_at(t->version.shown, "key.key_ops"), &t->version);
    if (pg_transact(control->db, a, add_next, t, err))
        return -1;
    if (!t->found)
        return 0;
    log_start(&l, LOG_INFO, "vault.rotated");
    log_text(&l, "vault", t->key->vault_key);
    log_text(&l, "key", t->version.name);
    log_text(&l, "version", t->version.uid);
    log_end(&l);
    return 0;
}

int keyvault_rotate_due(struct control *control, struct arena *a, struct error *err)
{
    struct turn t = { 0 };
    struct error reason;
    int rotated = 0;

    if (pg_with(control->db, a, find_due, &t, err))
        return -1;
    for (size_t i = 0; i < t.count; i++) {
        t.key = &t.all[i];
        if (rotate(control, a, &t, &reason))
            log_failure(LOG_WARN, "vault.rotation-failed", &reason);
        else
            rotated += t.found > 0;
    }
    return rotated;
}

const struct vault_endpoint key_policy = { .kind = VAULT_KEY, .right = "getrotationpolicy",
                                           .action = "keyrotationpolicies/read",
                                           .has_name = true, .run = run_show };
const struct vault_endpoint key_policy_set = { .kind = VAULT_KEY, .right = "setrotationpolicy",
                                               .action = "keyrotationpolicies/write",
                                               .needs_body = true, .has_name = true,
                                               .run = run_set };
