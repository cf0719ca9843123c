/* PUT and PATCH: the new desired state, then one transaction that writes it, opens its operation and
 * wakes the reconcile loops. */
#include "controlplane/api/pipeline.h"

#include <string.h>

#include "common/base/arena.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/str.h"
#include "common/base/text.h"
#include "common/json/json.h"
#include "common/pg/pg.h"

#include "controlplane/api/attached.h"
#include "controlplane/api/body.h"
#include "controlplane/api/encode.h"
#include "controlplane/api/errors.h"
#include "controlplane/api/etag.h"
#include "controlplane/api/hasten.h"
#include "controlplane/api/lro.h"
#include "controlplane/api/write.h"
#include "controlplane/provision/region.h"
#include "controlplane/store/leases.h"
#include "controlplane/store/operations.h"
#include "controlplane/store/related.h"
#include "controlplane/types/all.h"

#define WARNING_MAX_BYTES 4096
#define NEAR_LIMIT 1000 /* so small that most creates would be near it */

/* "2026-11-20T22:52:13.1234567+00:00", as systemData writes times. */
char *write_time(struct arena *a)
{
    char *z = clock_arm(a, clock_wall_us());

    return arena_printf(a, "%.*s+00:00", (int)(strlen(z) - 1), z);
}

struct json_object *write_system_data(struct call *c, const struct resource *was,
                                      const char *time)
{
    struct json_object *data =
        was && was->system_data ? json_copy(was->system_data) : json_new_object();

    if (!was) {
        json_set_text(data, "createdBy", c->caller.name);
        json_set_text(data, "createdByType", c->caller.kind);
        json_set_text(data, "createdAt", time);
    }
    json_set_text(data, "lastModifiedBy", c->caller.name);
    json_set_text(data, "lastModifiedByType", c->caller.kind);
    json_set_text(data, "lastModifiedAt", time);
    return json_own(c->arena, data);
}

/* RFC 7234 5.5: 299, miscellaneous persistent warning. Names come from the client, so only what a
 * header may hold is echoed. */
static void warn_unknown(struct call *c, const struct body_request *body)
{
    struct str s;

    if (body->unknown_count == 0)
        return;
    str_init(&s, WARNING_MAX_BYTES - 2);
    str_puts(&s, "299 - \"Unknown members were ignored: ");
    for (size_t i = 0; i < body->unknown_count; i++) {
        str_puts(&s, i ? ", " : "");
        for (const char *p = body->unknown[i]; *p; p++)
            str_putc(&s, *p < 0x20 || *p > 0x7e || *p == '"' || *p == '\\' ? '?' : *p);
    }
    http_reply_headerf(c->req, "Warning", "%s\"", s.data);
    str_done(&s);
}

static int fail_location(struct call *c, const char *location, struct error *err)
{
    struct str places;
    int rc;

    str_init(&places, 600);
    for (const struct region *r = c->control->regions; r && r->name; r++)
        str_printf(&places, "%s%s", places.len ? "," : "", r->name);
    rc = fail_at(err, &E_LOCATION_NOT_AVAILABLE, "location",
                 "The provided location '%.60s' is not available for resource type '%s'. List of "
                 "available regions for the resource type is '%s'.",
                 location, c->type->name, places.data);
    str_done(&places);
    return rc;
}

/* *ret: the normalised location; NULL for types without one. */
static int decide_location(struct call *c, const char *asked, bool is_required, const char **ret,
                           struct error *err)
{
    const struct region *region;

    *ret = c->was ? c->was->location : NULL;
    if (!c->type->is_tracked)
        return 0;
    if (c->type->is_global) {
        *ret = "global";
        if (asked && asked[0] && !text_eq_nocase(asked, "global"))
            return fail_at(err, &E_LOCATION_NOT_AVAILABLE, "location",
                           "The provided location '%.60s' is not available for resource type "
                           "'%s'. List of available regions for the resource type is 'global'.",
                           asked, c->type->name);
        return 0;
    }
    if (!asked || !asked[0]) {
        if (!is_required)
            return 0;
        return fail_at(err, &E_LOCATION_REQUIRED, "location",
                       "The location property is required for this definition.");
    }
    if (strlen(asked) > 64 || !(region = region_find(c->control->regions, asked)))
        return fail_location(c, asked, err);
    if (c->was && !text_eq(region->name, c->was->location))
        return fail_at(err, &E_LOCATION_CHANGED, "location",
                       "The resource '%s' already exists in location '%s'%s%s%s. A resource with "
                       "the same name cannot be created in location '%s'. Please select a new "
                       "resource name.",
                       c->was->name, c->was->location, c->id.is_group ? "" : " in resource group '",
                       c->id.is_group ? "" : c->id.group, c->id.is_group ? "" : "'",
                       region->name);
    *ret = region->name;
    return 0;
}

/* The SKU a child is gated by, and the gate of the type itself. */
static int check_parent_sku(struct call *c, struct error *err)
{
    const struct resource_type *parent = c->type->parent;

    c->parent_sku = SKU_NONE;
    if (!parent || !parent->sku)
        return 0;
    c->parent_sku = parent->sku(c->parent->body);
    if (c->parent_sku < c->type->gate)
        return fail_at(err, &E_SKU_NOT_SUPPORTED, "sku.name",
                       "The SKU %s is not supported. '%s' needs the SKU %s.",
                       sku_text(c->parent_sku), strchr(c->type->name, '/') + 1,
                       sku_text(c->type->gate));
    return 0;
}

static struct resource *make_row(struct call *c, const char *location)
{
    struct resource *row = ARENA_NEW(c->arena, struct resource);
    char uid[UUID_TEXT_LEN + 1];

    if (c->was) {
        *row = *c->was;
        return row;
    }
    uuid_new(uid);
    *row = (struct resource){
        .uid = arena_strdup(c->arena, uid),
        .key = c->key,
        .id = c->resource_id,
        .type_key = text_lower(c->arena, c->type->name),
        .name = c->id.names[c->id.depth - 1],
        .subscription_id = c->subscription.id,
        .group_key = c->id.group ? text_lower(c->arena, c->id.group) : NULL,
        .parent_uid = c->parent ? c->parent->uid : NULL,
        .location = location,
        .tags = json_own(c->arena, json_new_object()),
        .status = json_own(c->arena, json_new_object()),
        .generation = 1,
        .due_in_ms = c->type->steps ? 0 : NEVER_DUE,
    };
    if (c->type->global_name)
        row->global_name = c->type->global_name(c->arena, c->control, row, c->decoded);
    return row;
}

static enum stage_result decode_write(struct call *c, bool is_patch, struct error *err)
{
    struct body_request body;
    struct body_change change = {
        .type = c->type,
        .api_version = c->api_version,
        .was = c->was ? c->was->body : NULL,
        .is_patch = is_patch,
        .time = write_time(c->arena),
    };
    const char *location = NULL;
    struct json_object *desired = NULL;

    if (!c->was && c->type->is_made_elsewhere)
        return fail(err, &E_RESOURCE_NOT_FOUND, "The resource %s could not be found.",
                    c->id.names[c->id.depth - 1]);
    if ((!c->was && type_name_check(c->type, c->id.names[c->id.depth - 1], err)) ||
        etag_check(c, err))
        return STAGE_FAILED;
    if (body_read(c->arena, c->type, c->api_version, c->req->body, c->req->body_len, &body, err) ||
        decide_location(c, body.location, !is_patch, &location, err) ||
        check_parent_sku(c, err))
        return STAGE_FAILED;
    change.parent_sku = c->parent_sku;
    change.request = body.members;
    if (body_desired(c->arena, &change, &desired, &c->decoded, err))
        return STAGE_FAILED;
    if (attached_settle(c, desired, err))
        return STAGE_FAILED;
    c->row = make_row(c, location);
    c->row->body = desired;
    if (body.has_tags)
        c->row->tags = body.tags;
    else if (!is_patch)
        c->row->tags = json_own(c->arena, json_new_object());
    c->is_unchanged = c->was && json_equal(c->was->body, c->row->body) &&
                      json_equal(c->was->tags, c->row->tags);
    /* What changes nothing leaves no trace but its line in the activity log. */
    if (!c->is_unchanged)
        c->row->system_data = write_system_data(c, c->was, change.time);
    warn_unknown(c, &body);
    return STAGE_NEXT;
}

enum stage_result decode_put(struct call *c, struct error *err)
{
    return decode_write(c, false, err);
}

enum stage_result decode_patch(struct call *c, struct error *err)
{
    return decode_write(c, true, err);
}

/* The transaction's own view; fn may run several times. */
struct write {
    struct call *call;
    bool is_lro;
    bool has_work; /* something is left to do after the transaction */
    bool is_brief; /* by this request itself */
    bool is_raced;
    bool is_repeated; /* what the first attempt expected was not so, or others were in its way */
};

static bool is_lro(const struct call *c)
{
    unsigned flag = text_eq(c->verb->method, "PATCH") ? LRO_PATCH : LRO_PUT;

    return (c->type->lro & flag) != 0;
}

/* Whether group and parent are still there and as they were when the write was decided. */
static int check_held(struct write *w, const struct resource_hold *hold, struct error *err)
{
    struct call *c = w->call;

    if (hold->group_key && !hold->group.is_there)
        return fail_group_missing(c, err);
    if (hold->group.state == STATE_DELETING)
        return fail(err, &E_GROUP_BEING_DELETED,
                    "The resource group '%s' is in deprovisioning state and cannot perform this "
                    "operation.",
                    hold->group.name);
    if (!hold->parent_key)
        return 0;
    if (!hold->parent.is_there || !text_eq(hold->parent.uid, c->parent->uid))
        return fail_parent_missing(c, err);
    if (hold->parent.state == STATE_DELETING)
        return fail(err, &E_BEING_DELETED, "The resource '%s' is being deleted.",
                    hold->parent.name);
    /* What was decided by the parent's SKU would be decided again. */
    w->is_raced = hold->parent.generation != c->parent->generation;
    return 0;
}

/* Whether the row is still what decode worked from. */
static bool is_as_loaded(const struct call *c, const struct resource_held *now)
{
    if (!now->is_there || !c->was)
        return !now->is_there && !c->was;
    return text_eq(now->uid, c->was->uid) && now->generation == c->was->generation;
}

static int check_self(struct call *c, const struct resource_held *now, struct error *err)
{
    if (now->is_there && now->state == STATE_DELETING)
        return fail(err, c->id.is_group ? &E_GROUP_BEING_DELETED : &E_BEING_DELETED,
                    "The resource '%s' is being deleted; try again once it is gone.", now->name);
    if (now->is_there && now->is_system)
        return write_fail_system(now->name, err);
    return 0;
}

/* usage is NULL where nothing is added, or no limit is. */
static int check_quota(struct write *w, const struct pg_result *usage, struct error *err)
{
    struct call *c = w->call;
    enum room room = ROOM_ENOUGH;

    if (usage)
        room = resource_room_told(usage, tier_limit(c->type->quota, c->parent_sku),
                                  c->counts_alone);
    if (room == ROOM_UNSURE)
        w->is_raced = c->counts_alone = true;
    if (room != ROOM_NONE)
        return 0;
    return fail(err, &E_QUOTA,
                "Quota exceeded for resource type %s for the registry SKU %s. Learn more about SKU "
                "features and limits at https://aka.ms/acr/tiers",
                strrchr(c->type->name, '/') + 1, sku_text(c->parent_sku));
}

/* What nearly every write below a parent finds is what it was decided from: it says so along with the rest,
 * in one trip that needs no answer before its end. The attempt after one that was wrong looks first, and
 * knows what to tell. */
static bool may_expect(const struct write *w, int64_t limit)
{
    const struct call *c = w->call;

    if (w->is_repeated || !c->type->parent || c->type->moves_parent || c->is_unchanged)
        return false;
    if (c->was)
        return !w->has_work && !c->was->is_system && c->was->state != STATE_DELETING;
    return limit == TIER_UNLIMITED || !c->counts_alone;
}

static int expect(struct pg_conn *conn, struct write *w, struct resource_hold *hold, int64_t limit,
                  struct error *err)
{
    const struct call *c = w->call;

    hold->parent.uid = c->parent->uid;
    hold->parent.generation = c->parent->generation;
    if (c->was) {
        hold->self.uid = c->was->uid;
        hold->self.generation = c->was->generation;
    } else if (limit != TIER_UNLIMITED &&
               resource_room_expected(conn, c->arena, c->parent->uid, c->row->type_key, limit, err)) {
        return -1;
    }
    return resource_hold_expected(conn, c->arena, hold, err);
}

/* Holds what the write stands on and checks it: *ret is the row as it is now. */
static int hold(struct pg_conn *conn, struct write *w, struct resource_held *ret,
                struct error *err)
{
    struct call *c = w->call;
    int64_t limit = tier_limit(c->type->quota, c->parent_sku);
    struct pg_result *usage = NULL;
    struct resource_hold hold = {
        .parent_key = c->type->parent ? c->parent->key : NULL,
        .key = c->key,
        .is_parent_alone = c->type->moves_parent,
    };

    if (c->type->scope != SCOPE_SUBSCRIPTION)
        hold.group_key = text_lower(c->arena, arm_id_group(c->arena, &c->id));
    c->counts_alone = c->counts_alone || limit <= NEAR_LIMIT;
    if (may_expect(w, limit)) {
        w->is_repeated = true;
        *ret = (struct resource_held){ .is_there = c->was != NULL };
        return expect(conn, w, &hold, limit, err);
    }
    if (!c->was && limit != TIER_UNLIMITED &&
        resource_room_ask(conn, c->arena, c->parent->uid, c->row->type_key, c->counts_alone,
                          &usage, err))
        return -1;
    if (resource_hold(conn, c->arena, &hold, err) || check_held(w, &hold, err))
        return -1;
    *ret = hold.self;
    w->is_raced = w->is_raced || !is_as_loaded(c, &hold.self);
    if (w->is_raced)
        return 0;
    return check_self(c, &hold.self, err) || check_quota(w, usage, err) ? -1 : 0;
}

int write_admit(struct pg_conn *conn, struct call *c, enum change change,
                const struct resource *resource, struct error *err)
{
    struct admission admission = {
        .conn = conn,
        .arena = c->arena,
        .control = c->control,
        .change = change,
        .caller = &c->caller,
        .was = c->was,
        .resource = resource,
        .parent = c->parent,
        .decoded = change == CHANGE_DELETE ? NULL : c->decoded,
        .hastens = &c->hastens,
    };

    return c->type->admit ? c->type->admit(&admission, err) : 0;
}

/* As the transaction leaves it. */
static int read_back(struct pg_conn *conn, struct call *c, struct error *err)
{
    if (!c->type->is_projected)
        return 0;
    return resource_by_uid(conn, c->arena, c->row->uid, false, &c->row, err) < 0 ? -1 : 0;
}

static int put_row(struct pg_conn *conn, struct write *w, struct error *err)
{
    struct call *c = w->call;

    if (!c->was) {
        if (resource_insert(conn, c->arena, c->row, w->has_work, err))
            return -1;
        return write_admit(conn, c, CHANGE_CREATE, c->row, err);
    }
    if (c->is_unchanged)
        return 0;
    if (resource_update_held(conn, c->arena, c->row, w->has_work, NULL, err))
        return -1;
    return write_admit(conn, c, CHANGE_UPDATE, c->row, err);
}

int write_fail_system(const char *name, struct error *err)
{
    return fail(err, &E_BAD_REQUEST,
                "The resource '%s' is defined by the system: it can neither be changed nor "
                "deleted.",
                name);
}

int write_event(struct pg_conn *conn, struct call *c, const struct resource *r,
                const char *what, bool is_open, struct error *err)
{
    struct event event = {
        .operation_name = arena_printf(c->arena, "%s/%s", type_rbac(c->type), what),
        .status = is_open ? "Accepted" : "Succeeded",
        .correlation_id = c->correlation_id,
        .operation_id = c->operation_id,
        .client_address = c->req->peer_text,
    };

    return event_add(conn, c->arena, &c->caller, r, &event, err);
}

/* Nothing is left to do: whoever polls finds the operation over. */
int write_close(struct pg_conn *conn, struct call *c, const char *uid, struct error *err)
{
    if (!c->operation_id)
        return 0;
    return operation_close(conn, c->arena, uid, INT64_MAX, "Succeeded", err);
}

/* Tells of it: the operation, the activity log, the reconcile loops. */
static int tell(struct pg_conn *conn, struct write *w, struct error *err)
{
    struct call *c = w->call;

    const char *status = state_name(w->has_work ? c->row->state : STATE_SUCCEEDED);

    if (w->is_lro && !w->has_work && c->was &&
        operation_close(conn, c->arena, c->row->uid, INT64_MAX, status, err))
        return -1;
    if (w->is_lro && operation_open(conn, c->arena, &c->caller, c->row, c->verb->method, status,
                                    c->correlation_id, &c->operation_id, err))
        return -1;
    if (write_event(conn, c, c->row, "write", w->has_work, err))
        return -1;
    return c->type->steps && c->row->due_in_ms == 0 ? work_notify(conn, c->arena, err) : 0;
}

static int write_row(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct write *w = ctx;
    struct call *c = w->call;
    struct resource_held now;

    (void)a;
    w->is_raced = false;
    c->operation_id = NULL;
    c->hastens = NULL;
    if (hold(conn, w, &now, err))
        return -1;
    if (w->is_raced)
        return 0;
    if (now.is_there && c->is_unchanged && now.state == STATE_SUCCEEDED) {
        c->row->state = now.state;
        return write_event(conn, c, c->row, "write", false, err);
    }
    w->is_brief = w->has_work && hasten_is_brief(c, now.state);
    if (c->was)
        c->row->due_in_ms = w->is_brief ? BRIEF_MS : 0;
    /* The same wish again for what failed is worth another try. */
    if (c->is_unchanged && (now.state == STATE_FAILED || now.state == STATE_CANCELED))
        c->is_unchanged = false;
    if (put_row(conn, w, err) || read_back(conn, c, err))
        return -1;
    c->row->state = !w->has_work ? STATE_SUCCEEDED : c->was ? STATE_UPDATING : STATE_CREATING;
    if (c->is_unchanged)
        c->row->state = now.state;
    return tell(conn, w, err);
}

enum stage_result commit_write(struct call *c, struct error *err)
{
    struct write w = { .call = c, .is_lro = is_lro(c) };

    w.has_work = w.is_lro && c->type->steps;
    if (!c->was && c->type->is_made && c->type->is_made(c->row)) {
        w.has_work = false;
        c->row->due_in_ms = c->type->drift_ms > 0 ? c->type->drift_ms : DRIFT_MS;
    }

    if (pg_transact(c->control->db, c->arena, write_row, &w, err) == 0) {
        if (w.is_raced)
            return STAGE_AGAIN;
        /* What was never made yet has nothing to hurry. */
        if (c->type->hasten && c->was && c->was->observed_generation > 0 && !c->is_unchanged &&
            (!c->hastens || pg_affected(c->hastens) > 0))
            hasten_update(c, w.is_brief);
        return STAGE_NEXT;
    }
    if (err->code != &E_CONFLICT)
        return STAGE_FAILED;
    if (text_eq(err->target, "resources_key_key"))
        return STAGE_AGAIN;
    return c->type->name_taken ? (enum stage_result)c->type->name_taken(c->row, err)
                               : STAGE_FAILED;
}

enum stage_result encode_write(struct call *c, struct error *err)
{
    (void)err;
    if (c->operation_id)
        lro_status_header(c, c->row, c->operation_id);
    reply_json(c, c->was || c->type->is_created_with_200 ? 200 : 201,
               json_own(c->arena, resource_encode(c->arena, c->control, c->type, c->api_version,
                                                  c->row)));
    return STAGE_ANSWERED;
}
