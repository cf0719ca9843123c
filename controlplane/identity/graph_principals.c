/* Users, groups and members on the graph host, and look-ups of any principal by id. */
#include "controlplane/identity/graph.h"

#include <string.h>

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/base/text.h"
#include "common/crypto/secret.h"
#include "common/json/json.h"
#include "common/pg/pg.h"

#include "controlplane/store/providers.h"

#define NAME_MAX_BYTES 256
#define PASSWORD_MIN   8
#define PASSWORD_MAX   256
#define IDS_MAX        1000

struct work {
    struct graph_call *g;
    struct entry_filter filter;
    struct entry *entries;
    size_t count;
    struct entry row;
    const char *hash; /* of a new password */
    const char *kind;
    const char *other; /* the member */
    struct graph_scopes scopes;
    struct user_identity *identities; /* at other providers; of users */
    size_t identity_count;
    int found;
};

static int list(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct work *w = ctx;

    return entry_list(conn, a, &w->filter, &w->entries, &w->count, err);
}

static int run_list(struct graph_call *g, const char *kind, struct error *err)
{
    struct work w = { .g = g, .filter.kind = kind };

    if (graph_filter(g, &w.filter, err) || pg_with(g->control->db, g->arena, list, &w, err))
        return -1;
    graph_reply_list(g, w.entries, w.count);
    return 0;
}

static int fail_missing(const char *id, struct error *err)
{
    return fail(err, &E_GRAPH_MISSING,
                "Resource '%.100s' does not exist or one of its queried reference-property objects "
                "are not present.",
                id);
}

/* By id, or of a user by principal name. */
static int load(struct pg_conn *conn, struct work *w, const char *id, const char *kind,
                struct error *err)
{
    const char *ids[] = { id };
    struct entry_filter filter = { .tenant_id = w->g->caller.tenant_id, .kind = kind, .limit = 1 };
    struct entry *rows = NULL;
    size_t count = 0;

    if (uuid_is_valid(id)) {
        filter.ids = ids;
        filter.id_count = 1;
    } else if (text_eq(kind, "User")) {
        filter.upn = id;
    } else {
        return fail_missing(id, err);
    }
    if (entry_list(conn, w->g->arena, &filter, &rows, &count, err))
        return -1;
    if (count == 0)
        return fail_missing(id, err);
    w->row = rows[0];
    return 0;
}

static int read_one(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct work *w = ctx;

    if (load(conn, w, w->g->req->params[0], w->kind, err))
        return -1;
    if (!text_eq(w->row.kind, "User"))
        return 0;
    return user_identities(conn, a, w->row.id, &w->identities, &w->identity_count, err);
}

static void reply_row(struct graph_call *g, int status, const struct work *w)
{
    struct json_object *out = graph_show(g, &w->row);

    if (text_eq(w->row.kind, "User"))
        graph_identities_show(out, w->identities, w->identity_count);
    graph_reply(g, status, out);
}

static int run_one(struct graph_call *g, const char *kind, struct error *err)
{
    struct work w = { .g = g, .kind = kind };

    if (pg_with(g->control->db, g->arena, read_one, &w, err))
        return -1;
    reply_row(g, 200, &w);
    return 0;
}

/* Writing ------------------------------------------------------------------------------------- */

static int check_text(const char *name, const char *value, bool is_required, struct error *err)
{
    if (!value && !is_required)
        return 0;
    if (!value || !value[0] || strlen(value) > NAME_MAX_BYTES)
        return fail_at(err, &E_GRAPH_REQUEST, name, "The property '%s' is a text of 1 to %d bytes.",
                       name, NAME_MAX_BYTES);
    return 0;
}

/* A password that is set by an administrator. */
static int read_password(struct work *w, bool is_required, struct error *err)
{
    const char *password = json_text(w->g->body, "passwordProfile.password");
    size_t len = password ? strlen(password) : 0;
    char *hash = NULL;

    if (!password && !is_required)
        return 0;
    if (len < PASSWORD_MIN || len > PASSWORD_MAX)
        return fail_at(err, &E_GRAPH_REQUEST, "passwordProfile.password",
                       "A password has %d to %d bytes.", PASSWORD_MIN, PASSWORD_MAX);
    if (secret_hash_chosen(w->g->arena, password, &hash, err))
        return -1;
    w->hash = hash;
    return 0;
}

/* Lays the members of the body over the row. */
static int read_entry(struct work *w, bool is_new, struct error *err)
{
    const struct json_object *body = w->g->body;
    const char *name = json_text(body, "displayName");
    const char *upn = json_text(body, "userPrincipalName");
    const char *description = json_text(body, "description");
    bool is_user = text_eq(w->row.kind, "User");

    if (check_text("displayName", name, is_new, err) ||
        check_text("description", description, false, err) ||
        (is_user && check_text("userPrincipalName", upn, is_new, err)))
        return -1;
    if (upn && is_user && !strchr(upn, '@'))
        return fail_at(err, &E_GRAPH_REQUEST, "userPrincipalName",
                       "A user principal name has the form name@domain.");
    if (name)
        w->row.display_name = name;
    if (description)
        w->row.description = description;
    if (is_user && upn)
        w->row.upn = upn;
    w->row.is_enabled = json_bool(body, "accountEnabled", w->row.is_enabled);
    if (!is_user)
        return 0;
    if (json_has(body, "identities") &&
        graph_identities_read(w->g, &w->identities, &w->identity_count, err))
        return -1;
    /* Who signs in elsewhere needs no password here. */
    return read_password(w, is_new && w->identity_count == 0, err);
}

/* The body's identities, where it has some, become the row's. */
static int write_identities(struct pg_conn *conn, struct arena *a, const struct work *w,
                            const char *id, struct error *err)
{
    if (!text_eq(w->row.kind, "User") || !json_has(w->g->body, "identities"))
        return 0;
    if (user_identities_set(conn, a, w->g->caller.tenant_id, id, w->identities, w->identity_count,
                            err) == 0)
        return 0;
    return err->code == &E_INVALID
               ? fail_at(err, &E_GRAPH_REQUEST, "identities",
                         "An identity's issuer is that of no identity provider.")
               : -1;
}

static int insert(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct work *w = ctx;
    const char *id = w->row.id;

    if (entry_insert(conn, a, w->g->caller.tenant_id, &w->row, w->hash, err) ||
        write_identities(conn, a, w, id, err))
        return -1;
    return load(conn, w, id, w->row.kind, err);
}

static int run_make(struct graph_call *g, const char *kind, struct error *err)
{
    struct work w = { .g = g,
                      .row = { .id = graph_uuid(g->arena), .kind = kind, .is_enabled = true } };

    if (read_entry(&w, true, err) || graph_transact(g, insert, &w, err))
        return -1;
    reply_row(g, 201, &w);
    return 0;
}

static int change(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct work *w = ctx;

    w->hash = NULL;
    if (load(conn, w, w->g->req->params[0], w->kind, err) || read_entry(w, false, err) ||
        entry_update(conn, a, w->g->caller.tenant_id, &w->row, w->hash, err) ||
        write_identities(conn, a, w, w->row.id, err))
        return -1;
    return entry_scopes(conn, a, w->row.id, &w->scopes.keys, &w->scopes.count, err);
}

static int run_change(struct graph_call *g, const char *kind, struct error *err)
{
    struct work w = { .g = g, .kind = kind };

    if (graph_transact(g, change, &w, err) || graph_tell(g, &w.scopes, err))
        return -1;
    http_reply_empty(g->req, 204);
    return 0;
}

static int drop(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct work *w = ctx;

    if (load(conn, w, w->g->req->params[0], w->kind, err) ||
        entry_scopes(conn, a, w->row.id, &w->scopes.keys, &w->scopes.count, err))
        return -1;
    return entry_delete(conn, a, w->g->caller.tenant_id, w->row.id, err) < 0 ? -1 : 0;
}

static int run_drop(struct graph_call *g, const char *kind, struct error *err)
{
    struct work w = { .g = g, .kind = kind };

    if (graph_transact(g, drop, &w, err) || graph_tell(g, &w.scopes, err))
        return -1;
    http_reply_empty(g->req, 204);
    return 0;
}

/* Members ------------------------------------------------------------------------------------- */

static int run_members(struct graph_call *g, struct error *err)
{
    struct work w = { .g = g, .kind = "Group" };

    if (pg_with(g->control->db, g->arena, read_one, &w, err) || graph_filter(g, &w.filter, err))
        return -1;
    w.filter.group_id = w.row.id;
    if (pg_with(g->control->db, g->arena, list, &w, err))
        return -1;
    graph_reply_list(g, w.entries, w.count);
    return 0;
}

static int add_member(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct work *w = ctx;
    const char *group;

    if (load(conn, w, w->g->req->params[0], "Group", err))
        return -1;
    group = w->row.id;
    if (load(conn, w, w->other, NULL, err))
        return -1;
    if (text_eq(group, w->row.id))
        return fail(err, &E_GRAPH_REQUEST, "A group cannot be a member of itself.");
    if (member_add(conn, a, group, w->row.id, err))
        return -1;
    return entry_scopes(conn, a, group, &w->scopes.keys, &w->scopes.count, err);
}

/* json_text() would take the dot in the member's name for a path. */
static void read_reference(void *ctx, const char *key, struct json_object *value)
{
    if (text_eq(key, "@odata.id"))
        *(const char **)ctx = json_text(value, "");
}

static int run_member_add(struct graph_call *g, struct error *err)
{
    const char *reference = NULL, *slash;
    struct work w = { .g = g };

    json_each(g->body, read_reference, &reference);
    slash = reference ? strrchr(reference, '/') : NULL;
    if (!slash || !uuid_is_valid(slash + 1))
        return fail(err, &E_GRAPH_REQUEST, "The reference '@odata.id' names no object.");
    w.other = slash + 1;
    if (graph_transact(g, add_member, &w, err) || graph_tell(g, &w.scopes, err))
        return -1;
    http_reply_empty(g->req, 204);
    return 0;
}

static int drop_member(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct work *w = ctx;
    int found;

    if (load(conn, w, w->g->req->params[0], "Group", err))
        return -1;
    found = member_remove(conn, a, w->row.id, w->other, err);
    if (found < 0)
        return -1;
    if (!found)
        return fail_missing(w->other, err);
    return entry_scopes(conn, a, w->row.id, &w->scopes.keys, &w->scopes.count, err);
}

static int run_member_drop(struct graph_call *g, struct error *err)
{
    struct work w = { .g = g, .other = g->req->params[1] };

    if (!uuid_is_valid(w.other))
        return fail_missing(w.other, err);
    if (graph_transact(g, drop_member, &w, err) || graph_tell(g, &w.scopes, err))
        return -1;
    http_reply_empty(g->req, 204);
    return 0;
}

/* Groups of the entry that the path names; with those above them. */
static int load_groups(struct graph_call *g, struct work *w, bool is_transitive, struct error *err)
{
    if (pg_with(g->control->db, g->arena, read_one, w, err) || graph_filter(g, &w->filter, err))
        return -1;
    w->filter.member_id = w->row.id;
    w->filter.is_transitive = is_transitive;
    return pg_with(g->control->db, g->arena, list, w, err);
}

static int run_member_of(struct graph_call *g, struct error *err)
{
    bool is_user = text_starts_nocase(g->req->path, "/v1.0/users/");
    struct work w = { .g = g, .kind = is_user ? "User" : NULL };

    if (load_groups(g, &w, strcasestr(g->req->path, "transitive") != NULL, err))
        return -1;
    graph_reply_list(g, w.entries, w.count);
    return 0;
}

static bool is_in(const struct json_object *list, const char *text)
{
    for (size_t i = 0; i < json_count(list); i++) {
        if (text_eq_nocase(json_text(json_item(list, i), ""), text))
            return true;
    }
    return false;
}

/* Ids of groups; `among` (NULL: any) narrows them. */
static int reply_groups(struct graph_call *g, const struct json_object *among, struct error *err)
{
    bool is_user = text_starts_nocase(g->req->path, "/v1.0/users/");
    struct work w = { .g = g, .kind = is_user ? "User" : NULL };
    struct json_object *body, *value;

    if (load_groups(g, &w, true, err))
        return -1;
    body = json_new_object();
    value = json_new_array();
    for (size_t i = 0; i < w.count; i++) {
        if (!among || is_in(among, w.entries[i].id))
            json_add_text(value, w.entries[i].id);
    }
    json_set(body, "value", value);
    graph_reply(g, 200, body);
    return 0;
}

static int run_member_groups(struct graph_call *g, struct error *err)
{
    return reply_groups(g, NULL, err);
}

static int run_check_groups(struct graph_call *g, struct error *err)
{
    const struct json_object *among = json_at(g->body, "groupIds");

    if (json_kind(among) != JSON_ARRAY)
        return fail(err, &E_GRAPH_REQUEST, "The property 'groupIds' is missing.");
    return reply_groups(g, among, err);
}

/* Any principal ------------------------------------------------------------------------------- */

static int run_object(struct graph_call *g, struct error *err)
{
    return run_one(g, NULL, err);
}

static int run_by_ids(struct graph_call *g, struct error *err)
{
    const struct json_object *ids = json_at(g->body, "ids");
    size_t count = json_count(ids);
    struct work w = { .g = g, .filter = { .tenant_id = g->caller.tenant_id, .limit = IDS_MAX } };
    const char **list_of_ids = arena_array(g->arena, count + 1, sizeof(char *));
    struct json_object *body, *value;

    if (json_kind(ids) != JSON_ARRAY || count > IDS_MAX)
        return fail(err, &E_GRAPH_REQUEST, "The property 'ids' is a list of at most %d.", IDS_MAX);
    for (size_t i = 0; i < count; i++) {
        list_of_ids[i] = json_text(json_item(ids, i), "");
        if (!list_of_ids[i] || !uuid_is_valid(list_of_ids[i]))
            return fail(err, &E_GRAPH_REQUEST, "Invalid id in the property 'ids'.");
    }
    w.filter.ids = list_of_ids;
    w.filter.id_count = count;
    if (pg_with(g->control->db, g->arena, list, &w, err))
        return -1;
    body = json_new_object();
    value = json_new_array();
    for (size_t i = 0; i < w.count; i++)
        json_add(value, graph_show(g, &w.entries[i]));
    json_set(body, "value", value);
    graph_reply(g, 200, body);
    return 0;
}

static int run_me(struct graph_call *g, struct error *err)
{
    if (!text_eq(g->caller.kind, "User"))
        return fail(err, &E_GRAPH_REQUEST,
                    "/me request is only valid with delegated authentication flow.");
    g->req->params[0] = g->caller.object_id;
    return run_one(g, "User", err);
}

#define OF_KIND(name, fn, kind)                                                                    \
    static int name(struct graph_call *g, struct error *err)                                       \
    {                                                                                              \
        return fn(g, kind, err);                                                                   \
    }
OF_KIND(list_users, run_list, "User")
OF_KIND(show_user, run_one, "User")
OF_KIND(make_user, run_make, "User")
OF_KIND(change_user, run_change, "User")
OF_KIND(drop_user, run_drop, "User")
OF_KIND(list_groups, run_list, "Group")
OF_KIND(show_group, run_one, "Group")
OF_KIND(make_group, run_make, "Group")
OF_KIND(change_group, run_change, "Group")
OF_KIND(drop_group, run_drop, "Group")

const struct graph_endpoint graph_users = { .run = list_users };
const struct graph_endpoint graph_user = { .run = show_user };
const struct graph_endpoint graph_user_make = { "users", true, make_user };
const struct graph_endpoint graph_user_change = { "users", true, change_user };
const struct graph_endpoint graph_user_drop = { "users", false, drop_user };
const struct graph_endpoint graph_me = { .run = run_me };
const struct graph_endpoint graph_groups = { .run = list_groups };
const struct graph_endpoint graph_group = { .run = show_group };
const struct graph_endpoint graph_group_make = { "groups", true, make_group };
const struct graph_endpoint graph_group_change = { "groups", true, change_group };
const struct graph_endpoint graph_group_drop = { "groups", false, drop_group };
const struct graph_endpoint graph_members = { .run = run_members };
const struct graph_endpoint graph_member_add = { "groups", true, run_member_add };
const struct graph_endpoint graph_member_drop = { "groups", false, run_member_drop };
const struct graph_endpoint graph_by_ids = { NULL, true, run_by_ids };
const struct graph_endpoint graph_object = { .run = run_object };
const struct graph_endpoint graph_member_of = { .run = run_member_of };
const struct graph_endpoint graph_member_groups = { .run = run_member_groups };
const struct graph_endpoint graph_check_groups = { NULL, true, run_check_groups };
