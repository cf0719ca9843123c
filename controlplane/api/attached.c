/* User-assigned identities that a resource is given. Their principals are written into the body
 * once: they cannot change while the identity is there. */
#include "controlplane/api/attached.h"

#include <string.h>

#include "common/base/arena.h"
#include "common/base/text.h"
#include "common/json/json.h"
#include "common/pg/pg.h"

#include "controlplane/api/call.h"
#include "controlplane/api/errors.h"
#include "controlplane/types/shared.h"
#include "controlplane/types/user_assigned_identity.h"

#define MEMBER "identity.userAssignedIdentities"
#define ASSIGN "Microsoft.ManagedIdentity/userAssignedIdentities/*/assign/action"

struct attaching {
    struct call *c;
    struct json_object *was;
    struct json_object *out;
    const char *id;
    struct resource *identity;
    int found;
    int rc;
    struct error *err;
};

static int find(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct attaching *x = ctx;

    x->found = resource_peek(conn, a, text_lower(a, x->id), &x->identity, err);
    return x->found < 0 ? -1 : 0;
}

static int attach(struct attaching *x)
{
    struct call *c = x->c;
    struct json_object *entry;

    if (pg_with(c->control->db, c->arena, find, x, x->err))
        return -1;
    if (!x->found ||
        !text_eq(x->identity->type_key, type_key(c->arena, &user_assigned_identity_type)))
        return fail_at(x->err, &E_BAD_IDENTITY, MEMBER,
                       "The user-assigned identity '%.300s' could not be found.", x->id);
    if (access_check(c->control, c->arena, &c->caller, ASSIGN, x->identity->id, x->err))
        return -1;
    entry = json_new_object();
    json_set_text(entry, "principalId", x->identity->uid);
    json_set_text(entry, "clientId", identity_client_id(c->arena, x->identity->uid));
    json_set(x->out, x->id, entry);
    return 0;
}

struct search {
    const char *id;
    struct json_object *found;
};

static void match(void *ctx, const char *key, struct json_object *value)
{
    struct search *s = ctx;

    if (text_eq_nocase(key, s->id) && json_text(value, "principalId"))
        s->found = value;
}

static void visit(void *ctx, const char *key, struct json_object *value)
{
    struct attaching *x = ctx;
    struct search before = { .id = key };

    (void)value;
    if (x->rc < 0)
        return;
    if (x->was)
        json_each(x->was, match, &before);
    x->id = key;
    if (before.found)
        json_set(x->out, key, json_get(before.found));
    else
        x->rc = attach(x);
}

int attached_settle(struct call *c, struct json_object *body, struct error *err)
{
    const struct json_object *wanted = json_at(body, MEMBER);
    struct attaching x = { .c = c, .err = err };

    if (json_kind(wanted) != JSON_OBJECT || !fields_find(c->type->fields, MEMBER))
        return 0;
    x.was = c->was ? json_at(c->was->body, MEMBER) : NULL;
    x.out = json_own(c->arena, json_new_object());
    json_each(wanted, visit, &x);
    if (x.rc < 0)
        return -1;
    json_put_at(body, MEMBER, json_get(x.out));
    return 0;
}
