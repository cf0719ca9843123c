/* Requests from within the process: see the header. */
#include "controlplane/api/local.h"

#include <string.h>

#include "common/base/arena.h"
#include "common/base/text.h"
#include "common/http/local.h"
#include "common/json/json.h"

#include "controlplane/api/call.h"
#include "controlplane/api/encode.h"
#include "controlplane/api/pipeline.h"

static struct json_object *settable(struct call *c, struct resource *r)
{
    struct json_object *out =
        resource_encode(c->arena, c->control, c->type, c->api_version, r);

    fields_strip(c->type->fields, out, FIELD_READ_ONLY);
    json_unset(out, "systemData");
    json_unset(out, "etag");
    if (json_has(out, "properties"))
        json_unset(json_at(out, "properties"), "provisioningState");
    return out;
}

/* Stands in for the commit of a check. */
static int show_change(struct call *c, struct error *err)
{
    struct json_object *out = json_own(c->arena, json_new_object());

    (void)err;
    if (!c->is_shallow && c->row) {
        struct resource *row = arena_memdup(c->arena, c->row, sizeof(*row));

        row->body = json_own(c->arena, json_copy(row->body));
        json_set(out, "after", settable(c, row));
        if (c->was)
            json_set(out, "before", settable(c, c->was));
    }
    reply_json(c, 200, out);
    return 0;
}

static void prepare(struct http_request *req, void *ctx)
{
    const struct arm_call *x = ctx;
    struct call *c = call_of(req);

    c->caller = *x->caller;
    c->is_authenticated = true;
    c->is_local = true;
    if (x->correlation_id)
        c->correlation_id = x->correlation_id;
    if (x->depth == ARM_DO)
        return;
    c->instead = show_change;
    c->is_shallow = x->depth == ARM_SHALLOW;
}

/* The guid that ends the status URL. */
static const char *operation_of(struct arena *a, const struct http_local *call)
{
    const char *url = http_local_header(call, "Azure-AsyncOperation");
    size_t len;
    char *id;

    if (!url)
        url = http_local_header(call, "Location");
    if (!url)
        return NULL;
    len = strcspn(url, "?");
    if (len < UUID_TEXT_LEN)
        return NULL;
    id = arena_strndup(a, url + len - UUID_TEXT_LEN, UUID_TEXT_LEN);
    return uuid_is_valid(id) ? id : NULL;
}

int arm_call(struct arm_call *x, struct error *err)
{
    size_t len = 0;
    struct http_local call = {
        .method = x->method,
        .path = x->path,
        .query = arena_printf(x->arena, "api-version=%s",
                              text_percent_encode(x->arena, x->api_version ? x->api_version : "")),
        .body = x->body ? json_print_len(x->arena, x->body, &len) : NULL,
        .peer_text = x->peer_text,
    };
    struct json_object *reply = NULL;

    call.body_len = len;
    x->status = 0;
    x->answer = NULL;
    x->operation_id = NULL;
    x->is_known = http_local_run(x->arena, x->app, &call,
                                 x->depth == ARM_DO ? NULL : pipeline_run, prepare, x) > 0;
    x->status = x->is_known ? call.status : 404;
    if (call.reply_len && json_parse(call.reply, call.reply_len, (size_t)16 << 20, JSON_TEMPLATE,
                                     &reply, err))
        return wrap(err, "reply of %s", x->path);
    x->answer = json_own(x->arena, reply);
    if (arm_call_is_good(x))
        x->operation_id = operation_of(x->arena, &call);
    else if (json_has(x->answer, "error"))
        x->answer = json_at(x->answer, "error");
    return 0;
}

bool arm_call_is_good(const struct arm_call *x)
{
    return x->status >= 200 && x->status < 300;
}

struct arm_type arm_type_find(const char *name)
{
    const struct resource_type *type = type_find(name);
    size_t len = strcspn(name, "/");
    struct arm_type ret = { 0 };

    if (type) {
        ret = (struct arm_type){ .name = type->name, .newest_version = type->api_versions[0],
                                 .is_tracked = type->is_tracked,
                                 .has_steps = type->steps != NULL };
    }
    for (const struct resource_type *const *t = all_types; *t && !ret.is_namespace_known; t++)
        ret.is_namespace_known = strcspn((*t)->name, "/") == len &&
                                 strncasecmp((*t)->name, name, len) == 0;
    return ret;
}

const char *const *arm_types(struct arena *a, bool is_tracked, size_t *ret_count)
{
    const char **list;
    size_t count = 0;

    for (const struct resource_type *const *t = all_types; *t; t++)
        count++;
    list = arena_array(a, count + 1, sizeof(*list));
    count = 0;
    for (const struct resource_type *const *t = all_types; *t; t++) {
        if ((!is_tracked || (*t)->is_tracked) && (*t)->scope != SCOPE_SUBSCRIPTION)
            list[count++] = text_lower(a, (*t)->name);
    }
    *ret_count = count;
    return list;
}
