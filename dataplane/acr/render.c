/* Shapes as in the 2021-07-01 swagger of the data plane. */
#include "dataplane/acr/render.h"

#include "common/base/arena.h"
#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/text.h"
#include "common/crypto/digest.h"
#include "common/http/server.h"
#include "common/json/json.h"
#include "dataplane/call.h"
#include "dataplane/oci/reply.h"
#include "dataplane/store/snapshot.h"

#define CHANGE_MAX_BYTES ((size_t)64 * 1024)

struct change_body {
    bool can_read, can_write, can_delete, can_list;
    char *quarantine_state, *quarantine_details;
};

static const char *const quarantine_states[] = { "Passed", "Failed", NULL };

#define LOCK_ROW(name, member)                                                                     \
    {                                                                                              \
        .path = name, .kind = FIELD_BOOL, .flags = FIELD_RW,                                       \
        .offset = offsetof(struct change_body, member)                                             \
    }

const struct field acr_change_fields[] = {
    LOCK_ROW("readEnabled", can_read),
    LOCK_ROW("writeEnabled", can_write),
    LOCK_ROW("deleteEnabled", can_delete),
    LOCK_ROW("listEnabled", can_list),
    { .path = "quarantineState",
      .kind = FIELD_TEXT,
      .flags = FIELD_RW,
      .oneof = quarantine_states,
      .offset = offsetof(struct change_body, quarantine_state) },
    { .path = "quarantineDetails",
      .kind = FIELD_TEXT,
      .flags = FIELD_RW,
      .offset = offsetof(struct change_body, quarantine_details) },
    { 0 },
};

size_t acr_change_size(void)
{
    return sizeof(struct change_body);
}

struct json_object *acr_envelope(const struct http_request *req, const char *repository)
{
    struct json_object *body = json_new_object();

    json_set_text(body, "registry", call_of(req)->snapshot->login_server);
    json_set_text(body, "imageName", repository);
    return body;
}

static struct json_object *attributes_of(const struct attributes *a)
{
    struct json_object *o = json_new_object();

    json_set_bool(o, "deleteEnabled", a->can_delete);
    json_set_bool(o, "writeEnabled", a->can_write);
    json_set_bool(o, "readEnabled", a->can_read);
    json_set_bool(o, "listEnabled", a->can_list);
    return o;
}

static void set_times(struct http_request *req, struct json_object *o, int64_t created_us,
                      int64_t updated_us)
{
    json_set_text(o, "createdTime", clock_arm(req->arena, created_us));
    json_set_text(o, "lastUpdateTime", clock_arm(req->arena, updated_us));
}

static void set_digest(struct json_object *o, const struct digest *digest)
{
    char text[DIGEST_TEXT_MAX];

    digest_text(digest, text);
    json_set_text(o, "digest", text);
}

struct json_object *acr_repository(struct http_request *req, const char *repository,
                                   const struct repository_detail *d)
{
    struct json_object *body = acr_envelope(req, repository);

    set_times(req, body, d->created_us, d->updated_us);
    json_set_int(body, "manifestCount", d->manifest_count);
    json_set_int(body, "tagCount", d->tag_count);
    json_set(body, "changeableAttributes", attributes_of(&d->attributes));
    return body;
}

struct json_object *acr_tag(struct http_request *req, const struct tag_detail *d)
{
    struct json_object *o = json_new_object();

    json_set_text(o, "name", d->name);
    set_digest(o, &d->digest);
    set_times(req, o, d->created_us, d->updated_us);
    json_set_bool(o, "signed", false);
    json_set(o, "changeableAttributes", attributes_of(&d->attributes));
    return o;
}

/* The database gives keys in hexadecimal: one byte of algorithm, then the hash. */
static void set_key_digest(struct arena *a, struct json_object *o, const char *hex)
{
    const char *prefix = text_starts(hex, "02") ? "sha512:" : "sha256:";

    json_set_text(o, "digest", arena_printf(a, "%s%s", prefix, hex + 2));
}

static struct json_object *references_of(struct arena *a, const char *text)
{
    struct json_object *rows = NULL, *list = json_new_array();
    struct error ignored = { 0 };

    if (!text ||
        json_parse(text, strlen(text), (size_t)16 * 1024 * 1024, JSON_STRICT, &rows, &ignored) != 0)
        return list;
    for (size_t i = 0; i < json_count(rows); i++) {
        const struct json_object *row = json_item(rows, i);
        struct json_object *o = json_new_object();
        const char *hex = json_text(row, "digest");
        if (hex && strlen(hex) > 2)
            set_key_digest(a, o, hex);
        json_set_text(o, "architecture", json_text(row, "architecture"));
        json_set_text(o, "os", json_text(row, "os"));
        json_add(list, o);
    }
    json_put(rows);
    return list;
}

struct json_object *acr_manifest(struct http_request *req, const struct manifest_detail *d)
{
    struct json_object *o = json_new_object(), *tags = json_new_array();
    struct json_object *attributes = attributes_of(&d->attributes);

    set_digest(o, &d->digest);
    json_set_int(o, "imageSize", d->image_size);
    set_times(req, o, d->created_us, d->updated_us);
    if (d->architecture)
        json_set_text(o, "architecture", d->architecture);
    if (d->os)
        json_set_text(o, "os", d->os);
    json_set_text(o, "mediaType", d->media_type);
    if (d->config_media_type)
        json_set_text(o, "configMediaType", d->config_media_type);
    for (size_t i = 0; i < d->tag_count; i++)
        json_add_text(tags, d->tags[i]);
    json_set(o, "tags", tags);
    if (d->quarantine_state)
        json_set_text(attributes, "quarantineState", d->quarantine_state);
    if (d->quarantine_details)
        json_set_text(attributes, "quarantineDetails", d->quarantine_details);
    json_set(o, "changeableAttributes", attributes);
    if (d->children)
        json_set(o, "references", references_of(req->arena, d->children));
    return o;
}

bool acr_read_change(struct http_request *req, struct attribute_change *ret)
{
    struct change_body *body = ARENA_NEW(req->arena, struct change_body);
    struct json_object *object = NULL;
    struct error err = { 0 };

    *ret = (struct attribute_change){ 0 };
    if (json_parse_object(req->body, req->body_len, CHANGE_MAX_BYTES, &object, &err) != 0) {
        reply_error(req, &err);
        return false;
    }
    (void)json_own(req->arena, object);
    if (fields_check(req->arena, acr_change_fields, object, false, &E_INVALID, &err) != 0 ||
        fields_decode(req->arena, acr_change_fields, object, body, &err) != 0) {
        reply_error(req, &err);
        return false;
    }
    ret->can_read = json_has(object, "readEnabled") ? &body->can_read : NULL;
    ret->can_write = json_has(object, "writeEnabled") ? &body->can_write : NULL;
    ret->can_delete = json_has(object, "deleteEnabled") ? &body->can_delete : NULL;
    ret->can_list = json_has(object, "listEnabled") ? &body->can_list : NULL;
    ret->quarantine_state = body->quarantine_state;
    ret->quarantine_details = body->quarantine_details;
    return true;
}

enum list_order acr_order(struct http_request *req)
{
    const char *order = http_query(req, "orderby");

    if (text_eq_nocase(order ? order : "", "timedesc"))
        return ORDER_NEWEST;
    return text_eq_nocase(order ? order : "", "timeasc") ? ORDER_OLDEST : ORDER_NAME;
}
